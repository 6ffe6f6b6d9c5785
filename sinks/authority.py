"""What a follower asks of Postgres, the authority: how far it is, what has changed, and totals."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl
from psycopg import sql
from psycopg.rows import class_row

from mobility.entities import Entity
from mobility.records import MIN_EVENT_TIME
from mobility.settings import Settings
from postgres.connection import Connection
from sinks.postgres_copy import copy_out
from sinks.postgres_session import PostgresSession
from sinks.sql_files import entity_statement, sql_file
from sinks.store import TOUCHED_SCHEMA

_NO_RETRY: Final = 0.0

REFILL_SCHEMA: Final = pl.Schema(
    {**TOUCHED_SCHEMA, "left_seconds": pl.Int64(), "number": pl.Int64()}
)
"""Totals of ids, the time to live that each has left in Redis, and the sequence number of the last
transaction that they contain."""

_IDS: Final = pl.Schema({"id": pl.String()})


@dataclass(frozen=True, slots=True)
class AuthorityState:
    """How far an entity is in the store `instance_id`.

    `number` is that of the last transaction, `backfilled` that of the last one of a backfill;
    `progress` has the watermark (epoch ms) of each shard; `lowest`, their minimum, is that of a
    shard that has none since the number of shards was changed (reset_progress.sql).
    """

    number: int
    backfilled: int
    instance_id: str
    progress: dict[str, int]
    lowest: int


class Authority:
    """Asks for an entity. All methods raise StoreError at once where Postgres does not answer."""

    def __init__(self, session: PostgresSession, settings: Settings, entity: Entity) -> None:
        """Ask over `session`, which `close` closes."""
        self._session = session
        self._entity = entity
        self._expiry = sql.Literal(settings.redis_expiry)
        self._shards = settings.shards

    def state(self) -> AuthorityState:
        """Return how far the entity is."""

        def read(connection: Connection) -> AuthorityState:
            with connection.cursor(row_factory=class_row(AuthorityState)) as cursor:
                statement = sql_file("read_authority_state.sql")
                params = {
                    "entity": self._entity.name,
                    "shards": self._shards,
                    "min_event_time": MIN_EVENT_TIME,
                }
                (state,) = cursor.execute(statement, params).fetchall()
                return state

        return self._session.run(read, _NO_RETRY)

    def changed_ids(self, after: int, until: int) -> pl.Series | None:
        """Return the ids that the transactions after one number, up to another, have touched.

        None where they are not kept any more, or were not.
        """
        params = {"entity": self._entity.name, "after": after, "until": until}

        def read(connection: Connection) -> tuple[int, str]:
            ((transactions, ids),) = connection.execute(
                sql_file("select_changes.sql"), params
            ).fetchall()
            return int(str(transactions)), str(ids)

        transactions, ids = self._session.run(read, _NO_RETRY)
        if transactions < until - after:
            return None
        return pl.Series("id", ids.split("\n") if ids else [], pl.String).unique()

    def recent_ids(self) -> pl.Series:
        """Return the ids that should not have expired in Redis."""
        query = entity_statement(self._entity, "select_recent_ids.sql", expiry=self._expiry)
        return self._session.run(
            lambda connection: copy_out(connection, query, _IDS), _NO_RETRY
        ).to_series()

    def totals(self, ids: Sequence[str]) -> pl.DataFrame:
        """Return the totals of those ids that there are, as of one moment (REFILL_SCHEMA)."""
        query = entity_statement(
            self._entity,
            "read_totals.sql",
            ids=sql.Literal(list(ids)),
            name=sql.Literal(self._entity.name),
            expiry=self._expiry,
        )
        return self._session.run(
            lambda connection: copy_out(connection, query, REFILL_SCHEMA), _NO_RETRY
        )

    def delete_old_changes(self) -> None:
        """Delete what was kept for over an hour: who is further behind gets all recent ids."""
        params = {"entity": self._entity.name}
        self._session.run(
            lambda connection: connection.execute(sql_file("delete_old_changes.sql"), params),
            _NO_RETRY,
        )

    def close(self) -> None:
        """Close the session."""
        self._session.close()
