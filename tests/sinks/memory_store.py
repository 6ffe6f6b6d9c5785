"""A store in memory: the reference that the shared test suite compares the other stores with."""

from collections import Counter
from typing import Any

import polars as pl

from mobility.entities import Entity
from mobility.measures import NULLABLE, SUMS
from mobility.records import MIN_EVENT_TIME, WINDOW_SCHEMA
from mobility.settings import Store
from sinks.store import TOTALS_SCHEMA, ApplyResult, SequenceNumber

Row = dict[str, Any]


class MemoryStore:
    """Keeps windows in a dict, and sums them whenever totals are read."""

    def __init__(self) -> None:
        self._ledgers: dict[str, dict[tuple[str, int], Row]] = {}
        self._progress: dict[str, dict[int, int]] = {}
        self._numbers = Counter[str]()

    @property
    def kind(self) -> Store:
        """Return the name of the store that this one stands for."""
        return "postgres"

    def sequence_number(self, entity: Entity) -> SequenceNumber:
        """Return the sequence number after the last windows."""
        return SequenceNumber("memory", self._numbers[entity.name])

    def apply(self, entity: Entity, rows: pl.DataFrame) -> ApplyResult:
        """Reconcile windows (WINDOW_SCHEMA, one row per window)."""
        self._numbers[entity.name] += 1
        ledger = self._ledgers.setdefault(entity.name, {})
        applied = 0
        for row in rows.iter_rows(named=True):
            key = row["id"], row["window_start"]
            stored = ledger.get(key)
            if stored is None or (row != stored and _version(row) >= _version(stored)):
                ledger[key] = row
                applied += 1
        return ApplyResult(applied=applied, unchanged=rows.height - applied)

    def record_progress(
        self, entity: Entity, shard: int, shards: int, watermark: int | None
    ) -> None:
        """Record that all windows of a shard up to a watermark (epoch ms) are in the store."""
        progress = self._progress.get(entity.name, {})
        if len(progress) != shards:
            start = min(progress.values(), default=MIN_EVENT_TIME)
            progress = dict.fromkeys(range(shards), start)
        if watermark is not None:
            progress[shard] = max(progress[shard], watermark)
        self._progress[entity.name] = progress

    def progress(self, entity: Entity) -> dict[int, int]:
        """Return the watermark (epoch ms) of each shard."""
        return dict(self._progress.get(entity.name, {}))

    def totals(self, entity: Entity) -> pl.DataFrame:
        """Return every id's running totals (TOTALS_SCHEMA), sorted by id."""
        windows = self.windows(entity).group_by("id")
        # A window without trips, which a backfill can leave, counts for neither start.
        has_trips = pl.col("trip_count") > 0
        return (
            windows.agg(
                pl.col(*SUMS).sum(),
                pl.col("start_time").filter(has_trips).min(),
                pl.col("last_start_time").filter(has_trips).max(),
                *(getattr(pl.col(each.name).filter(has_trips), each.kind)() for each in NULLABLE),
            )
            .select(TOTALS_SCHEMA.names())
            .sort("id")
        )

    def windows(self, entity: Entity) -> pl.DataFrame:
        """Return the ledger (WINDOW_SCHEMA), sorted by id and window start."""
        rows = list(self._ledgers.get(entity.name, {}).values())
        return pl.DataFrame(rows, schema=WINDOW_SCHEMA).sort("id", "window_start")

    def close(self) -> None:
        """Do nothing: there is nothing to close."""


def _version(row: Row) -> tuple[int, int]:
    return row["generation"], row["trip_count"]
