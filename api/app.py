"""The application: routes and middleware over the configured stores."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final
from zoneinfo import ZoneInfo

from litestar import Litestar, Router
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.middleware import DefineMiddleware
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.types import Middleware

from api.access.authentication import PUBLIC, Authentication
from api.access.browser_policy import security_headers
from api.access.listening import load_tokens
from api.access.session import log_in, log_out, session
from api.access.tokens import Tokens
from api.exports import RunningExports
from api.live.hub import LiveHub
from api.live.routes import live_entity, live_id
from api.middleware import (
    AllowedHosts,
    HeadRequests,
    RateLimit,
    RequestMetrics,
    add_headers,
    allow_head,
)
from api.pages import PAGES_ROUTER
from api.pages.schema import SchemaPage
from api.queries.postgres import PostgresReader
from api.queries.postgres_analytics import PostgresAnalytics
from api.queries.redis import RedisReader
from api.queries.redis_follower import RedisFollower
from api.queries.rejected_topics import RejectedTopics
from api.queries.sequence_number_poller import SequenceNumberPoller
from api.queries.store_readers import FollowerSetup, StoreReaders
from api.queries.time_range import WindowingStrategy
from api.representation.problems import PROBLEM_DETAILS
from api.representation.responses import AS_OF, COMPLETE, STORE, TIME_ZONE
from api.routes import QUERIES_ROUTER
from api.routes.parameters import EncodedIdPaths, reject_unknown_parameters
from api.status.prometheus import prometheus
from api.status.routes import health, live, ready, status
from mobility.settings import Settings, Store

_SESSION: Final = (session, log_in, log_out)
_LIVE: Final = (live_entity, live_id)
_STATUS: Final = (health, live, ready, status, prometheus)


def create_app(settings: Settings) -> Litestar:
    """Return the application; it connects to the stores at the first request that needs them.

    Where Redis follows Postgres it asks Postgres from its start on how far that is. Raises
    TokensError if the settings need tokens and there are none.
    """
    hub = LiveHub(settings) if "redis" in settings.stores else None
    rejected = RejectedTopics(settings) if settings.api_kafka else None
    return build_app(_create_readers(settings), settings, hub, rejected)


def build_app(
    readers: StoreReaders,
    settings: Settings,
    hub: LiveHub | None = None,
    rejected: RejectedTopics | None = None,
) -> Litestar:
    """Return the application over these readers and this hub; it closes them at its shutdown."""
    windowing, tokens = WindowingStrategy.of(settings), load_tokens(settings)
    exports, default_zone = RunningExports(), ZoneInfo(settings.timezone)

    @asynccontextmanager
    async def use_stores(_app: Litestar) -> AsyncIterator[None]:
        readers.start()
        try:
            yield
        finally:
            if hub is not None:
                await hub.close()
            if rejected is not None:
                rejected.close()
            await readers.close()

    def provide_windowing(readers: NamedDependency[StoreReaders]) -> WindowingStrategy:
        # The parameter is not used. Litestar would create a task for each of two dependencies that
        # it can resolve at the same time; so it resolves one after the other.
        del readers
        return windowing

    def provide_default_zone(windowing: NamedDependency[WindowingStrategy]) -> ZoneInfo:
        del windowing  # as above
        return default_zone

    app = Litestar(
        route_handlers=[QUERIES_ROUTER, *_STATUS, *_LIVE, *_SESSION, PAGES_ROUTER],
        dependencies={
            "readers": Provide(lambda: readers, sync_to_thread=False),
            "hub": Provide(lambda: hub, sync_to_thread=False),
            "rejected": Provide(lambda: rejected, sync_to_thread=False),
            "exports": Provide(lambda: exports, sync_to_thread=False),
            "settings": Provide(lambda: settings, sync_to_thread=False),
            "tokens": Provide(lambda: tokens, sync_to_thread=False),
            "windowing": Provide(provide_windowing, sync_to_thread=False),
            "default_zone": Provide(provide_default_zone, sync_to_thread=False),
        },
        middleware=_middleware(settings, tokens),
        before_request=reject_unknown_parameters,
        before_send=[add_headers(security_headers(settings)), allow_head],
        cors_config=_cors_config(settings),
        lifespan=[use_stores],
        state=State({"hub": hub, "exports": exports}),
        plugins=[PROBLEM_DETAILS],
        openapi_config=_openapi_config(),
        logging_config=None,
    )
    app.asgi_handler = HeadRequests(EncodedIdPaths(app.asgi_handler))
    return app


def _create_readers(settings: Settings) -> StoreReaders:
    """Return the readers of the first authority that can be read."""
    for store in settings.authorities:
        create = _READERS[store]
        if create is not None:
            return create(settings)
    return StoreReaders(None, unread=settings.stores)


def _read_postgres(settings: Settings) -> StoreReaders:
    """Return the readers of Postgres, and of Redis beside it, which is read as its follower."""
    postgres, following = PostgresReader(settings.postgres), None
    if settings.is_followed:
        authority = SequenceNumberPoller(postgres.sequence_numbers)
        following = FollowerSetup(RedisFollower(settings), authority)
    analytics = PostgresAnalytics(settings.postgres)
    return StoreReaders(postgres, following=following, analytics=analytics)


def _read_redis(settings: Settings) -> StoreReaders:
    return StoreReaders(RedisReader(settings))


_READERS: Final[Mapping[Store, Callable[[Settings], StoreReaders] | None]] = {
    "postgres": _read_postgres,
    "redis": _read_redis,
    "delta": None,
}
"""What reads each store where it is an authority; None where the API can't read it."""


def _middleware(settings: Settings, tokens: Tokens | None) -> list[Middleware]:
    listens_on = () if settings.api_host in {"0.0.0.0", "::"} else (settings.api_host,)  # noqa: S104
    middleware: list[Middleware] = [
        # First, so that it measures the requests that the others reject.
        RequestMetrics(),
        AllowedHosts((*listens_on, *settings.api_hosts)),
    ]
    if settings.api_rate:
        middleware.append(RateLimit(settings.api_rate))
    if tokens is not None:
        middleware.append(DefineMiddleware(Authentication, tokens=tokens))
    return middleware


def _cors_config(settings: Settings) -> CORSConfig | None:
    """Allow requests of pages of the named origins, with a token: they can't send the cookie."""
    if not settings.api_origins:
        return None
    return CORSConfig(
        allow_origins=list(settings.api_origins),
        allow_methods=["GET", "HEAD", "POST"],
        allow_headers=["Authorization", "Content-Type", "If-None-Match", "Last-Event-ID"],
        expose_headers=["ETag", "Retry-After", AS_OF, STORE, COMPLETE, TIME_ZONE],
    )


def _openapi_config() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Mobility Hub",
        version="0.1.0",
        use_handler_docstrings=True,
        render_plugins=[SchemaPage(path="/"), JsonRenderPlugin()],
        openapi_router=Router(
            "/schema", route_handlers=[], opt={PUBLIC: True}, include_in_schema=False
        ),
    )
