"""A proxy between the API and Redis, with which Redis can be away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec
from redis import Redis

from mobility.settings import Settings


class Proxy:
    """A TCP proxy between a client and Redis, which can be cut."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def restore(self) -> None:
        """Accept connections."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Abort all connections, and accept no new ones."""
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.transport.abort()
        self._connections.clear()

    async def _serve(
        self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter
    ) -> None:
        from_redis, to_redis = await asyncio.open_connection(*self._target)
        self._connections |= {to_client, to_redis}
        await asyncio.gather(
            _copy(from_client, to_redis), _copy(from_redis, to_client), return_exceptions=True
        )


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65_536):
            target.write(data)
    target.transport.abort()


@asynccontextmanager
async def proxied(settings: Settings) -> AsyncIterator[tuple[Proxy, Settings]]:
    """Yield a proxy of Redis, and settings that use it."""
    with Redis.from_url(settings.redis) as redis:
        kwargs = redis.connection_pool.connection_kwargs
    proxy = Proxy(kwargs["host"], kwargs["port"])
    await proxy.restore()
    url = settings.redis.replace(f"{kwargs['host']}:{kwargs['port']}", f"127.0.0.1:{proxy.port}")
    assert url != settings.redis
    try:
        yield proxy, msgspec.structs.replace(settings, redis=url)
    finally:
        proxy.cut()
