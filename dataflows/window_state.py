"""The windows of one shard that may still change: totals, what is unsent, what is closed."""

from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from mobility.records import PARTIAL_SCHEMA, WINDOW_SCHEMA
from mobility.totals import merged

STATE_VERSION: Final = 1

_TOTALS_SCHEMA: Final = pl.Schema([*PARTIAL_SCHEMA.items(), ("changed", pl.Boolean())])
_FEWEST_TO_MERGE: Final = 20_000
_START: Final = pl.col("window_start")
_CHANGED: Final = pl.col("changed")

NO_WINDOWS: Final = pl.DataFrame(schema=WINDOW_SCHEMA)


@dataclass(slots=True)
class WindowState:
    """Windows by their start (epoch ms). Lengths and times are in milliseconds.

    Totals have one row an id and window (PARTIAL_SCHEMA, and `changed`: grown since it was last
    sent). Those of windows that are over (in `closed`) lie apart: they are most of the rows and
    seldom change, while sums for the open ones come with every batch. `pending` are partial sums
    that nobody has asked for yet. There is not a frame each window: that would cost more in calls
    than in work where a batch spans many.
    """

    length: int
    allowed_lateness: int
    open: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_TOTALS_SCHEMA))
    over: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_TOTALS_SCHEMA))
    pending: list[pl.DataFrame] = field(default_factory=list)
    starts: set[int] = field(default_factory=set)
    closed: set[int] = field(default_factory=set)
    unsent: bool = False
    _pending_rows: int = 0
    _stored: bytes | None = None

    def add(self, partial: pl.DataFrame) -> None:
        """Take in partial sums (PARTIAL_SCHEMA); they are merged when somebody asks."""
        self.pending.append(partial)
        self.starts |= _starts(partial)
        self.unsent = True
        self._pending_rows += partial.height
        if self._pending_rows > max(_FEWEST_TO_MERGE, self.open.height):
            self.merge()

    def merge(self) -> None:
        """Merge what is pending into the totals."""
        if not self.pending:
            return
        grown = pl.concat(self.pending).with_columns(changed=pl.lit(value=True))
        over, grown = self._told_apart(grown)
        if over.height:
            self.over = merged([self.over, over], changed=True)
        self.open = merged([self.open, grown], changed=True)
        self.pending, self._pending_rows, self._stored = [], 0, None

    def close(self, watermark: int) -> pl.DataFrame:
        """Close the windows that end at or before the watermark; return them whole."""
        closing = {s for s in self.starts - self.closed if s + self.length <= watermark}
        if not closing:
            return NO_WINDOWS
        self.merge()
        self.closed |= closing
        panes, self.open = self._told_apart(self.open)
        self.over = pl.concat([self.over, panes.with_columns(changed=pl.lit(value=False))])
        self._note_change()
        return _panes(panes, "on_time")

    def drop(self, watermark: int) -> pl.DataFrame:
        """Forget the windows of which nothing can come any more; return what was unsent."""
        horizon = watermark - self.length - self.allowed_lateness
        gone = {start for start in self.starts if start < horizon}
        if not gone:
            return NO_WINDOWS
        # With its last word a partition leaves the minimum for closing, but moves this one.
        panes = self.close(watermark - self.allowed_lateness - 1)
        self.merge()
        unsent = _panes(self.over.filter(_CHANGED & _START.lt(horizon)), "late")
        self.over = self.over.filter(_START.ge(horizon))
        self.starts -= gone
        self.closed -= gone
        self._note_change()
        return pl.concat([panes, unsent])

    def changes(self, *, early: bool) -> pl.DataFrame:
        """Return what has grown since it was sent: of closed windows, and of open ones if early."""
        if not self.unsent or not (early or self.starts & self.closed):
            return NO_WINDOWS
        self.merge()
        panes = _panes(self.over.filter(_CHANGED), "late")
        self.over = self.over.with_columns(changed=pl.lit(value=False))
        if early:
            panes = pl.concat([panes, _panes(self.open.filter(_CHANGED), "early")])
            self.open = self.open.with_columns(changed=pl.lit(value=False))
        self._note_change()
        return panes.sort("window_start")

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain values; it is serialised again only when it has changed."""
        self.merge()
        if self._stored is None:
            totals = pl.concat([self.over, self.open])
            self._stored = totals.write_ipc(None, compression="lz4").getvalue()
        return {"version": STATE_VERSION, "totals": self._stored, "closed": sorted(self.closed)}

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from a snapshot."""
        totals = pl.read_ipc(state["totals"])
        self.starts = _starts(totals)
        self.closed = set(state["closed"])
        self.over, self.open = self._told_apart(totals)
        self._note_change()
        self._stored = state["totals"]

    def _told_apart(self, totals: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the rows of closed windows, and the others."""
        if not self.closed or totals.is_empty():
            return totals.clear(), totals
        is_over = totals["window_start"].is_in(sorted(self.closed))
        return totals.filter(is_over), totals.filter(~is_over)

    def _note_change(self) -> None:
        self._stored = None
        self.unsent = any(bool(totals["changed"].any()) for totals in (self.open, self.over))


def _starts(rows: pl.DataFrame) -> set[int]:
    column = rows["window_start"]
    # Mostly all rows are of one window, which is sooner found out than which windows there are.
    is_one = column.len() > 0 and column.min() == column.max()
    return set(column.head(1) if is_one else column.unique())


def _panes(totals: pl.DataFrame, pane: str) -> pl.DataFrame:
    """Return totals as panes (WINDOW_SCHEMA), earliest window first."""
    panes = totals.select(*PARTIAL_SCHEMA, pane=pl.lit(pane), generation=pl.lit(0, pl.Int64))
    return panes if panes["window_start"].is_sorted() else panes.sort("window_start")
