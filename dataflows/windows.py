"""The window step: partial sums come in, panes of windows go out."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from bytewax.operators import StatefulBatchLogic

from dataflows.items import ShardPartial
from dataflows.watermarks import Watermarks
from dataflows.window_state import NO_WINDOWS, WindowState
from mobility.entities import Entity
from mobility.records import WindowUpdate
from mobility.settings import Settings

Emitted = tuple[list[WindowUpdate], bool]


class WindowLogic(StatefulBatchLogic[ShardPartial, WindowUpdate, dict[str, Any]]):
    """One shard of an entity.

    A window goes out when it closes (pane `on_time`), when it changes after that (`late`), and,
    while the flow is caught up, every second while it changes before that (`early`); each pane
    carries the window's full totals so far. The clock decides only when changes are sent, never
    what they are.
    """

    def __init__(
        self,
        entity: Entity,
        settings: Settings,
        state: dict[str, Any] | None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._entity = entity
        # Bytewax builds logic from its state alone: which shard this is comes with the items.
        self._shard = 0
        self._shards = settings.shards
        self._every = timedelta(seconds=settings.early_every)
        self._clock = clock
        self._watermarks = Watermarks()
        self._state = WindowState(settings.window_ms, settings.allowed_lateness * 1_000)
        if state is not None:
            self._state.resume(state)
        self._sent_at = clock()
        self._sent_watermark: int | None = None

    def on_batch(self, values: list[ShardPartial]) -> Emitted:
        """Take in partial sums and watermarks, in the order of each partition."""
        for value in values:
            self._shard = value.shard
            for heard in value.heard:
                self._watermarks.hear(heard)
            if value.rows is not None:
                self._state.add(value.rows)
        return self._advance(), self.RETAIN

    def on_notify(self) -> Emitted:
        """Send what has changed."""
        return self._advance(), self.RETAIN

    def on_eof(self) -> Emitted:
        """Send every changed window: the end of input closes nothing, but hides nothing either.

        Behind the end of the log it is a graceful stop, which must not last: open windows then stay
        in the snapshot as they are, as they would have without the stop.
        """
        if not self._watermarks.complete:
            return [], self.RETAIN
        changes = self._state.changes(early=self._watermarks.caught_up)
        return self._update(changes, with_watermark=True), self.RETAIN

    def notify_at(self) -> datetime | None:
        """Return when unsent changes are due."""
        if not self._watermarks.complete:
            return None
        due = self._watermarks.dropping != self._sent_watermark or self._state.unsent
        return self._sent_at + self._every if due else None

    def snapshot(self) -> dict[str, Any]:
        """Return the windows, with what is changed but not yet sent."""
        return self._state.snapshot()

    def _advance(self) -> list[WindowUpdate]:
        if not self._watermarks.complete:
            return []
        frames: list[pl.DataFrame] = []
        if (closing := self._watermarks.closing) is not None:
            frames.append(self._state.close(closing))
        if (dropping := self._watermarks.dropping) is not None:
            frames.append(self._state.drop(dropping))
        is_due = self._clock() - self._sent_at >= self._every
        if is_due:
            frames.append(self._state.changes(early=self._watermarks.caught_up))
            self._sent_at = self._clock()
        rows = [frame for frame in frames if frame.height]
        return self._update(pl.concat(rows) if rows else NO_WINDOWS, with_watermark=is_due)

    def _update(self, rows: pl.DataFrame, *, with_watermark: bool) -> list[WindowUpdate]:
        watermark = self._watermarks.dropping
        if rows.is_empty() and not (with_watermark and watermark != self._sent_watermark):
            return []
        self._sent_watermark = watermark
        return [WindowUpdate(self._entity, self._shard, self._shards, watermark, rows)]


def window_logic(
    entity: Entity, settings: Settings
) -> Callable[[dict[str, Any] | None], WindowLogic]:
    """Return the builder that the stateful step wants."""
    return lambda state: WindowLogic(entity, settings, state)
