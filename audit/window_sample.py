"""A random sample of windows, drawn from a stream, the same windows from every source.

Each window has a rank, a seeded hash of its key, and a sample keeps the windows of the lowest
ranks. The rank limit only falls, so a window that was left out never comes back, and the sums of
those that stay are complete. Two samples of the same seed hold the same windows up to the lower of
their limits, so a window that only one of them has is missing from the other.
"""

from collections.abc import Callable, Sequence
from typing import Final

import polars as pl

from audit.measures import measures_of_parts
from mobility.measures import MEASURE_SCHEMA

ENTITY_WINDOW_KEY: Final = ("entity", "id", "window_start")
WINDOW_VERSION: Final = ("generation", "trip_count")
WINDOW_FIELDS: Final = tuple(MEASURE_SCHEMA)
"""What is compared of a window: its measures."""

SAMPLE_SCHEMA: Final = pl.Schema(
    [
        ("entity", pl.String),
        ("id", pl.String),
        ("window_start", pl.Int64),  # epoch ms
        ("generation", pl.Int64),
        *MEASURE_SCHEMA.items(),
    ]
)
"""Windows as they are sampled, from the log, from topics and from stores."""

Merge = Callable[[pl.DataFrame], pl.DataFrame]

_MAX_RANK: Final = (1 << 64) - 1


def merge_partials(windows: pl.DataFrame) -> pl.DataFrame:
    """Merge partial aggregates of the same window."""
    return windows.group_by(ENTITY_WINDOW_KEY).agg(pl.col("generation").max(), *measures_of_parts())


def keep_highest_versions(windows: pl.DataFrame) -> pl.DataFrame:
    """Keep each window once, in its highest version; of equal versions the last row."""
    ordered = windows.sort(WINDOW_VERSION, maintain_order=True)
    return ordered.unique(ENTITY_WINDOW_KEY, keep="last")


class WindowSample:
    """At most `size` windows of each group (None: all).

    `groups` are columns of ENTITY_WINDOW_KEY.
    """

    def __init__(self, size: int | None, seed: int, groups: Sequence[str], merge: Merge) -> None:
        self.rows = pl.DataFrame(schema=SAMPLE_SCHEMA)
        self._size = size
        self._seed = seed
        self._groups = list(groups)
        self._merge = merge
        self._limits = pl.DataFrame(
            schema={**{name: SAMPLE_SCHEMA[name] for name in groups}, "limit": pl.UInt64}
        )

    def add(self, windows: pl.DataFrame) -> None:
        """Add those of these windows (SAMPLE_SCHEMA) that belong to the sample."""
        new = self.keep_sampled(windows.select(SAMPLE_SCHEMA.names()))
        merged = self._merge(pl.concat([self.rows, new])).select(SAMPLE_SCHEMA.names())
        if self._size is None:
            self.rows = merged
            return
        ranked = merged.with_columns(rank=self._rank())
        index = pl.col("rank").rank("ordinal").over(self._groups)
        kept = ranked.filter(index <= self._size)
        if kept.height < ranked.height:
            full = ranked.filter(index > self._size).select(self._groups).unique()
            groups = kept.join(full, on=self._groups, how="semi").group_by(self._groups)
            lowered = groups.agg(limit=pl.col("rank").max())
            others = self._limits.join(lowered, on=self._groups, how="anti")
            self._limits = pl.concat([others, lowered.select(others.columns)])
        self.rows = kept.drop("rank")

    def keep_sampled(self, windows: pl.DataFrame) -> pl.DataFrame:
        """Return those of any windows that belong to this sample."""
        if self._limits.is_empty():
            return windows
        limited = windows.join(self._limits, on=self._groups, how="left", maintain_order="left")
        return limited.filter(self._rank() <= pl.col("limit").fill_null(_MAX_RANK)).drop("limit")

    def drop_before(self, time: int) -> None:
        """Drop the windows that start before a time (epoch ms), and their limits."""
        is_kept = pl.col("window_start") >= time
        self.rows = self.rows.filter(is_kept)
        if "window_start" in self._groups:
            self._limits = self._limits.filter(is_kept)

    def _rank(self) -> pl.Expr:
        return pl.struct(ENTITY_WINDOW_KEY).hash(self._seed)
