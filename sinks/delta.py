"""The Delta Lake store: a table an entity, partitioned by the day of its windows, for any reader.

A table is a ledger to which versions of windows are appended; of a window the row of the highest
`commit_version` counts. A commit is made on the version of the table that it was computed from, or
fails: whoever was slower computes it again (optimistic concurrency,
https://github.com/delta-io/delta/blob/master/PROTOCOL.md). So each row is written exactly once.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final, TypeVar

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from mobility.entities import ENTITIES, Entity
from mobility.records import WINDOW_SCHEMA
from mobility.settings import Settings, Store
from mobility.totals import WINDOW_KEY, running_totals
from sinks.delta_rows import MAX_AMOUNT, TABLE_SCHEMA, decode, encode, newest, same_range
from sinks.delta_sync import sync_commits
from sinks.fencing_tokens import take_in_all
from sinks.reconciliation import accepted_windows
from sinks.retry import (
    RETRY_SECONDS,
    START_RETRY_SECONDS,
    RetryPolicy,
    Sleep,
    StopRequested,
    no_stop,
)
from sinks.store import (
    FLOWS,
    TOTALS_SCHEMA,
    ApplyResult,
    SequenceNumber,
    StoreRefusedError,
    WriterRole,
    advanced_progress,
    refuse_behind,
    refuse_fencing_token,
    refuse_fingerprint,
    refuse_large_windows,
)

COMPACTED_FILES: Final = 50
"""Files of a day from which one takes their place, without the versions that were replaced."""

COMPACTED_ROWS: Final = 5_000_000
"""The largest day that is compacted: it is read into memory."""

_RETENTION: Final = {
    # For those who read an earlier version, and for the files of a commit that is being made.
    "delta.deletedFileRetentionDuration": "interval 1 days",
    "delta.logRetentionDuration": "interval 1 days",
}
_ATTEMPTS: Final = 20

T = TypeVar("T")


class UnavailableError(Exception):
    """The tables can't be read or written at the moment."""


def connect_delta(
    settings: Settings,
    writer: WriterRole,
    *,
    sleep: Sleep = time.sleep,
    stop_requested: StopRequested = no_stop,
) -> "DeltaStore":
    """Connect as `writer`, and create the tables. Raises StoreError where they can't be used."""
    name = f"Delta at {settings.delta}"
    retry = RetryPolicy(name, _remedy, sleep=sleep, stop_requested=stop_requested)
    store = DeltaStore(settings, writer, name, retry)
    for entity in ENTITIES:
        store.run(entity, _number_of, START_RETRY_SECONDS)
    return store


class DeltaStore:
    """Appends the versions of windows that are not below the stored ones, a commit a batch."""

    def __init__(
        self, settings: Settings, writer: WriterRole, name: str, retry: RetryPolicy
    ) -> None:
        """Write as `writer`: each commit of a flow checks its fencing token."""
        self._settings = settings
        self._fence = settings.fence if writer in FLOWS else None
        self._name = name
        self._retry = retry
        self._sequence_numbers: dict[str, SequenceNumber] = {}

    @property
    def kind(self) -> Store:
        """Return the name of the store in MOBILITY_STORES."""
        return "delta"

    def run(
        self, entity: Entity, work: Callable[[DeltaTable], T], retry_seconds: float = RETRY_SECONDS
    ) -> T:
        """Return what `work` returns, given the newest version of a table.

        It may commit the next version; where another writer was faster, it runs again. Raises
        StoreError where the table can't be used, or lacks what was in it.
        """

        def attempt() -> T:
            for _ in range(_ATTEMPTS):
                with _plain_errors(), suppress(CommitFailedError):
                    table = self._load(entity)
                    version = table.version()
                    result = work(table)
                    # A commit of watermarks does not move the version of `table`.
                    last = max(table.version(), version + 1)
                    sync_commits(self._path(entity), version, last)
                    self._sequence_numbers[entity.name] = _number_of(table)
                    return result
            msg = "other writers were faster each time"
            raise UnavailableError(msg)

        return self._retry.run(attempt, retry_seconds)

    def apply(self, entity: Entity, rows: pl.DataFrame) -> ApplyResult:
        """Reconcile windows (WINDOW_SCHEMA, one row per window); none is too old to be applied.

        Their sketches are left out.
        """
        rows = rows.select(WINDOW_SCHEMA.names())
        refuse_large_windows(self._name, entity, rows, MAX_AMOUNT)

        def append(table: DeltaTable) -> int:
            stored = decode(newest(pl.scan_delta(table).filter(same_range(rows))))
            accepted = accepted_windows(stored, rows)
            if accepted.height:
                encoded = encode(accepted, table.version() + 1)
                write_deltalake(table, encoded, mode="append", commit_properties=_next_version())
            return accepted.height

        applied = self.run(entity, append)
        if applied:
            self.run(entity, _compact)
        number = self._sequence_numbers[entity.name]
        return ApplyResult(applied, rows.height - applied, sequence_number=number)

    def record_progress(
        self, entity: Entity, shard: int, shards: int, watermark: int | None
    ) -> None:
        """Record that all windows of a shard up to a watermark (epoch ms) are in the store."""

        def record(table: DeltaTable) -> None:
            stored = _progress(table)
            progress = advanced_progress(stored, shard, shards, watermark)
            if progress != stored:
                moved = dict(progress.items() - stored.items())
                numbers = {"shards": shards} | {f"shard.{n}": moved[n] for n in moved}
                table.create_write_transaction(
                    [], "append", table.schema(), commit_properties=_next_version(numbers)
                )

        self.run(entity, record)

    def progress(self, entity: Entity) -> dict[int, int]:
        """Return the watermark (epoch ms) of each shard."""
        return self.run(entity, _progress)

    def totals(self, entity: Entity) -> pl.DataFrame:
        """Return every id's running totals (TOTALS_SCHEMA), sorted by id."""
        return running_totals(self.windows(entity)).select(TOTALS_SCHEMA.names()).sort("id")

    def windows(self, entity: Entity) -> pl.DataFrame:
        """Return the ledger (WINDOW_SCHEMA), sorted by id and window start."""
        rows = self.run(entity, lambda table: decode(newest(pl.scan_delta(table))))
        return rows.sort(WINDOW_KEY)

    def sequence_number(self, entity: Entity) -> SequenceNumber:
        """Return the instance id and the version of a table after the last call."""
        return self._sequence_numbers.get(entity.name) or self.run(entity, _number_of)

    def fencing_token(self) -> int:
        """Return the token that was taken last, 0 where there is none."""
        return self.run(ENTITIES[0], lambda table: int(_facts(table).get("fence", 0)))

    def take_fencing_token(self, offered: int, holder: str) -> int:
        """Take a token not below `offered` in every table, and return it."""

        def take(entity: Entity, token: int) -> int:
            return self.run(entity, lambda table: _take_fencing_token(table, token, holder))

        return take_in_all([partial(take, entity) for entity in ENTITIES], offered)

    def close(self) -> None:
        """Do nothing: between two calls nothing is open."""

    def _path(self, entity: Entity) -> str:
        return f"{self._settings.delta}/{entity.name}"

    def _load(self, entity: Entity) -> DeltaTable:
        """Return a table in its newest version, if it is not behind and takes this writer.

        At the first call it is created where there is none.
        """
        settings, known = self._settings, self._sequence_numbers.get(entity.name)
        try:
            table = DeltaTable(self._path(entity))
        except TableNotFoundError:
            if known is not None:
                refuse_behind(self._name, entity, known)
            facts = {"fingerprint": settings.fingerprint, "answers": settings.answers}
            table = DeltaTable.create(
                self._path(entity),
                TABLE_SCHEMA,
                mode="ignore",
                partition_by=["day"],
                configuration=_RETENTION | {f"mobility.{name}": facts[name] for name in facts},
                raise_if_key_not_exists=False,
                commit_properties=_next_version(),  # of two at the same time one creates it
            )
            sync_commits(self._path(entity), -1, 0)
        if known is None:
            self._check_settings(table)
        elif _number_of(table).is_behind(known):
            refuse_behind(self._name, entity, known)
        facts = _facts(table)
        if self._fence is not None and int(facts.get("fence", 0)) > self._fence:
            refuse_fencing_token(self._name, facts["fence"], facts["fence_holder"], self._fence)
        return table

    def _check_settings(self, table: DeltaTable) -> None:
        """Refuse a table of other settings, and one that this release has not made."""
        facts, columns = _facts(table), [field.name for field in table.schema().fields]
        if columns != TABLE_SCHEMA.names() or "fingerprint" not in facts:
            msg = (
                f"{table.table_uri} has other columns than the tables of this release. Name an "
                "empty folder in MOBILITY_DELTA, and fill it with `just rebuild delta`."
            )
            raise StoreRefusedError(msg)
        if facts["fingerprint"] != self._settings.fingerprint:
            refuse_fingerprint(self._name, facts["fingerprint"], facts["answers"], self._settings)


def _facts(table: DeltaTable) -> dict[str, str]:
    """Return what the properties of a table say: its settings, and its fencing token."""
    properties = table.metadata().configuration
    return {name.removeprefix("mobility."): value for name, value in properties.items()}


def _take_fencing_token(table: DeltaTable, offered: int, holder: str) -> int:
    token = max(offered, 1 + int(_facts(table).get("fence", 0)))
    facts = {"mobility.fence": str(token), "mobility.fence_holder": holder}
    table.alter.set_table_properties(
        facts, raise_if_not_exists=False, commit_properties=_next_version()
    )
    return token


def _number_of(table: DeltaTable) -> SequenceNumber:
    return SequenceNumber(str(table.metadata().id), table.version())


def _progress(table: DeltaTable) -> dict[int, int]:
    shards = table.transaction_version("mobility.shards") or 0
    return {n: table.transaction_version(f"mobility.shard.{n}") or 0 for n in range(shards)}


def _next_version(numbers: dict[str, int] | None = None) -> CommitProperties:
    """Let a commit be the next version of its table, or fail. `numbers` are stored with it."""
    transactions = [Transaction(f"mobility.{name}", n) for name, n in (numbers or {}).items()]
    return CommitProperties(max_commit_retries=0, app_transactions=transactions)


def _compact(table: DeltaTable) -> None:
    """Replace the files of the day that has most by one, if they are many and the day is not large.

    Then delete the files that no version of the last day has: also those of unfinished commits.
    """
    files = pl.DataFrame(table.get_add_actions(flatten=True)).lazy()
    days = files.group_by(pl.col("partition.day").alias("day")).agg(pl.len(), pl.sum("num_records"))
    wanted = (pl.col("len") >= COMPACTED_FILES) & (pl.col("num_records") <= COMPACTED_ROWS)
    for day in days.filter(wanted).sort("len").tail(1).collect()["day"]:
        rows = newest(pl.scan_delta(table).filter(pl.col("day") == day)).collect()
        with suppress(CommitFailedError):  # another writer was faster, and this one can wait
            write_deltalake(
                table,
                rows,
                mode="overwrite",
                predicate=f"day = '{day}'",
                commit_properties=_next_version(),
            )
            table.vacuum(dry_run=False, full=True)


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Raise UnavailableError in place of the errors of the client, which have many lines."""
    try:
        yield
    except (DeltaError, OSError, pl.exceptions.ComputeError) as error:
        raise UnavailableError(str(error).partition("\n")[0]) from error


def _remedy(error: Exception) -> str | None:
    if isinstance(error, UnavailableError):
        return "Is MOBILITY_DELTA right, and may this process write there?"
    return None
