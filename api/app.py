"""The application: routes over the stores that the settings name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin

from api.access import access
from api.access.authentication import OPEN
from api.access.listening import tokens_of
from api.access.session import log_in, log_out, session
from api.live.hub import Hub
from api.live.routes import live_entity, live_id
from api.pages import PAGES
from api.pages.schema import SchemaPage
from api.queries.contract import Reader
from api.queries.postgres import PostgresReader
from api.queries.postgres_analytics import PostgresAnalyst
from api.queries.redis import RedisReader
from api.queries.store_readers import Readers
from api.queries.time_range import Windows
from api.representation.problems import PROBLEMS
from api.routes import QUERIES
from api.routes.paths import WholeIds
from api.status.health import health
from api.status.prometheus import prometheus
from api.status.routes import live, ready, status
from mobility.settings import Settings, Store

_HEALTH: Final = (health, live, ready, status)
_LIVE: Final = (live_entity, live_id, prometheus)
_SESSION: Final = (session, log_in, log_out)


def create_app(settings: Settings) -> Litestar:
    """Return the application; it connects to the stores at the first request that needs them.

    Raises TokensError where it may not listen where the settings say.
    """
    readers = (_reader(store, settings) for store in settings.stores)
    analyst = PostgresAnalyst(settings.postgres) if "postgres" in settings.stores else None
    hub = Hub(settings) if "redis" in settings.stores else None
    return app_over(Readers(readers, analyst=analyst), settings, hub)


def app_over(readers: Readers, settings: Settings, hub: Hub | None = None) -> Litestar:
    """Return the application over given readers and events, which it closes when it shuts down."""
    windows, tokens = Windows.of(settings), tokens_of(settings)

    @asynccontextmanager
    async def closing(_app: Litestar) -> AsyncIterator[None]:
        try:
            yield
        finally:
            if hub is not None:
                await hub.close()
            await readers.close()

    def after_readers(readers: NamedDependency[Readers]) -> Windows:
        # It needs none, but Litestar gives each of those that it can have at once a task.
        del readers
        return windows

    app = Litestar(
        route_handlers=[QUERIES, *_HEALTH, *_LIVE, *_SESSION, PAGES],
        dependencies={
            "readers": Provide(lambda: readers, sync_to_thread=False),
            "hub": Provide(lambda: hub, sync_to_thread=False),
            "settings": Provide(lambda: settings, sync_to_thread=False),
            "tokens": Provide(lambda: tokens, sync_to_thread=False),
            "windows": Provide(after_readers, sync_to_thread=False),
        },
        lifespan=[closing],
        state=State({"hub": hub}),
        plugins=[PROBLEMS],
        openapi_config=_openapi(),
        logging_config=None,
        **access(settings, tokens),
    )
    app.asgi_handler = WholeIds(app.asgi_handler)
    return app


def _openapi() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Mobility Hub",
        version="0.1.0",
        use_handler_docstrings=True,
        render_plugins=[SchemaPage(path="/"), JsonRenderPlugin()],
        openapi_router=Router(
            "/schema", route_handlers=[], opt={OPEN: True}, include_in_schema=False
        ),
    )


def _reader(store: Store, settings: Settings) -> Reader:
    return RedisReader(settings) if store == "redis" else PostgresReader(settings.postgres)
