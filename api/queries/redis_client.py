"""Connections to Redis, and the reasons that clients get for its failures."""

from typing import Final

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

_CONNECT_SECONDS: Final = 1.0


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
    if isinstance(error, exceptions.ConnectionError | OSError):
        return "cannot be reached"
    return "answers with an error"
