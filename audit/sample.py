"""A random sample of windows, drawn while they come by, the same from every place.

Each window has a rank, a seeded hash of its name. A sample keeps the windows of the lowest ranks:
what has once been left out never comes back, as the limit only falls, so the sums of those that
stay are whole. Two samples of the same seed hold the same windows up to the lower of their limits,
and a window that only one of them has is missing from the other.
"""

from collections.abc import Callable, Sequence
from typing import Final

import polars as pl

from mobility.records import TOTALS

KEY: Final = ("entity", "id", "window_start")

SUMS_SCHEMA: Final = pl.Schema(
    [
        ("entity", pl.String),
        ("id", pl.String),
        ("window_start", pl.Int64),  # epoch ms
        ("generation", pl.Int64),
        ("trip_count", pl.Int64),
        *[(name, pl.Int64) for name in TOTALS],  # micro-units
        ("start_time", pl.Int64),  # epoch ms
    ]
)
"""Windows as every place has them here."""

Merge = Callable[[pl.DataFrame], pl.DataFrame]

_HIGHEST: Final = (1 << 64) - 1


def added(windows: pl.DataFrame) -> pl.DataFrame:
    """Merge partial sums of the same window by addition."""
    return windows.group_by(KEY).agg(
        pl.col("generation").max(),
        pl.col("trip_count", *TOTALS).sum(),
        pl.col("start_time").min(),
    )


def newest(windows: pl.DataFrame) -> pl.DataFrame:
    """Keep the highest version of each window; of equals the last."""
    ordered = windows.sort("generation", "trip_count", maintain_order=True)
    return ordered.unique(KEY, keep="last")


class Sample:
    """At most `size` windows of each group (None: all); `groups` are columns of KEY."""

    def __init__(self, size: int | None, seed: int, groups: Sequence[str], merge: Merge) -> None:
        self.rows = pl.DataFrame(schema=SUMS_SCHEMA)
        self._size = size
        self._seed = seed
        self._groups = list(groups)
        self._merge = merge
        self._limits = pl.DataFrame(
            schema={**{name: SUMS_SCHEMA[name] for name in groups}, "limit": pl.UInt64}
        )

    def add(self, windows: pl.DataFrame) -> None:
        """Take windows (SUMS_SCHEMA) in, as far as they belong to the sample."""
        coming = self.within(windows.select(SUMS_SCHEMA.names()))
        held = self._merge(pl.concat([self.rows, coming])).select(SUMS_SCHEMA.names())
        if self._size is None:
            self.rows = held
            return
        ranked = held.with_columns(rank=self._rank())
        place = pl.col("rank").rank("ordinal").over(self._groups)
        kept = ranked.filter(place <= self._size)
        if kept.height < ranked.height:
            cut = ranked.filter(place > self._size).select(self._groups).unique()
            limits = kept.join(cut, on=self._groups, how="semi").group_by(self._groups)
            fallen = limits.agg(limit=pl.col("rank").max())
            others = self._limits.join(fallen, on=self._groups, how="anti")
            self._limits = pl.concat([others, fallen.select(others.columns)])
        self.rows = kept.drop("rank")

    def within(self, windows: pl.DataFrame) -> pl.DataFrame:
        """Return those of any windows that would be in this sample."""
        if self._limits.is_empty():
            return windows
        limited = windows.join(self._limits, on=self._groups, how="left", maintain_order="left")
        return limited.filter(self._rank() <= pl.col("limit").fill_null(_HIGHEST)).drop("limit")

    def forget(self, before: int) -> None:
        """Forget the windows that start before a time (epoch ms), and their limits."""
        kept = pl.col("window_start") >= before
        self.rows = self.rows.filter(kept)
        if "window_start" in self._groups:
            self._limits = self._limits.filter(kept)

    def _rank(self) -> pl.Expr:
        return pl.struct(KEY).hash(self._seed)
