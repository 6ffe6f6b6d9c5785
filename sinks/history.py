"""Totals and recent windows of some ids in Postgres, from which these ids are refilled in Redis."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import polars as pl
from psycopg import sql

from mobility.entities import Entity
from mobility.measures import MEASURE_SCHEMA
from mobility.records import WINDOW_SCHEMA
from mobility.settings import Settings
from postgres.connection import Connection
from sinks.postgres_copy import copy_out
from sinks.postgres_session import PostgresSession
from sinks.retry import RETRY_SECONDS
from sinks.scripts import entity_statement

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class History:
    """Totals and recent windows of some ids, read in one statement.

    `totals` has a row per id: TOTALS_SCHEMA and `left_seconds`, the time to live that the id has
    left in Redis without new windows. `windows` (WINDOW_SCHEMA) are those within the retention of
    the ledger in Redis.
    """

    totals: pl.DataFrame
    windows: pl.DataFrame


class HistorySource(Protocol):
    """Reads the history of ids from the authority."""

    def lock_and_read(self, entity: Entity, ids: list[str], use: Callable[[History], T]) -> T:
        """Return what `use` returns for the history of these ids, which are locked meanwhile.

        Unknown ids have no rows. While `use` runs, no writer can commit windows of these ids. So a
        window that the history lacks is not in Redis either, which is written after Postgres. `use`
        must be idempotent: it is called again, with a newer history, after a lost connection.
        """
        ...

    def recent_ids(self, entity: Entity) -> pl.DataFrame:
        """Return the ids (column `id`) that should not have expired in Redis, sorted."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


_PREFIX: Final = "all_"
_SCHEMA: Final = pl.Schema(
    {
        "id": pl.String(),
        **{_PREFIX + name: kind for name, kind in MEASURE_SCHEMA.items()},
        "left_seconds": pl.Int64(),
        **{name: kind for name, kind in WINDOW_SCHEMA.items() if name != "id"},
    }
)
"""The columns of read_history.sql: a row per window, with the totals of its id."""

_IDS: Final = pl.Schema({"id": WINDOW_SCHEMA["id"]})


class PostgresHistory:
    """Reads totals and ledger of ids from Postgres, as of one moment."""

    def __init__(
        self, session: PostgresSession, settings: Settings, retry_seconds: float = RETRY_SECONDS
    ) -> None:
        """Read windows up to `redis_ledger_hours` of event time behind the newest of an id."""
        self._session = session
        self._expiry = sql.Literal(settings.redis_expiry)
        self._retention = sql.Literal(settings.redis_ledger_hours * 3_600_000)
        self._retry_seconds = retry_seconds

    def lock_and_read(self, entity: Entity, ids: list[str], use: Callable[[History], T]) -> T:
        """Return what `use` returns for the history of these ids, which are locked meanwhile."""
        id_list = sql.Literal(ids)
        # Two statements: one alone would read the windows as they were before it waited for the
        # locks.
        lock = entity_statement(entity, "sql", "lock_ids.sql", ids=id_list)
        query = entity_statement(
            entity,
            "sql",
            "read_history.sql",
            ids=id_list,
            expiry=self._expiry,
            retention=self._retention,
        )

        def read_and_use(connection: Connection) -> T:
            connection.execute(lock)
            return use(_split_history(copy_out(connection, query, _SCHEMA)))

        return self._session.run(read_and_use, self._retry_seconds)

    def recent_ids(self, entity: Entity) -> pl.DataFrame:
        """Return the ids (column `id`) that should not have expired in Redis, sorted."""
        query = entity_statement(entity, "sql", "select_recent_ids.sql", expiry=self._expiry)
        return self._session.run(
            lambda connection: copy_out(connection, query, _IDS), self._retry_seconds
        )

    def close(self) -> None:
        """Close the session."""
        self._session.close()


def _split_history(rows: pl.DataFrame) -> History:
    totals = rows.select(
        "id",
        *(pl.col(_PREFIX + name).alias(name) for name in MEASURE_SCHEMA),
        "left_seconds",
    )
    return History(
        totals=totals.unique("id", keep="first", maintain_order=True),
        windows=rows.select(WINDOW_SCHEMA.names()),
    )
