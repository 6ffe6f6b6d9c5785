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

NO_WINDOWS: Final = pl.DataFrame(schema=WINDOW_SCHEMA)


@dataclass(slots=True)
class WindowState:
    """Windows by their start (epoch ms). Lengths and times are in milliseconds.

    `totals` has one row an id and window (PARTIAL_SCHEMA, and `changed`: grown since it was last
    sent); `pending` are partial sums that nobody has asked for yet. One frame for all windows: a
    frame each would cost more in calls than in work where a batch spans many windows.
    """

    length: int
    allowed_lateness: int
    totals: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_TOTALS_SCHEMA))
    pending: list[pl.DataFrame] = field(default_factory=list)
    starts: set[int] = field(default_factory=set)
    closed: set[int] = field(default_factory=set)
    unsent: bool = False
    _pending_rows: int = 0
    _stored: bytes | None = None

    def add(self, partial: pl.DataFrame) -> None:
        """Take in partial sums (PARTIAL_SCHEMA); they are merged when somebody asks."""
        self.pending.append(partial)
        self.starts.update(partial["window_start"].unique())
        self.unsent = True
        self._pending_rows += partial.height
        if self._pending_rows > max(_FEWEST_TO_MERGE, self.totals.height):
            self.merge()

    def merge(self) -> None:
        """Merge what is pending into the totals."""
        if not self.pending:
            return
        changed = pl.lit(value=True).alias("changed")
        grown = [partial.with_columns(changed) for partial in self.pending]
        self._hold(merged([self.totals, *grown], changed=True))
        self.pending, self._pending_rows = [], 0

    def close(self, watermark: int) -> pl.DataFrame:
        """Close the windows that end at or before the watermark; return them whole."""
        closing = {s for s in self.starts - self.closed if s + self.length <= watermark}
        if not closing:
            return NO_WINDOWS
        self.merge()
        self.closed |= closing
        panes = self._sent(_START.is_in(sorted(closing)))
        return panes.with_columns(pane=pl.lit("on_time"))

    def drop(self, watermark: int) -> pl.DataFrame:
        """Forget the windows of which nothing can come any more; return what was unsent."""
        horizon = watermark - self.length - self.allowed_lateness
        over = {start for start in self.starts if start < horizon}
        if not over:
            return NO_WINDOWS
        # With its last word a partition leaves the minimum for closing, but moves this one.
        panes = [self.close(watermark - self.allowed_lateness - 1)]
        self.merge()
        panes.append(self._sent(_START.lt(horizon) & pl.col("changed")))
        self._hold(self.totals.filter(_START.ge(horizon)))
        self.starts -= over
        self.closed -= over
        return pl.concat(panes)

    def changes(self, *, early: bool) -> pl.DataFrame:
        """Return what has grown since it was sent: of closed windows, and of open ones if early."""
        if not self.unsent or not (early or self.starts & self.closed):
            return NO_WINDOWS
        self.merge()
        changed = pl.col("changed")
        return self._sent(changed if early else changed & _START.is_in(sorted(self.closed)))

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain values; it is serialised again only when it has changed."""
        self.merge()
        if self._stored is None:
            self._stored = self.totals.write_ipc(None, compression="lz4").getvalue()
        return {"version": STATE_VERSION, "totals": self._stored, "closed": sorted(self.closed)}

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from a snapshot."""
        self._hold(pl.read_ipc(state["totals"]))
        self._stored = state["totals"]
        self.starts = set(self.totals["window_start"].unique())
        self.closed = set(state["closed"])
        self.unsent = bool(self.totals["changed"].any())

    def _sent(self, which: pl.Expr) -> pl.DataFrame:
        """Return rows as panes (WINDOW_SCHEMA), earliest window first, and hold them as sent."""
        was_closed = _START.is_in(sorted(self.closed))
        chosen = self.totals.select(which).to_series()
        if not chosen.any():
            return NO_WINDOWS
        rows = self.totals.filter(chosen).select(
            *PARTIAL_SCHEMA,
            pl.when(was_closed).then(pl.lit("late")).otherwise(pl.lit("early")).alias("pane"),
            pl.lit(0, pl.Int64).alias("generation"),
        )
        self._hold(self.totals.with_columns(changed=pl.col("changed") & ~chosen))
        self.unsent = bool(self.totals["changed"].any())
        return rows.sort("window_start")

    def _hold(self, totals: pl.DataFrame) -> None:
        self.totals = totals
        self._stored = None
