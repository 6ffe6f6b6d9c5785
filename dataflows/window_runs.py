"""Runs of partial aggregates, as in a log-structured merge tree.

Runs are immutable, and the totals of a window are its rows in all runs, merged (sums
are added, minima and maxima compared). So new rows
change no existing run, a run is serialised once, and large runs are merged rarely.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from mobility.records import PARTIAL_SCHEMA
from mobility.sketched_measures import SKETCH_BY_NAME, Sketch
from mobility.totals import WINDOW_KEY, merge_totals, narrowed, upgrade_windows, with_sketches

SMALL: Final = 20_000
"""A run of up to so many rows is always merged: the call costs more than the rows."""

_SEARCHED: Final = 8
"""From so many rows a key on, a run is sorted once and searched, else it is joined."""

_SEED: Final = 1

_STORED: Final = frozenset({*PARTIAL_SCHEMA, *SKETCH_BY_NAME, "changed"})
"""The columns that are read; release 0.1 had a flag for what has changed."""


@dataclass(slots=True)
class Run:
    """Partial aggregates (PARTIAL_SCHEMA, sums perhaps in fewer bits; sketches), one a window.

    `starts` are the window starts (epoch ms). The order of the rows by the hashes of their keys and
    the serialised form are computed when they are first needed, and kept.
    """

    rows: pl.DataFrame
    starts: frozenset[int]
    _hashes: pl.Series | None = field(default=None, repr=False)
    _serialized: bytes | None = field(default=None, repr=False)

    @classmethod
    def of(cls, rows: pl.DataFrame) -> "Run":
        """Return a run of these rows."""
        return cls(rows, _starts(rows["window_start"]))

    @classmethod
    def resume(cls, serialized: bytes, sketches: Sequence[Sketch] = ()) -> "Run":
        """Return the run with these rows, which this release or an earlier one has serialised.

        It has the columns of these sketches, whichever were computed then.
        """
        stored = pl.read_ipc(serialized)
        # A measure may have been taken away since.
        known = [name for name in stored.columns if name in _STORED]
        rows = with_sketches(upgrade_windows(stored.select(known)), sketches)
        return cls(rows, _starts(rows["window_start"]), _serialized=serialized)

    @property
    def height(self) -> int:
        """The number of rows."""
        return self.rows.height

    def serialized(self) -> bytes:
        """Return the rows in Arrow's IPC format."""
        if self._serialized is None:
            self._serialized = self.rows.write_ipc(None, compression="zstd").getvalue()
        return self._serialized

    def find(self, keys: "Run") -> pl.DataFrame:
        """Return the rows with the ids and windows of another run.

        There may be further rows whose keys have the same hashes. In a large run a key costs a
        binary search.
        """
        if self._hashes is None and self.height < _SEARCHED * keys.height:
            return self.rows.join(keys.rows, on=WINDOW_KEY, how="semi")
        # A binary search for sorted hashes is several times as fast.
        hashes = key_hashes(keys.rows).sort().unique(maintain_order=True)
        if self._hashes is None:
            # Rows in many chunks are gathered several times as slowly.
            rows = self.rows.rechunk()
            self.rows = rows[key_hashes(rows).arg_sort()]
            self._hashes = key_hashes(self.rows)
        first = self._hashes.search_sorted(hashes, side="left").alias("first")
        end = self._hashes.search_sorted(hashes, side="right").alias("end")
        found = pl.DataFrame([first, end]).filter(pl.col("first") < pl.col("end"))
        return self.rows[found.select(pl.int_ranges("first", "end").explode()).to_series()]

    def part(self, starts: frozenset[int]) -> "Run":
        """Return a run of the rows of some of the windows."""
        if starts == self.starts:
            return self
        chosen = _chosen(self.rows["window_start"], starts, self.starts - starts)
        hashes = None if self._hashes is None else self._hashes.filter(chosen)
        return Run(self.rows.filter(chosen), starts, hashes)


def key_hashes(rows: pl.DataFrame) -> pl.Series:
    """Return a hash of each row's id and window, which is valid in this process only."""
    return rows.select(pl.col("id").hash() ^ pl.col("window_start").hash(_SEED)).to_series()


def within(runs: Sequence[Run], starts: AbstractSet[int]) -> list[Run]:
    """Return the parts of the runs that have these windows."""
    return [run.part(run.starts & starts) for run in runs if run.starts & starts]


def without(runs: Sequence[Run], starts: AbstractSet[int]) -> list[Run]:
    """Return the parts of the runs that do not have these windows."""
    return [run.part(run.starts - starts) for run in runs if run.starts - starts]


def merged(runs: Sequence[Run]) -> Run:
    """Return one run with the totals of several runs."""
    if len(runs) == 1:
        return runs[0]
    starts = frozenset[int]().union(*(run.starts for run in runs))
    totals = merge_totals([run.rows for run in runs])
    return Run(totals if totals.height < SMALL else narrowed(totals), starts)


def compacted(runs: list[Run]) -> list[Run]:
    """Return the runs with the last ones merged, if they are small or of similar size.

    A run is merged with the runs after it once those have half of its rows. So each remaining run
    has over twice the rows of all runs after it: there are few, and a row is merged a few times.
    """
    if not runs:
        return runs
    first = len(runs) - 1
    rows = runs[first].height
    while first and runs[first - 1].height <= max(SMALL, 2 * rows):
        first -= 1
        rows += runs[first].height
    return [*runs[:first], merged(runs[first:])]


def totals_of(keys: Run, others: Sequence[Run]) -> pl.DataFrame:
    """Return the totals over all runs of the ids and windows in `keys`, which has each once."""
    found = [run.find(keys) for run in others if not run.starts.isdisjoint(keys.starts)]
    found = [rows for rows in found if rows.height]
    totals = merge_totals([keys.rows, *found]) if found else keys.rows
    if totals.height > keys.height:  # different keys have the same hash
        totals = totals.join(keys.rows, on=WINDOW_KEY, how="semi")
    return totals


def _chosen(column: pl.Series, starts: frozenset[int], others: frozenset[int]) -> pl.Series:
    # Usually these are the earliest windows or the latest ones, for which one comparison is enough.
    if max(starts) < min(others):
        return column <= max(starts)
    if min(starts) > max(others):
        return column >= min(starts)
    return column.is_in(sorted(starts))


def _starts(column: pl.Series) -> frozenset[int]:
    # Usually all rows are of one window; that check is cheaper than to find the distinct windows.
    is_one = column.len() > 0 and column.min() == column.max()
    return frozenset(column.head(1) if is_one else column.unique())
