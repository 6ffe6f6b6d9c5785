"""What a lasting store remembers of some ids: what an absent id in Redis is filled from."""

from dataclasses import dataclass
from typing import Final, Protocol

import polars as pl
from psycopg import sql

from mobility.entities import Entity
from mobility.records import WINDOW_SCHEMA
from mobility.settings import Settings
from sinks.copying import copy_out
from sinks.patience import Stopping, Wait, never, pause
from sinks.scripts import for_entity
from sinks.session import Session, open_session
from sinks.store import TOTALS_SCHEMA


@dataclass(frozen=True, slots=True)
class History:
    """Totals (TOTALS_SCHEMA) of ids and the recent windows (WINDOW_SCHEMA) that are in them."""

    totals: pl.DataFrame
    windows: pl.DataFrame


class HistorySource(Protocol):
    """Knows ids that another store has forgotten."""

    def read(self, entity: Entity, ids: list[str]) -> History:
        """Return what is known of these ids; an unknown id has no rows."""
        ...

    def close(self) -> None:
        """Close what the source opened."""
        ...


_PREFIX: Final = "all_"
_SCHEMA: Final = pl.Schema(
    {
        "id": WINDOW_SCHEMA["id"],
        **{_PREFIX + name: TOTALS_SCHEMA[name] for name in list(TOTALS_SCHEMA)[1:]},
        **{name: WINDOW_SCHEMA[name] for name in list(WINDOW_SCHEMA)[1:]},
    }
)


def open_history(
    settings: Settings, *, wait: Wait = pause, stopping: Stopping = never
) -> "PostgresHistory":
    """Return the history that these settings' Postgres has, as far back as Redis keeps windows."""
    session = open_session(settings, wait=wait, stopping=stopping)
    return PostgresHistory(session, settings.redis_ledger_hours * 3_600_000)


class PostgresHistory:
    """Reads totals and ledger of ids from Postgres, both as of one moment."""

    def __init__(self, session: Session, retention_ms: int) -> None:
        """Read windows up to `retention_ms` of event time behind an id's newest."""
        self._session = session
        self._retention_ms = retention_ms

    def read(self, entity: Entity, ids: list[str]) -> History:
        """Return what is known of these ids."""
        query = for_entity(
            entity,
            "sql",
            "history.sql",
            ids=sql.Literal(ids),
            retention=sql.Literal(self._retention_ms),
        )
        rows = self._session.run(lambda connection: copy_out(connection, query, _SCHEMA))
        totals = rows.select(
            "id", *(pl.col(_PREFIX + name).alias(name) for name in list(TOTALS_SCHEMA)[1:])
        )
        return History(
            totals=totals.unique("id", keep="first", maintain_order=True),
            windows=rows.select(WINDOW_SCHEMA.names()),
        )

    def close(self) -> None:
        """Close the session."""
        self._session.close()
