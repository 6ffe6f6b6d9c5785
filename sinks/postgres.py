"""The lasting store: windows and totals in Postgres, for ever."""

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

import polars as pl
from psycopg import sql
from psycopg.rows import BaseRowFactory, class_row, scalar_row

from mobility.entities import Entity
from mobility.records import MIN_EVENT_TIME, WINDOW_SCHEMA
from mobility.settings import Settings
from sinks.migrations import Connection
from sinks.postgres_copy import copy_in, copy_out
from sinks.postgres_session import Session, open_session
from sinks.retry import SECONDS, START_SECONDS, Stopping, Wait, never, pause
from sinks.scripts import for_entity, text
from sinks.store import FLOWS, TOTALS_SCHEMA, Applied, Writer


def connect_postgres(
    settings: Settings, writer: Writer, *, wait: Wait = pause, stopping: Stopping = never
) -> "PostgresStore":
    """Connect as `writer`.

    Raises StoreError where Postgres does not answer, was filled with other settings, or is written
    to by another flow.
    """

    def connect(patience: float) -> Session:
        return open_session(settings, writer, wait=wait, stopping=stopping, patience=patience)

    # A backfill's lock is its own alone: a second session of it would be refused.
    beside = partial(connect, SECONDS) if writer in FLOWS else None
    return PostgresStore(connect(START_SECONDS), beside)


SPLIT: Final = 2_000
"""Rows from which a batch is two transactions: one commits while the other works."""


R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class _Added:
    """The windows of `unseen` ids, which are in now, and how many others there are."""

    windows: int
    known: int
    unseen: list[str]


class PostgresStore:
    """Reconciles a batch in a transaction or two, committed before `apply` returns.

    Versions make replays harmless, not the transaction: what was committed before a crash is
    applied again without effect, so rows need not wait for a snapshot to become visible.
    """

    def __init__(self, session: Session, beside: Callable[[], Session] | None = None) -> None:
        """Use `session`, and more, which `beside` opens when needed.

        One is for large batches, one for progress: that of a batch is recorded while the next is
        applied.
        """
        self._session = session
        self._open = beside
        self._beside: Session | None = None
        self._marking: Session | None = None

    def apply(self, entity: Entity, rows: pl.DataFrame, unseen: Collection[str] = ()) -> Applied:
        """Reconcile coalesced rows (WINDOW_SCHEMA); nothing is ever too old to be applied.

        It is filled from no other store, and tells which ids it had never seen itself.
        """
        del unseen
        half = 0
        if self._open is not None and rows.height >= SPLIT:
            self._beside = self._beside or self._open()
            # Rows of one id stay together, so that the parts have nothing to wait for.
            half = rows["id"].search_sorted(rows["id"][rows.height // 2])
        if self._beside is None or half == 0:
            return self._apply(self._session, entity, rows)
        with ThreadPoolExecutor(1, "postgres") as line:
            other = line.submit(self._apply, self._beside, entity, rows.head(half))
            return self._apply(self._session, entity, rows.tail(-half)) + other.result()

    def _apply(self, session: Session, entity: Entity, rows: pl.DataFrame) -> Applied:
        """Reconcile rows in one transaction."""

        def reconcile(connection: Connection) -> Applied:
            copy_in(connection, sql.Identifier("staged"), rows)
            added = _only(
                connection, class_row(_Added), for_entity(entity, "sql", "insert_new_ids.sql")
            )
            applied = added.windows
            if applied < rows.height:
                if added.known + len(added.unseen) < rows["id"].n_unique():
                    connection.execute(for_entity(entity, "sql", "lock_staged_ids.sql"))
                statement = for_entity(entity, "sql", "reconcile.sql")
                applied += _only(connection, scalar_row, statement)
            return Applied(applied, rows.height - applied, unseen=tuple(added.unseen))

        return session.run(reconcile)

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
        layout = sql.SQL(text("sql", "reset_progress.sql")).format(
            entity=sql.Literal(entity.name),
            shards=sql.Literal(shards),
            unheard=sql.Literal(MIN_EVENT_TIME),
        )

        def record(connection: Connection) -> None:
            statement = text("sql", "record_progress.sql")
            if connection.execute(statement, row).rowcount == 0:
                connection.execute(layout)
                connection.execute(statement, row)

        if self._open is not None:
            self._marking = self._marking or self._open()
        (self._marking or self._session).run(record)

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
        """Close the connections, and with them give up the flow's lock."""
        for session in (self._session, self._beside, self._marking):
            if session is not None:
                session.close()

    def _table(self, entity: Entity, name: str, schema: pl.Schema) -> pl.DataFrame:
        columns = sql.SQL(", ").join(map(sql.Identifier, schema.names()))
        table = sql.Identifier(f"{entity.name}_{name}")
        query = sql.SQL("SELECT {} FROM {}").format(columns, table)
        return self._session.run(lambda connection: copy_out(connection, query, schema))


def _only(connection: Connection, rows_as: BaseRowFactory[R], statement: sql.Composed) -> R:
    """Return the only row of a statement's answer."""
    with connection.cursor(row_factory=rows_as) as cursor:
        (found,) = cursor.execute(statement).fetchall()
        return found
