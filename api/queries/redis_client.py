"""Connections to Redis, and the reasons that clients get for its failures."""

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Final

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from redis_cluster.connection import host_urls, is_cluster, other_hosts

_CONNECT_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 1.0

_CLUSTER_CONNECTIONS: Final = 256
"""To each master: its client refuses what has no free connection, instead of waiting for one."""

FAILURES: Final = (
    exceptions.RedisError,
    exceptions.RedisClusterException,
    TimeoutError,
    OSError,
)
"""What calls of a client raise where Redis does not answer, or refuses."""


class RedisServer:
    """The Redis of a URL: one server, or a cluster, which the first connection finds out."""

    def __init__(self, url: str, size: int, seconds: float, *, decode_responses: bool) -> None:
        """Have up to `size` connections to each server, which must answer within `seconds`."""
        self._url = url
        self._size = size
        self._seconds = seconds
        self._decode_responses = decode_responses
        self._client: Redis | RedisCluster | None = None
        self._connecting = asyncio.Lock()
        self._is_outdated = False
        self._next_look = 0.0

    async def client(self) -> Redis | RedisCluster:
        """Return the client. Raises one of FAILURES where no server says what it is."""
        async with self._connecting:
            if self._client is None:
                self._client = await self._connect()
            is_due = self._is_outdated and time.monotonic() >= self._next_look
            if is_due and isinstance(self._client, RedisCluster):
                self._next_look = time.monotonic() + _LOOK_SECONDS
                await self._client.nodes_manager.initialize()
                self._is_outdated = False
            return self._client

    def look_again(self) -> None:
        """See within a second who is a master: one may have failed, or have given slots away.

        redis-py notices by itself only what a server tells it.
        """
        self._is_outdated = True

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()

    async def _connect(self) -> Redis | RedisCluster:
        failure: Exception | None = None
        for url in host_urls(self._url):
            server = connect_redis(
                url, self._size, self._seconds, decode_responses=self._decode_responses
            )
            async with AsyncExitStack() as closing:
                closing.push_async_callback(server.aclose)
                try:
                    if await _asks_cluster(server):
                        return self._connect_cluster()
                except FAILURES as error:
                    failure = error
                else:
                    closing.pop_all()
                    return server
        raise failure or exceptions.ConnectionError(self._url)

    def _connect_cluster(self) -> RedisCluster:
        first, *_ = host_urls(self._url)
        return RedisCluster.from_url(
            first,
            startup_nodes=[ClusterNode(host, port) for host, port in other_hosts(self._url)],
            max_connections=_CLUSTER_CONNECTIONS,
            require_full_coverage=False,
            socket_connect_timeout=_CONNECT_SECONDS,
            socket_timeout=self._seconds,
            retry=Retry(NoBackoff(), retries=0),
            decode_responses=self._decode_responses,
        )


async def _asks_cluster(server: Redis) -> bool:
    try:
        return is_cluster(await server.execute_command("HELLO"))  # type: ignore[no-untyped-call] # redis has no annotations there
    except exceptions.ResponseError:
        # It is older than Redis 6, or a proxy that does not know the command: one server.
        return False


def connect_redis(url: str, size: int, seconds: float, *, decode_responses: bool) -> Redis:
    """Return a client with up to `size` connections and a timeout of `seconds` for each answer.

    It does not retry: the caller decides what to do about a failure. The pool itself replaces
    connections that the server has closed.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=size,
        timeout=_CONNECT_SECONDS,
        socket_connect_timeout=_CONNECT_SECONDS,
        socket_timeout=seconds,
        retry=Retry(NoBackoff(), retries=0),
        decode_responses=decode_responses,
    )
    return Redis.from_pool(pool)


def failure_reason(error: Exception) -> str:
    """Return the reason of a failure, to complete "redis …"; it contains no secret."""
    if isinstance(error, exceptions.AuthenticationError):
        return "does not accept the credentials"
    if isinstance(error, exceptions.BusyLoadingError):
        return "is still loading its data"
    if isinstance(error, TimeoutError | exceptions.TimeoutError):
        return "does not answer in time"
    if isinstance(error, exceptions.ClusterDownError | exceptions.SlotNotCoveredError):
        return "is a cluster that lacks a master"
    if isinstance(error, exceptions.ConnectionError | exceptions.RedisClusterException | OSError):
        return "cannot be reached"
    return "answers with an error"
