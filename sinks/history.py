"""What a lasting store remembers of some ids: what an absent id in Redis is filled from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import polars as pl
from psycopg import sql

from mobility.entities import Entity
from mobility.records import WINDOW_SCHEMA
from mobility.settings import Settings
from sinks.migrations import Connection
from sinks.postgres_copy import copy_out
from sinks.postgres_session import Session, open_session
from sinks.retry import SECONDS, Stopping, Wait, never, pause
from sinks.scripts import for_entity
from sinks.store import TOTALS_SCHEMA

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class History:
    """What is known of some ids.

    `totals` has a row an id (TOTALS_SCHEMA and `left_seconds`: how long Redis would still keep the
    id without news), `windows` the recent ones of those that are in the totals (WINDOW_SCHEMA).
    """

    totals: pl.DataFrame
    windows: pl.DataFrame


class HistorySource(Protocol):
    """Knows ids that another store has forgotten."""

    def hold(self, entity: Entity, ids: list[str], use: Callable[[History], T]) -> T:
        """Return what `use` returns, called with what is known of these ids.

        Unknown ones have no rows. While it runs nobody reconciles these ids here: whatever is not
        in the history is not committed, and so is not in the other store either, which is written
        after this one. It may be called again, with a newer history, where this store was lost.
        """
        ...

    def recent(self, entity: Entity) -> pl.DataFrame:
        """Return the ids (`id`) that Redis would not have forgotten by now, sorted."""
        ...

    def close(self) -> None:
        """Close what the source opened."""
        ...


_PREFIX: Final = "all_"
_SCHEMA: Final = pl.Schema(
    {
        "id": WINDOW_SCHEMA["id"],
        **{_PREFIX + name: TOTALS_SCHEMA[name] for name in list(TOTALS_SCHEMA)[1:]},
        "left_seconds": pl.Int64(),
        **{name: WINDOW_SCHEMA[name] for name in list(WINDOW_SCHEMA)[1:]},
    }
)
_IDS: Final = pl.Schema({"id": WINDOW_SCHEMA["id"]})


def open_history(
    settings: Settings, *, wait: Wait = pause, stopping: Stopping = never
) -> "PostgresHistory":
    """Return the history in these settings' Postgres, as far back as Redis remembers."""
    return PostgresHistory(open_session(settings, wait=wait, stopping=stopping), settings)


class PostgresHistory:
    """Reads totals and ledger of ids from Postgres, both as of one moment, which it can hold."""

    def __init__(self, session: Session, settings: Settings, patience: float = SECONDS) -> None:
        """Read windows up to `redis_ledger_hours` of event time behind an id's newest."""
        self._session = session
        self._expiry = sql.Literal(settings.redis_expiry)
        self._retention = sql.Literal(settings.redis_ledger_hours * 3_600_000)
        self._patience = patience

    def hold(self, entity: Entity, ids: list[str], use: Callable[[History], T]) -> T:
        """Return what `use` returns of these ids' history, which stays as it is meanwhile."""
        wanted = sql.Literal(ids)
        # Not one statement: it would see the windows as they were before it waited for the ids.
        lock = for_entity(entity, "sql", "lock_ids.sql", ids=wanted)
        query = for_entity(
            entity,
            "sql",
            "read_history.sql",
            ids=wanted,
            expiry=self._expiry,
            retention=self._retention,
        )

        def read_and_use(connection: Connection) -> T:
            connection.execute(lock)
            return use(_history(copy_out(connection, query, _SCHEMA)))

        return self._session.run(read_and_use, self._patience)

    def recent(self, entity: Entity) -> pl.DataFrame:
        """Return the ids (`id`) that Redis must not have forgotten yet, sorted."""
        query = for_entity(entity, "sql", "select_recent_ids.sql", expiry=self._expiry)
        return self._session.run(
            lambda connection: copy_out(connection, query, _IDS), self._patience
        )

    def close(self) -> None:
        """Close the session."""
        self._session.close()


def _history(rows: pl.DataFrame) -> History:
    totals = rows.select(
        "id",
        *(pl.col(_PREFIX + name).alias(name) for name in list(TOTALS_SCHEMA)[1:]),
        "left_seconds",
    )
    return History(
        totals=totals.unique("id", keep="first", maintain_order=True),
        windows=rows.select(WINDOW_SCHEMA.names()),
    )
