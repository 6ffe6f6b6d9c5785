"""The lasting store: windows and totals in Postgres, for ever."""

import polars as pl
from psycopg import sql

from mobility.entities import Entity
from mobility.records import MIN_EVENT_TIME, WINDOW_SCHEMA
from mobility.settings import Settings
from sinks.copying import copy_in, copy_out
from sinks.migrations import Connection
from sinks.patience import Stopping, Wait, never, pause
from sinks.scripts import for_entity, text
from sinks.session import Session, open_session
from sinks.store import TOTALS_SCHEMA, Applied, Writer


def connect_postgres(
    settings: Settings, writer: Writer, *, wait: Wait = pause, stopping: Stopping = never
) -> "PostgresStore":
    """Connect as `writer`.

    Raises StoreError where Postgres does not answer, was filled with other settings, or is written
    to by another flow.
    """
    return PostgresStore(open_session(settings, writer, wait=wait, stopping=stopping))


class PostgresStore:
    """Reconciles a batch in one transaction, committed before `apply` returns.

    Versions make replays harmless, not the transaction: what was committed before a crash is
    applied again without effect, so rows need not wait for a snapshot to become visible.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def apply(self, entity: Entity, rows: pl.DataFrame) -> Applied:
        """Reconcile coalesced rows (WINDOW_SCHEMA); nothing is ever too old to be applied."""

        def reconcile(connection: Connection) -> int:
            copy_in(connection, sql.Identifier("staged"), rows)
            added = _count(connection, for_entity(entity, "sql", "add.sql"))
            if added == rows.height:
                return added
            connection.execute(for_entity(entity, "sql", "lock.sql"))
            return added + _count(connection, for_entity(entity, "sql", "reconcile.sql"))

        applied = self._session.run(reconcile)
        return Applied(applied=applied, unchanged=rows.height - applied)

    def record_progress(
        self, entity: Entity, shard: int, shards: int, watermark: int | None
    ) -> None:
        """Record that all rows of a shard up to a watermark (epoch ms) are in the store."""
        row = {
            "entity": entity.name,
            "shard": shard,
            "shards": shards,
            "watermark": MIN_EVENT_TIME if watermark is None else watermark,
        }
        layout = sql.SQL(text("sql", "lay_out.sql")).format(
            entity=sql.Literal(entity.name),
            shards=sql.Literal(shards),
            unheard=sql.Literal(MIN_EVENT_TIME),
        )

        def record(connection: Connection) -> None:
            statement = text("sql", "record_progress.sql")
            if connection.execute(statement, row).rowcount == 0:
                connection.execute(layout)
                connection.execute(statement, row)

        self._session.run(record)

    def progress(self, entity: Entity) -> dict[int, int]:
        """Return the watermark (epoch ms) of each shard."""
        query = sql.SQL(
            "SELECT shard, watermark FROM progress WHERE entity = {} ORDER BY shard"
        ).format(sql.Literal(entity.name))
        schema = pl.Schema({"shard": pl.Int64, "watermark": pl.Int64})
        rows = self._session.run(lambda connection: copy_out(connection, query, schema))
        return dict(rows.iter_rows())

    def totals(self, entity: Entity) -> pl.DataFrame:
        """Return every id's running totals (TOTALS_SCHEMA), sorted by id."""
        return self._table(entity, "totals", TOTALS_SCHEMA).sort("id")

    def windows(self, entity: Entity) -> pl.DataFrame:
        """Return the ledger (WINDOW_SCHEMA), sorted by id and window start."""
        return self._table(entity, "ledger", WINDOW_SCHEMA).sort("id", "window_start")

    def close(self) -> None:
        """Close the connection, and with it give up the flow's lock."""
        self._session.close()

    def _table(self, entity: Entity, name: str, schema: pl.Schema) -> pl.DataFrame:
        columns = sql.SQL(", ").join(map(sql.Identifier, schema.names()))
        table = sql.Identifier(f"{entity.name}_{name}")
        query = sql.SQL("SELECT {} FROM {}").format(columns, table)
        return self._session.run(lambda connection: copy_out(connection, query, schema))


def _count(connection: Connection, statement: sql.Composed) -> int:
    answer = connection.execute(statement).fetchone()
    return 0 if answer is None else int(str(answer[0]))
