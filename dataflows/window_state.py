"""The window state of one shard: totals of the windows that may still change."""

from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from dataflows.window_runs import SMALL, Run, compacted, merged, totals_of, within, without
from mobility.records import PARTIAL_SCHEMA, window_schema
from mobility.sketched_measures import Sketch
from mobility.totals import encoded

STATE_VERSION: Final = 2

_MANY: Final = 100
"""Runs from which on they are compacted, however few rows they have."""


@dataclass(slots=True)
class WindowState:
    """The windows of a shard. Lengths and times are in milliseconds, window starts in epoch ms.

    `emitted` and `pending` are runs of partial aggregates. The rows of a window in `emitted` merge
    to its totals when it was last emitted; those in `pending` were added since. So the cost of each
    method depends on the rows that it adds, returns or drops, and not on the number of windows.
    During a catch-up no open window is emitted, so partial aggregates are merged once, when their
    window closes.
    """

    length: int
    allowed_lateness: int
    sketches: tuple[Sketch, ...] = ()
    emitted: list[Run] = field(default_factory=list)
    pending: list[Run] = field(default_factory=list)
    starts: set[int] = field(default_factory=set)
    closed: set[int] = field(default_factory=set)
    _unmerged_rows: int = 0

    @property
    def no_windows(self) -> pl.DataFrame:
        """A frame without windows, with the columns of those that are emitted."""
        return pl.DataFrame(schema=window_schema(self.sketches))

    @property
    def has_changes(self) -> bool:
        """Whether a window has grown since it was emitted."""
        return bool(self.pending)

    def add(self, partial: pl.DataFrame) -> None:
        """Add partial aggregates (PARTIAL_SCHEMA, and sketches); they are merged later."""
        run = Run.of(partial)
        self.starts |= run.starts
        self.pending.append(run)
        self._unmerged_rows += run.height
        is_large = self._unmerged_rows > max(SMALL, self.pending[0].height)
        if is_large or len(self.pending) > _MANY:
            self._compact_pending()

    def close(self, watermark: int) -> pl.DataFrame:
        """Close the windows that end at or before the watermark; return their `on_time` panes."""
        closing = {s for s in self.starts - self.closed if s + self.length <= watermark}
        if not closing:
            return self.no_windows
        self.closed |= closing
        totals = merged(within([*self.emitted, *self.pending], closing))
        self.emitted = [*without(self.emitted, closing), totals]
        if len(self.emitted) > _MANY:
            self.emitted = compacted(self.emitted)
        self.pending = without(self.pending, closing)
        return _panes(totals.rows, pl.lit("on_time"))

    def drop(self, watermark: int) -> pl.DataFrame:
        """Drop the windows that can't change any more; return changes that were not emitted."""
        horizon = watermark - self.length - self.allowed_lateness
        dropped = {start for start in self.starts if start < horizon}
        if not dropped:
            return self.no_windows
        # Without active partitions there is no closing watermark, but the cleanup watermark moves:
        # so the windows that it drops are closed here.
        panes = self.close(watermark - self.allowed_lateness - 1)
        if grown := within(self.pending, dropped):
            late = totals_of(merged(grown), self.emitted)
            panes = pl.concat([panes, _panes(late, pl.lit("late"))])
        self.emitted = without(self.emitted, dropped)
        self.pending = without(self.pending, dropped)
        self.starts -= dropped
        self.closed -= dropped
        return panes

    def changes(self, *, early: bool) -> pl.DataFrame:
        """Return the windows that have grown since they were emitted; open ones only if `early`."""
        grown = self.pending if early else within(self.pending, self.closed)
        if not grown:
            return self.no_windows
        growth = merged(grown)
        totals = totals_of(growth, self.emitted)
        self.emitted = compacted([*self.emitted, growth])
        self.pending = [] if early else without(self.pending, self.closed)
        is_closed = pl.col("window_start").is_in(sorted(self.closed))
        return _panes(totals, pl.when(is_closed).then(pl.lit("late")).otherwise(pl.lit("early")))

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain values; a run is serialised once."""
        self._compact_pending()
        return {
            "version": STATE_VERSION,
            "totals": [run.serialized() for run in self.emitted],
            "pending": [run.serialized() for run in self.pending],
            "closed": sorted(self.closed),
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Continue from a snapshot, of this release or an earlier one."""
        if state["version"] == 1:
            emitted, pending = _runs_of_version_1(state["totals"], self.sketches)
        else:
            emitted, pending = (
                [Run.resume(each, self.sketches) for each in state[name]]
                for name in ("totals", "pending")
            )
        self.emitted, self.pending = emitted, pending
        self.starts = set().union(*(run.starts for run in (*emitted, *pending)))
        self.closed = set(state["closed"])

    def _compact_pending(self) -> None:
        self.pending = compacted(self.pending)
        self._unmerged_rows = 0


def _runs_of_version_1(totals: bytes, sketches: tuple[Sketch, ...]) -> tuple[list[Run], list[Run]]:
    """Return emitted and pending runs of version 1, which are full totals with a flag `changed`."""
    stored = Run.resume(totals, sketches).rows
    is_changed = stored["changed"]
    runs = [Run.of(stored.filter(part).drop("changed")) for part in (~is_changed, is_changed)]
    emitted, pending = ([run] if run.height else [] for run in runs)
    return emitted, pending


def _panes(totals: pl.DataFrame, pane: pl.Expr) -> pl.DataFrame:
    """Return totals as panes (`window_schema`), sorted by window start."""
    panes = encoded(totals).select(
        *(pl.col(name).cast(kind) for name, kind in PARTIAL_SCHEMA.items()),
        pane.alias("pane"),
        pl.lit(0, pl.Int64).alias("generation"),
        pl.exclude(PARTIAL_SCHEMA.names()),
    )
    return panes if panes["window_start"].is_sorted() else panes.sort("window_start")
