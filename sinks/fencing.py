"""Fencing tokens: of two clusters on the same stores only the one that was started last may write.

A token is one number for all stores. It only rises, and it is based on the time in epoch ms, so
that a Redis which was emptied can't bring it back down.
"""

import time
from collections.abc import Callable
from contextlib import closing

from mobility.settings import Settings
from sinks.migrations import Connection
from sinks.postgres_session import open_session
from sinks.redis_session import Link, redis_client
from sinks.retry import START_SECONDS
from sinks.scripts import text
from sinks.store import Writer

Offer = Callable[[int], int]
"""Takes a token not below the offered one in a store, and returns it."""


def take_fence(settings: Settings, holder: str, writer: Writer | None = None) -> int:
    """Take a token in every store of the settings, and return it.

    `holder` is text for people: host, process id, time of start, recovery folder. From now on the
    processes of older tokens are refused, whatever they were about to commit; those of this start
    need it as `Settings.fence`. Without stores there is nobody to refuse, and the number is the
    time.

    Raises StoreError, and refuses nobody, where a store can't be used, was filled with other
    settings, or is written to by another flow than `writer`, if that is given.
    """
    offered = time.time_ns() // 1_000_000
    holder = " ".join(holder.split())
    if "postgres" in settings.stores:
        return _in_postgres(settings, holder, writer, offered)
    return _in_redis(settings, holder, writer, offered)


def _in_postgres(settings: Settings, holder: str, writer: Writer | None, offered: int) -> int:
    """Take the token here, and in Redis while nobody else can: of two starts each has its own."""

    def take(connection: Connection) -> int:
        connection.execute(text("sql", "lock_fencing_token.sql"))
        ((held,),) = connection.execute("SELECT token FROM fence").fetchall()
        token = _in_redis(settings, holder, writer, max(offered, int(str(held)) + 1))
        connection.execute(
            "UPDATE fence SET token = %s, holder = %s, taken_at = now()", (token, holder)
        )
        return token

    with closing(open_session(settings, writer)) as session:
        return session.run(take)


def _in_redis(settings: Settings, holder: str, writer: Writer | None, offered: int) -> int:
    """Take a token not below the offered one, which is the answer where there is no Redis."""
    if "redis" not in settings.stores:
        return offered
    link = Link(redis_client(settings), settings, writer or "main", patience=START_SECONDS)
    with closing(link):
        if writer is not None:
            link.sign()
        return link.take_fence(offered, holder)
