"""The window state of one shard: totals of the windows that may still change."""

from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from mobility.records import PARTIAL_SCHEMA, WINDOW_SCHEMA
from mobility.totals import merge_totals, upgrade_windows

STATE_VERSION: Final = 1

_TOTALS_SCHEMA: Final = pl.Schema([*PARTIAL_SCHEMA.items(), ("changed", pl.Boolean())])
_FEWEST_TO_MERGE: Final = 20_000
_START: Final = pl.col("window_start")
_CHANGED: Final = pl.col("changed")

NO_WINDOWS: Final = pl.DataFrame(schema=WINDOW_SCHEMA)
_NO_PARTIALS: Final = pl.DataFrame(schema=PARTIAL_SCHEMA)


@dataclass(slots=True)
class WindowState:
    """Windows by their start (epoch ms). Lengths and times are in milliseconds.

    Totals have one row an id and window: PARTIAL_SCHEMA, and `changed`, whether it has grown since
    it was last emitted. `pending` are partial aggregates that are not merged yet, `open_totals` the
    totals of open windows: during a catch-up nothing asks for those, and each partial aggregate is
    merged once, when its window closes. `closed_totals` has a frame for all windows that closed
    together: they are most of the rows and seldom change. A frame for each window would cost more
    in calls than in work where a batch spans many windows.
    """

    length: int
    allowed_lateness: int
    open_totals: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_TOTALS_SCHEMA))
    closed_totals: list[pl.DataFrame] = field(default_factory=list)
    pending: list[pl.DataFrame] = field(default_factory=list)
    starts: set[int] = field(default_factory=set)
    closed: set[int] = field(default_factory=set)
    has_changes: bool = False
    _pending_rows: int = 0
    _pending_late: bool = False
    _serialized: bytes | None = None

    def add(self, partial: pl.DataFrame) -> None:
        """Add partial aggregates (PARTIAL_SCHEMA); they are merged when they are needed."""
        starts = _starts(partial)
        self.starts |= starts
        self.pending.append(partial)
        self._pending_rows += partial.height
        self._pending_late = self._pending_late or bool(starts & self.closed)
        self.has_changes, self._serialized = True, None
        if self._pending_rows > max(_FEWEST_TO_MERGE, self.open_totals.height):
            self.merge()

    def merge(self) -> None:
        """Merge pending partial aggregates into the totals."""
        if not self.pending:
            return
        grown = pl.concat(self.pending).with_columns(changed=pl.lit(value=True))
        if self._pending_late:
            late, grown = self._split_closed(grown)
            self.closed_totals = [merge_totals([*self.closed_totals, late], changed=True)]
        self.open_totals = merge_totals([self.open_totals, grown], changed=True)
        self._set_pending([])

    def close(self, watermark: int) -> pl.DataFrame:
        """Close the windows that end at or before the watermark; return their `on_time` panes."""
        closing = {s for s in self.starts - self.closed if s + self.length <= watermark}
        if not closing:
            return NO_WINDOWS
        if self._pending_late:
            self.merge()
        self.closed |= closing
        totals, self.open_totals = self._split_closed(self.open_totals)
        sums, others = self._split_closed(pl.concat([_NO_PARTIALS, *self.pending]))
        self._set_pending([others] if others.height else [])
        totals = merge_totals([totals.drop("changed"), sums])
        self.closed_totals.append(totals.with_columns(changed=pl.lit(value=False)))
        self._invalidate()
        return _panes(totals, "on_time")

    def drop(self, watermark: int) -> pl.DataFrame:
        """Drop the windows that nothing can change any more; return what was not emitted yet."""
        horizon = watermark - self.length - self.allowed_lateness
        dropped = {start for start in self.starts if start < horizon}
        if not dropped:
            return NO_WINDOWS
        # A partition that finishes leaves the minimum for closing, but moves the one for cleanup.
        panes = self.close(watermark - self.allowed_lateness - 1)
        if self._pending_late:
            self.merge()
        not_emitted = [
            _panes(totals.filter(_CHANGED & _START.lt(horizon)), "late")
            for totals in self.closed_totals
            if totals["changed"].any()
        ]
        kept = [totals.filter(_START.ge(horizon)) for totals in self.closed_totals]
        self.closed_totals = [totals for totals in kept if totals.height]
        self.starts -= dropped
        self.closed -= dropped
        self._invalidate()
        return pl.concat([panes, *not_emitted])

    def changes(self, *, early: bool) -> pl.DataFrame:
        """Return what has grown since it was emitted: closed windows, and open ones if `early`."""
        if not self.has_changes or not (early or self.starts & self.closed):
            return NO_WINDOWS
        self.merge()
        closed, self.closed_totals = (
            self.closed_totals,
            [_as_emitted(totals) for totals in self.closed_totals],
        )
        panes = [_panes(totals.filter(_CHANGED), "late") for totals in closed]
        if early:
            panes.append(_panes(self.open_totals.filter(_CHANGED), "early"))
            self.open_totals = _as_emitted(self.open_totals)
        self._invalidate()
        return pl.concat([NO_WINDOWS, *panes]).sort("window_start")

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain values; it is serialised again only when it has changed."""
        self.merge()
        if self._serialized is None:
            totals = pl.concat([*self.closed_totals, self.open_totals])
            self._serialized = totals.write_ipc(None, compression="zstd").getvalue()
        return {"version": STATE_VERSION, "totals": self._serialized, "closed": sorted(self.closed)}

    def resume(self, state: dict[str, Any]) -> None:
        """Continue from a snapshot."""
        totals = upgrade_windows(pl.read_ipc(state["totals"]))
        self.starts = _starts(totals)
        self.closed = set(state["closed"])
        closed, self.open_totals = self._split_closed(totals)
        self.closed_totals = [closed] if closed.height else []
        self._invalidate()
        self._serialized = state["totals"]

    def _split_closed(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the rows of closed windows, and the other rows."""
        if rows.is_empty():
            return rows, rows
        is_closed = rows["window_start"].is_in(sorted(self.closed))
        return rows.filter(is_closed), rows.filter(~is_closed)

    def _set_pending(self, pending: list[pl.DataFrame]) -> None:
        self.pending = pending
        self._pending_rows = sum(partial.height for partial in pending)
        self._pending_late = False

    def _invalidate(self) -> None:
        changed = (totals["changed"].any() for totals in (self.open_totals, *self.closed_totals))
        self.has_changes = bool(self.pending) or any(changed)
        self._serialized = None


def _starts(rows: pl.DataFrame) -> set[int]:
    column = rows["window_start"]
    # Mostly all rows are of one window, which is cheaper to find out than the distinct windows.
    is_one = column.len() > 0 and column.min() == column.max()
    return set(column.head(1) if is_one else column.unique())


def _as_emitted(totals: pl.DataFrame) -> pl.DataFrame:
    return totals.with_columns(changed=pl.lit(value=False)) if totals["changed"].any() else totals


def _panes(totals: pl.DataFrame, pane: str) -> pl.DataFrame:
    """Return totals as panes (WINDOW_SCHEMA), earliest window first."""
    panes = totals.select(*PARTIAL_SCHEMA, pane=pl.lit(pane), generation=pl.lit(0, pl.Int64))
    return panes if panes["window_start"].is_sorted() else panes.sort("window_start")
