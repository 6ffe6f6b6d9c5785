"""The Postgres store: windows and totals. Totals are kept for ever."""

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Final, TypeVar

import polars as pl
import psycopg
from psycopg import sql
from psycopg.rows import BaseRowFactory, class_row, scalar_row

from mobility.entities import Entity
from mobility.records import MIN_EVENT_TIME, WINDOW_SCHEMA
from mobility.settings import Settings, Store
from mobility.sketched_measures import Sketch, sketches_named
from mobility.totals import WINDOW_KEY
from postgres.connection import Connection
from sinks.measure_lists import sketch_lists
from sinks.migrations import columns_of
from sinks.new_windows import CopyChoice, copy_windows, select_touched
from sinks.partition_reconciling import chosen_parts, reconcile_part
from sinks.partitions import Partition, create_partitions, week_of
from sinks.postgres_copy import copy_in, copy_out
from sinks.postgres_session import PostgresSession, open_postgres_session
from sinks.retry import Sleep, StopRequested, no_stop
from sinks.sql_files import entity_statement, sql_file
from sinks.store import (
    FLOWS,
    TOTALS_SCHEMA,
    TOUCHED_SCHEMA,
    ApplyResult,
    SequenceNumber,
    StoreError,
    Touched,
    WriterRole,
    refuse_behind,
    refuse_large_windows,
)

SPLIT_ROWS: Final = 2_000
"""Rows from which a batch is two concurrent transactions: one commits while the other works."""

PROCESS_CONNECTIONS: Final = 4
"""Connections of a process of a flow. Two take the halves of a large batch, another what is done
meanwhile; one is for the status (sinks/status.py). Once a minute there is one more
(sinks/ledger_maintenance.py)."""

MAX_BIGINT: Final = 2**63 - 1
"""The largest amount of a window."""

_FOR_RECONCILING: Final = (
    psycopg.errors.UniqueViolation,
    psycopg.errors.NumericValueOutOfRange,
)
"""What copying windows fails with where one is in the ledger, and where totals need a carry."""

_NO_PARTITION: Final = (psycopg.errors.CheckViolation, psycopg.errors.UndefinedTable)
"""What writing windows fails with where the partition of one is closed or gone."""

R = TypeVar("R")


def open_session(
    settings: Settings,
    writer: WriterRole,
    *,
    sleep: Sleep = time.sleep,
    stop_requested: StopRequested = no_stop,
) -> PostgresSession:
    """Return a session with the connections of a process for windows and refills.

    Raises StoreError where Postgres does not answer, was filled with other settings, or is written
    to by another flow.
    """
    connections = 1
    if writer in FLOWS:
        # Whether the cluster was replaced is asked over a connection of its own, before offsets are
        # committed (sinks/fencing.py).
        connections = PROCESS_CONNECTIONS - 1 - bool(settings.consumer_group)
    return open_postgres_session(
        settings, writer, connections=connections, sleep=sleep, stop_requested=stop_requested
    )


def connect_postgres(
    settings: Settings,
    writer: WriterRole,
    *,
    sleep: Sleep = time.sleep,
    stop_requested: StopRequested = no_stop,
) -> "PostgresStore":
    """Connect as `writer`, with a session of its own. Raises StoreError as `open_session`."""
    session = open_session(settings, writer, sleep=sleep, stop_requested=stop_requested)
    return PostgresStore(session, writer, is_followed=settings.is_followed)


@dataclass(frozen=True, slots=True)
class _Numbered:
    """The answer of next_sequence_number.sql."""

    number: int
    backfilled: int
    instance_id: str

    @property
    def sequence_number(self) -> SequenceNumber:
        """The number, and whose it is."""
        return SequenceNumber(self.instance_id, self.number)


class PostgresStore:
    """Reconciles a batch in one transaction or two, committed before `apply` returns.

    A batch that was committed before a crash is applied again without effect, because of the
    versions. So windows are visible at once, and not only after the snapshot of their epoch.
    """

    def __init__(
        self,
        session: PostgresSession,
        writer: WriterRole | None = None,
        *,
        is_followed: bool = False,
    ) -> None:
        """Write as `writer` over `session`, which `close` closes.

        Large batches are written over two of its connections. Where the store `is_followed`, it
        keeps the ids that it has touched, and `apply` returns what it has.
        """
        self._session = session
        self._is_backfill = writer == "backfill"
        self._is_followed = is_followed
        self._sequence_numbers: dict[str, SequenceNumber] = {}
        self._sketches: dict[str, tuple[Sketch, ...]] = {}
        self._choices: dict[str, CopyChoice] = {}
        self._partitions: dict[str, dict[int, Partition]] = {}

    @property
    def kind(self) -> Store:
        """Return the name of the store in MOBILITY_STORES."""
        return "postgres"

    def apply(self, entity: Entity, rows: pl.DataFrame) -> ApplyResult:
        """Reconcile windows (`window_schema`, one row a window).

        Those from before what the ledger keeps are not counted: they may have been, and dropped.
        """
        refuse_large_windows(self._session.name, entity, rows, MAX_BIGINT)
        try:
            return self._apply_kept(entity, rows)
        except StoreError as error:
            if not isinstance(error.__cause__, _NO_PARTITION):
                raise
        # It was dropped, or the store was replaced by an earlier copy of it.
        self._partitions[entity.name].clear()
        return self._apply_kept(entity, rows)

    def sequence_number(self, entity: Entity) -> SequenceNumber:
        """Return the sequence number after the last windows that this object has applied."""
        known = self._sequence_numbers.get(entity.name)
        if known is None:
            known = self._session.run(lambda connection: _read_sequence_number(connection, entity))
            self._sequence_numbers[entity.name] = known
        return known

    def _sketches_in(self, entity: Entity) -> tuple[Sketch, ...]:
        """Return the sketches that the ledger has columns of.

        Also those that are not computed any more: an updated window must not keep an old one.
        """
        if entity.name not in self._sketches:
            ledger = f"{entity.name}_ledger"
            columns = self._session.run(lambda connection: columns_of(connection, ledger))
            self._sketches[entity.name] = sketches_named(columns)
        return self._sketches[entity.name]

    def _apply_kept(self, entity: Entity, rows: pl.DataFrame) -> ApplyResult:
        """Reconcile the windows of weeks that the ledger still keeps, and count the others."""
        known = self._partitions.setdefault(entity.name, {})
        starts = rows["window_start"].unique().to_list()
        if missing := {week_of(start) for start in starts} - known.keys():
            known |= self._session.run(
                lambda connection: create_partitions(connection, entity, missing)
            )
        dropped = [start for start in starts if week_of(start) not in known]
        kept = rows.filter(~pl.col("window_start").is_in(dropped)) if dropped else rows
        too_old = rows.height - kept.height
        if too_old:
            values = {"entity": entity.name, "refused": too_old}
            statement = sql_file("count_refused.sql")
            self._session.run(lambda connection: connection.execute(statement, values))
        if kept.is_empty():
            return ApplyResult(too_old=too_old)
        result = self._apply_in_halves(entity, kept, self.sequence_number(entity))
        if result.sequence_number is not None:
            self._sequence_numbers[entity.name] = result.sequence_number
        return result + ApplyResult(too_old=too_old)

    def _partitions_of(self, entity: Entity, rows: pl.DataFrame) -> list[Partition]:
        """Return the partitions of windows, which are known."""
        known = self._partitions[entity.name]
        found = {known[week_of(start)] for start in rows["window_start"].unique()}
        return sorted(found, key=lambda each: each.end)

    def _apply_in_halves(
        self, entity: Entity, rows: pl.DataFrame, known: SequenceNumber
    ) -> ApplyResult:
        """Reconcile windows in one transaction, or large batches in two concurrent ones."""
        if self._session.connections == 1 or rows.height < SPLIT_ROWS:
            return self._apply(entity, rows, known)
        # Rows of one id stay together, so that the halves don't wait for each other's locks.
        half = rows["id"].search_sorted(rows["id"][rows.height // 2])
        if half == 0:
            return self._apply(entity, rows, known)
        with ThreadPoolExecutor(1, "postgres") as executor:
            other = executor.submit(self._apply, entity, rows.head(half), known)
            return self._apply(entity, rows.tail(-half), known) + other.result()

    def _apply(self, entity: Entity, rows: pl.DataFrame, known: SequenceNumber) -> ApplyResult:
        """Write windows; the sequence numbers of the transactions must be above `known`.

        Those that are expected to be new are copied, in one transaction; all others are reconciled
        in another one.
        """
        choice = self._choices.setdefault(entity.name, CopyChoice())
        new = choice.expected_new(rows)
        if new.is_empty():
            return self._reconcile(entity, rows, known)
        attempts = count()
        copied = self._copy(entity, new, known, attempts)
        choice.learn(were_new=copied is not None)
        if copied is None:
            # One attempt to copy has certainly changed nothing. Of several, one lacks its reply.
            return self._reconcile(entity, rows, known, is_repeated=next(attempts) > 1)
        if new.height == rows.height:
            return copied
        others = rows.join(new, list(WINDOW_KEY), "anti", maintain_order="left")
        return copied + self._reconcile(entity, others, known)

    def _copy(
        self, entity: Entity, rows: pl.DataFrame, known: SequenceNumber, attempts: Iterator[int]
    ) -> ApplyResult | None:
        """Copy windows into the ledger; return None, with nothing changed, where one was there."""
        sketches = self._sketches_in(entity)

        def copy(connection: Connection) -> ApplyResult:
            next(attempts)
            copy_windows(connection, entity, rows, sketches)
            totals = select_touched(connection, entity) if self._is_followed else None
            numbered = self._next_sequence_number(connection, entity, rows, known, rows)
            touched = None
            if totals is not None:
                touched = _touched(totals, rows, numbered)
            return ApplyResult(
                rows.height, sequence_number=numbered.sequence_number, touched=touched
            )

        try:
            return self._session.run(copy)
        except StoreError as error:
            if not isinstance(error.__cause__, _FOR_RECONCILING):
                raise
        return None

    def _reconcile(
        self,
        entity: Entity,
        rows: pl.DataFrame,
        known: SequenceNumber,
        *,
        is_repeated: bool = False,
    ) -> ApplyResult:
        """Reconcile windows; with `is_repeated` an earlier attempt may have been committed."""
        attempts = count(int(is_repeated))
        lists = sketch_lists(self._sketches_in(entity))
        partitions = self._partitions_of(entity, rows)

        def reconcile(connection: Connection, *, are_wide: bool = False) -> ApplyResult:
            is_repeated = next(attempts) > 0
            copy_in(connection, sql.Identifier("staged"), rows)
            _lock_staged_ids(connection, entity, rows["id"].n_unique())
            parts = [
                reconcile_part(
                    *(connection, entity, chosen, lists),
                    are_wide=are_wide,
                    are_returned=self._is_followed,
                )
                for chosen in chosen_parts(partitions)
            ]
            applied = sum(part.applied for part in parts)
            changed = rows if applied else rows.clear()
            numbered = self._next_sequence_number(connection, entity, rows, known, changed)
            touched = None
            if self._is_followed:
                accepted = pl.concat(part.accepted for part in parts)
                windows = rows.join(accepted, list(WINDOW_KEY), "semi")
                # Of an id that is in several parts, the last one has its totals.
                touched = _touched(accepted.unique("id", keep="last"), windows, numbered)
                if is_repeated:
                    # The first attempt may have been committed, and this one has changed nothing.
                    touched = replace(touched, reread=numbered.number)
            return ApplyResult(
                applied,
                rows.height - applied,
                sequence_number=numbered.sequence_number,
                touched=touched,
            )

        try:
            return self._session.run(reconcile)
        except StoreError as error:
            if not isinstance(error.__cause__, psycopg.errors.NumericValueOutOfRange):
                raise
        # A carry takes longer, and is needed once in 10^12 units of an id at most.
        return self._session.run(partial(reconcile, are_wide=True))

    def _next_sequence_number(
        self,
        connection: Connection,
        entity: Entity,
        rows: pl.DataFrame,
        known: SequenceNumber,
        changed: pl.DataFrame,
    ) -> _Numbered:
        """Give the transaction that has written `rows` its number. Raises StoreBehindError.

        The hours of `changed` are rolled up again, if they were.
        """
        ids = "\n".join(rows["id"].unique()) if self._is_followed else None
        params = {
            "entity": entity.name,
            "is_backfill": self._is_backfill,
            "ids": ids,
            "oldest": rows["window_start"].min(),
            "newest": rows["window_start"].max(),
            "changed": changed["window_start"].unique().to_list(),
        }
        numbered = _only_row(
            connection, class_row(_Numbered), sql_file("next_sequence_number.sql"), params
        )
        least = SequenceNumber(known.instance_id, known.number + 1)
        if numbered.sequence_number.is_behind(least):
            refuse_behind(self._session.name, entity, known)
        return numbered

    def record_progress(
        self, entity: Entity, shard: int, shards: int, watermark: int | None
    ) -> None:
        """Record that all windows of a shard up to a watermark (epoch ms) are in the store."""
        row = {
            "entity": entity.name,
            "shard": shard,
            "shards": shards,
            "watermark": MIN_EVENT_TIME if watermark is None else watermark,
        }
        reset = sql.SQL(sql_file("reset_progress.sql")).format(
            entity=sql.Literal(entity.name),
            shards=sql.Literal(shards),
            min_event_time=sql.Literal(MIN_EVENT_TIME),
        )

        def record(connection: Connection) -> None:
            statement = sql_file("record_progress.sql")
            if connection.execute(statement, row).rowcount == 0:
                connection.execute(reset)
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
        return self._read(entity, "read_all_totals.sql", TOTALS_SCHEMA).sort("id")

    def windows(self, entity: Entity) -> pl.DataFrame:
        """Return the ledger (WINDOW_SCHEMA), sorted by id and window start."""
        return self._read(entity, "read_all_windows.sql", WINDOW_SCHEMA).sort("id", "window_start")

    def close(self) -> None:
        """Close the session, which releases the writer's advisory lock."""
        self._session.close()

    def _read(self, entity: Entity, name: str, schema: pl.Schema) -> pl.DataFrame:
        query = entity_statement(entity, name)
        return self._session.run(lambda connection: copy_out(connection, query, schema))


def _read_sequence_number(connection: Connection, entity: Entity) -> SequenceNumber:
    statement, params = sql_file("read_sequence_number.sql"), {"entity": entity.name}
    return _only_row(connection, class_row(SequenceNumber), statement, params)


def _lock_staged_ids(connection: Connection, entity: Entity, ids: int) -> None:
    """Lock all ids of the staged windows; `ids` is how many they are."""
    statement = entity_statement(entity, "lock_staged_ids.sql")
    while _only_row(connection, scalar_row, statement) < ids:
        pass  # Another transaction has added one meanwhile.


def _touched(totals: pl.DataFrame, windows: pl.DataFrame, numbered: _Numbered) -> Touched:
    """Return what the transaction of this number has changed. A follower has no sketches."""
    return Touched(
        totals.select(TOUCHED_SCHEMA.names()),
        windows.select(WINDOW_SCHEMA.names()),
        numbered.number,
        numbered.number,
        reread=numbered.backfilled,
    )


def _only_row(
    connection: Connection,
    rows_as: BaseRowFactory[R],
    statement: str | sql.Composed,
    params: Mapping[str, object] | None = None,
) -> R:
    """Return the only row that a statement returns."""
    with connection.cursor(row_factory=rows_as) as cursor:
        (row,) = cursor.execute(statement, params).fetchall()
        return row
