"""Windows: trips become partial aggregates, partial aggregates become panes of windows."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import bytewax.operators as op
import polars as pl
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream, StatefulBatchLogic

from dataflows.items import IngestedBatch, ShardPartial, WatermarkUpdate
from dataflows.kafka_sink import shard_key
from dataflows.watermarks import WatermarkTracker
from dataflows.window_state import WindowState
from mobility.entities import Entity
from mobility.records import WindowUpdate
from mobility.settings import Settings
from mobility.sketched_measures import sketches_of
from mobility.totals import aggregated_columns, partial_totals, split_by_shard

Emitted = tuple[list[WindowUpdate], bool]

OnWatermarks = Callable[[Sequence[WatermarkUpdate]], None]
"""Called with the watermarks that a shard gets together."""


def aggregate_windows(
    entity: Entity,
    batches: Stream[IngestedBatch],
    settings: Settings,
    since: int | None = None,
    on_watermarks: OnWatermarks = lambda _updates: None,
) -> KeyedStream[WindowUpdate]:
    """Return an entity's windows, keyed by shard: local-global aggregation, as in Flink SQL.

    Every shard gets every watermark, also without rows. The batches of all partitions that arrive
    together are aggregated at once, as each call has a cost of its own. Windows before `since`
    (epoch ms) are left out: they had trips before the entity was added. `on_watermarks` is called
    with the watermarks that the shards of this process get.
    """

    def partials(polled: list[IngestedBatch]) -> Iterator[tuple[str, ShardPartial]]:
        updates = tuple(batch.update for batch in polled)
        trips = pl.concat([batch.trips.select(columns) for batch in polled])
        if since is not None:
            trips = trips.filter(pl.col("window_start") >= since)
        rows = split_by_shard(partial_totals(trips, entity, sketches), settings.shards)
        for shard in range(settings.shards):
            yield shard_key(shard), ShardPartial(shard, updates, rows.get(shard))

    sketches = sketches_of(entity, settings.measures)
    columns = aggregated_columns(entity, sketches)
    keyed = op.flat_map_batch(f"{entity.name}_partials", batches, partials)
    return op.stateful_batch(
        f"{entity.name}_windows", keyed, window_logic(entity, settings, on_watermarks)
    )


class WindowLogic(StatefulBatchLogic[ShardPartial, WindowUpdate, dict[str, Any]]):
    """The windows of one shard of an entity.

    A window is emitted when it closes (pane `on_time`), when it changes after that (`late`), and,
    while the flow is caught up, every MOBILITY_EARLY_EVERY seconds while it changes before that
    (`early`). Panes are accumulating: each carries the window's full totals so far. The clock
    decides only when changes are emitted, never what they are.
    """

    def __init__(
        self,
        entity: Entity,
        settings: Settings,
        state: dict[str, Any] | None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        on_watermarks: OnWatermarks = lambda _updates: None,
    ) -> None:
        self._entity = entity
        # Bytewax builds logic from its state alone: the number of the shard comes with the items.
        self._shard = 0
        self._shards = settings.shards
        self._interval = timedelta(seconds=settings.early_every)
        self._clock = clock
        self._on_watermarks = on_watermarks
        self._watermarks = WatermarkTracker()
        self._state = WindowState(
            settings.window_ms,
            settings.allowed_lateness * 1_000,
            sketches=sketches_of(entity, settings.measures),
        )
        if state is not None:
            self._state.resume(state)
        self._emitted_at = clock()
        self._emitted_watermark: int | None = None

    def on_batch(self, values: list[ShardPartial]) -> Emitted:
        """Add partial aggregates and watermarks, in the order of each partition."""
        for value in values:
            self._shard = value.shard
            self._watermarks.update_all(value.updates)
            self._on_watermarks(value.updates)
            if value.rows is not None:
                self._state.add(value.rows)
        return self._advance(), self.RETAIN

    def on_notify(self) -> Emitted:
        """Emit what has changed."""
        return self._advance(), self.RETAIN

    def on_eof(self) -> Emitted:
        """Emit every changed window; the end of the input closes none.

        A graceful stop behind the end of the log must be quick: open windows then stay in the
        snapshot as they are, as they would have without the stop.
        """
        if not self._watermarks.is_complete:
            return [], self.RETAIN
        changes = self._state.changes(early=self._watermarks.is_caught_up)
        return self._update(changes, with_watermark=True), self.RETAIN

    def notify_at(self) -> datetime | None:
        """Return when changes that are not yet emitted are due."""
        if not self._watermarks.is_complete:
            return None
        has_moved = self._watermarks.cleanup_watermark != self._emitted_watermark
        is_due = has_moved or self._state.has_changes
        return self._emitted_at + self._interval if is_due else None

    def snapshot(self) -> dict[str, Any]:
        """Return the windows, with what is changed but not yet emitted."""
        return self._state.snapshot()

    def _advance(self) -> list[WindowUpdate]:
        if not self._watermarks.is_complete:
            return []
        frames: list[pl.DataFrame] = []
        if (closing := self._watermarks.closing_watermark) is not None:
            frames.append(self._state.close(closing))
        if (cleanup := self._watermarks.cleanup_watermark) is not None:
            frames.append(self._state.drop(cleanup))
        is_due = self._clock() - self._emitted_at >= self._interval
        if is_due:
            frames.append(self._state.changes(early=self._watermarks.is_caught_up))
            self._emitted_at = self._clock()
        rows = [frame for frame in frames if frame.height]
        changed = pl.concat(rows) if rows else self._state.no_windows
        return self._update(changed, with_watermark=is_due)

    def _update(self, rows: pl.DataFrame, *, with_watermark: bool) -> list[WindowUpdate]:
        watermark = self._watermarks.cleanup_watermark
        if rows.is_empty() and not (with_watermark and watermark != self._emitted_watermark):
            return []
        self._emitted_watermark = watermark
        return [WindowUpdate(self._entity, self._shard, self._shards, watermark, rows)]


def window_logic(
    entity: Entity, settings: Settings, on_watermarks: OnWatermarks
) -> Callable[[dict[str, Any] | None], WindowLogic]:
    """Return what Bytewax calls for each key, with the snapshot or None."""
    return lambda state: WindowLogic(entity, settings, state, on_watermarks=on_watermarks)
