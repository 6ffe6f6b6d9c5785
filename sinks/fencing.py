"""Fencing tokens: of two clusters on the same stores only the one that started last may write.

A token is one number for all stores, higher than every earlier one. It starts from the time in
epoch ms, so that a Redis which was emptied can't give out an old token again. The stores check it
in every transaction
(https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html).
"""

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Final

import psycopg
import redis

from mobility.keys import RedisKeys
from mobility.settings import Settings
from postgres.connection import Connection, connect
from sinks.postgres_session import PostgresSession, open_postgres_session
from sinks.redis_session import RedisSession, redis_client
from sinks.retry import START_RETRY_SECONDS, StopRequested, no_stop
from sinks.scripts import text
from sinks.store import StoreError, StoreRefusedError, WriterRole

_ANSWER_SECONDS: Final = 2


def take_fencing_token(
    settings: Settings,
    holder: str,
    writer: WriterRole | None = None,
    *,
    stop_requested: StopRequested = no_stop,
) -> int:
    """Take a token in every store of the settings, and return it.

    `holder` describes this cluster in messages: host, process id, start time, recovery folder. From
    now on the stores refuse processes with lower tokens; those of this start get this one as
    `Settings.fence`. Without stores the token is the time, and is stored nowhere.

    Raises StoreError, and takes no token, where a store can't be used, was filled with other
    settings, or, with a `writer`, is written to by another flow. Where another start would be
    refused as well, it is a StoreRefusedError.
    """
    offered = time.time_ns() // 1_000_000
    holder = " ".join(holder.split())
    if "postgres" in settings.stores:
        with closing(_open_session(settings, writer, stop_requested)) as session:
            return _take_in_postgres(session, holder, offered)
    return _take_in_redis(settings, holder, writer, offered)


def is_fenced(settings: Settings) -> bool:
    """Tell whether a cluster that was started later has taken a token in a store of the settings.

    Nothing waits or is repeated: raises StoreError where a store does not answer within seconds.
    """
    fence = settings.fence
    try:
        return fence is not None and any(token > fence for token in _stored_tokens(settings))
    except (psycopg.Error, redis.RedisError) as error:
        msg = f"a store does not say which fencing token it holds: {error}"
        raise StoreError(msg) from error


def _stored_tokens(settings: Settings) -> Iterator[int]:
    if "postgres" in settings.stores:
        with connect(
            settings.postgres,
            "fencing",
            answer_seconds=_ANSWER_SECONDS,
            connect_seconds=_ANSWER_SECONDS,
        ) as connection:
            ((token,),) = connection.execute("SELECT token FROM fence").fetchall()
            yield int(str(token))
    elif "redis" in settings.stores:
        with redis_client(settings) as client:
            yield int(client.get(RedisKeys.of(settings).fence) or 0)


def _take_in_postgres(session: PostgresSession, holder: str, offered: int) -> int:
    """Take a token in Postgres: concurrent starts take turns. Redis, which follows, gets it later.

    A later one may have been taken there if its clock is ahead: a follower says so.
    """

    def take(connection: Connection) -> int:
        connection.execute(text("sql", "lock_fencing_token.sql"))
        ((stored,),) = connection.execute("SELECT token FROM fence").fetchall()
        token = max(offered, int(str(stored)) + 1)
        connection.execute(
            "UPDATE fence SET token = %s, holder = %s, taken_at = now()", (token, holder)
        )
        return token

    return session.run(take)


def _open_session(
    settings: Settings, writer: WriterRole | None, stop_requested: StopRequested
) -> PostgresSession:
    """Connect to Postgres. A server that is read-only at the start is refused for good."""
    try:
        return open_postgres_session(settings, writer, stop_requested=stop_requested)
    except StoreError as error:
        if isinstance(error.__cause__, psycopg.errors.ReadOnlySqlTransaction):
            raise StoreRefusedError(str(error)) from error
        raise


def _take_in_redis(settings: Settings, holder: str, writer: WriterRole | None, offered: int) -> int:
    """Take a token not below `offered`; return `offered` where the settings have no Redis."""
    if "redis" not in settings.stores:
        return offered
    session = RedisSession(
        redis_client(settings), settings, writer or "main", retry_seconds=START_RETRY_SECONDS
    )
    with closing(session):
        if writer is not None:
            session.initialize()
        return session.take_fencing_token(offered, holder)
