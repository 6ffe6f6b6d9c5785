"""The windows of one shard that may still change: totals, what is unsent, what is closed."""

from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from mobility.records import PARTIAL_SCHEMA, WINDOW_SCHEMA
from mobility.totals import merged, upgraded

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

    Totals have one row an id and window (PARTIAL_SCHEMA, and `changed`: grown since it was last
    sent). `pending` are partial sums that nobody has asked for yet, `open` the totals of windows
    that somebody has: in a catch-up nobody does, and each sum is looked at once, when its window
    closes. `over` are the totals of windows in `closed`, a frame for all that closed together: they
    are most of the rows, and seldom change. There is not a frame each window, which would cost more
    in calls than in work where a batch spans many.
    """

    length: int
    allowed_lateness: int
    open: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_TOTALS_SCHEMA))
    over: list[pl.DataFrame] = field(default_factory=list)
    pending: list[pl.DataFrame] = field(default_factory=list)
    starts: set[int] = field(default_factory=set)
    closed: set[int] = field(default_factory=set)
    unsent: bool = False
    _pending_rows: int = 0
    _pending_late: bool = False
    _stored: bytes | None = None

    def add(self, partial: pl.DataFrame) -> None:
        """Take in partial sums (PARTIAL_SCHEMA); they are merged when somebody asks."""
        starts = _starts(partial)
        self.starts |= starts
        self.pending.append(partial)
        self._pending_rows += partial.height
        self._pending_late = self._pending_late or bool(starts & self.closed)
        self.unsent, self._stored = True, None
        if self._pending_rows > max(_FEWEST_TO_MERGE, self.open.height):
            self.merge()

    def merge(self) -> None:
        """Merge what is pending into the totals."""
        if not self.pending:
            return
        grown = pl.concat(self.pending).with_columns(changed=pl.lit(value=True))
        if self._pending_late:
            late, grown = self._told_apart(grown)
            self.over = [merged([*self.over, late], changed=True)]
        self.open = merged([self.open, grown], changed=True)
        self._hold_pending([])

    def close(self, watermark: int) -> pl.DataFrame:
        """Close the windows that end at or before the watermark; return them whole."""
        closing = {s for s in self.starts - self.closed if s + self.length <= watermark}
        if not closing:
            return NO_WINDOWS
        if self._pending_late:
            self.merge()
        self.closed |= closing
        totals, self.open = self._told_apart(self.open)
        sums, others = self._told_apart(pl.concat([_NO_PARTIALS, *self.pending]))
        self._hold_pending([others] if others.height else [])
        totals = merged([totals.drop("changed"), sums])
        self.over.append(totals.with_columns(changed=pl.lit(value=False)))
        self._note_change()
        return _panes(totals, "on_time")

    def drop(self, watermark: int) -> pl.DataFrame:
        """Forget the windows of which nothing can come any more; return what was unsent."""
        horizon = watermark - self.length - self.allowed_lateness
        gone = {start for start in self.starts if start < horizon}
        if not gone:
            return NO_WINDOWS
        # With its last word a partition leaves the minimum for closing, but moves this one.
        panes = self.close(watermark - self.allowed_lateness - 1)
        if self._pending_late:
            self.merge()
        unsent = [
            _panes(totals.filter(_CHANGED & _START.lt(horizon)), "late")
            for totals in self.over
            if totals["changed"].any()
        ]
        kept = [totals.filter(_START.ge(horizon)) for totals in self.over]
        self.over = [totals for totals in kept if totals.height]
        self.starts -= gone
        self.closed -= gone
        self._note_change()
        return pl.concat([panes, *unsent])

    def changes(self, *, early: bool) -> pl.DataFrame:
        """Return what has grown since it was sent: of closed windows, and of open ones if early."""
        if not self.unsent or not (early or self.starts & self.closed):
            return NO_WINDOWS
        self.merge()
        over, self.over = self.over, [_as_sent(totals) for totals in self.over]
        panes = [_panes(totals.filter(_CHANGED), "late") for totals in over]
        if early:
            panes.append(_panes(self.open.filter(_CHANGED), "early"))
            self.open = _as_sent(self.open)
        self._note_change()
        return pl.concat([NO_WINDOWS, *panes]).sort("window_start")

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain values; it is serialised again only when it has changed."""
        self.merge()
        if self._stored is None:
            totals = pl.concat([*self.over, self.open])
            self._stored = totals.write_ipc(None, compression="zstd").getvalue()
        return {"version": STATE_VERSION, "totals": self._stored, "closed": sorted(self.closed)}

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from a snapshot."""
        totals = upgraded(pl.read_ipc(state["totals"]))
        self.starts = _starts(totals)
        self.closed = set(state["closed"])
        over, self.open = self._told_apart(totals)
        self.over = [over] if over.height else []
        self._note_change()
        self._stored = state["totals"]

    def _told_apart(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the rows of closed windows, and the others."""
        if rows.is_empty():
            return rows, rows
        is_over = rows["window_start"].is_in(sorted(self.closed))
        return rows.filter(is_over), rows.filter(~is_over)

    def _hold_pending(self, pending: list[pl.DataFrame]) -> None:
        self.pending = pending
        self._pending_rows = sum(partial.height for partial in pending)
        self._pending_late = False

    def _note_change(self) -> None:
        changed = (totals["changed"].any() for totals in (self.open, *self.over))
        self.unsent = bool(self.pending) or any(changed)
        self._stored = None


def _starts(rows: pl.DataFrame) -> set[int]:
    column = rows["window_start"]
    # Mostly all rows are of one window, which is sooner found out than which windows there are.
    is_one = column.len() > 0 and column.min() == column.max()
    return set(column.head(1) if is_one else column.unique())


def _as_sent(totals: pl.DataFrame) -> pl.DataFrame:
    return totals.with_columns(changed=pl.lit(value=False)) if totals["changed"].any() else totals


def _panes(totals: pl.DataFrame, pane: str) -> pl.DataFrame:
    """Return totals as panes (WINDOW_SCHEMA), earliest window first."""
    panes = totals.select(*PARTIAL_SCHEMA, pane=pl.lit(pane), generation=pl.lit(0, pl.Int64))
    return panes if panes["window_start"].is_sorted() else panes.sort("window_start")
