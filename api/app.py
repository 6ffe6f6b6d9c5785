"""The application: routes over the stores that the settings name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from litestar import Litestar
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin

from api.access.headers import guard_browsers
from api.live.hub import Hub
from api.live.routes import live_entity, live_id
from api.pages import PAGES
from api.paths import WholeIds
from api.postgres import PostgresReader
from api.problems import PROBLEMS
from api.reader import Reader
from api.readers import Readers
from api.redis import RedisReader
from api.routes import health, listing, metrics
from api.status.routes import live, ready, status
from mobility.settings import Settings, Store

# Pages that draw the schema would load their scripts from other hosts.
_OPENAPI: Final = OpenAPIConfig(
    title="Mobility Hub",
    version="0.1.0",
    use_handler_docstrings=True,
    render_plugins=[JsonRenderPlugin(path="/")],
)


def create_app(settings: Settings) -> Litestar:
    """Return the application; it connects to the stores at the first request that needs them."""
    readers = Readers(_reader(store, settings) for store in settings.stores)
    hub = Hub(settings) if "redis" in settings.stores else None
    return app_over(readers, settings, hub)


def app_over(
    readers: Readers, settings: Settings | None = None, hub: Hub | None = None
) -> Litestar:
    """Return the application over given readers and events, which it closes at its end."""
    told = settings or Settings()

    @asynccontextmanager
    async def closing(_app: Litestar) -> AsyncIterator[None]:
        try:
            yield
        finally:
            if hub is not None:
                await hub.close()
            await readers.close()

    app = Litestar(
        route_handlers=[metrics, listing, health, live, ready, status, live_entity, live_id, PAGES],
        dependencies={
            "readers": Provide(lambda: readers, sync_to_thread=False),
            "hub": Provide(lambda: hub, sync_to_thread=False),
            "settings": Provide(lambda: told, sync_to_thread=False),
        },
        lifespan=[closing],
        before_send=[guard_browsers(told)],
        plugins=[PROBLEMS],
        openapi_config=_OPENAPI,
        logging_config=None,
    )
    app.asgi_handler = WholeIds(app.asgi_handler)
    return app


def _reader(store: Store, settings: Settings) -> Reader:
    return RedisReader(settings) if store == "redis" else PostgresReader(settings.postgres)
