"""Runs of partial aggregates: what a log-structured merge tree of windows consists of.

Runs are immutable and add up: a window's totals are the sum of its rows in all of them. So new rows
never touch the old ones, a run is serialised once, and few large runs are merged seldom.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from mobility.totals import KEY, merge_totals, narrowed, upgrade_windows

SMALL: Final = 20_000
"""Rows that are merged without regard to what they are merged into: calls cost more than they."""

_SEARCHED: Final = 8
"""Rows a key from which on it is worth to sort them, once."""

_SEED: Final = 1


@dataclass(slots=True)
class Run:
    """Partial aggregates (PARTIAL_SCHEMA, sums perhaps in fewer bits), one row an id and window.

    `starts` are the starts of the windows (epoch ms). What is worked out when it is first asked
    for is kept: the rows in the order of the hashes of their keys, and their serialised form.
    """

    rows: pl.DataFrame
    starts: frozenset[int]
    _hashes: pl.Series | None = field(default=None, repr=False)
    _serialized: bytes | None = field(default=None, repr=False)

    @classmethod
    def of(cls, rows: pl.DataFrame) -> "Run":
        """Return the run of these rows."""
        return cls(rows, _starts(rows["window_start"]))

    @classmethod
    def resume(cls, serialized: bytes) -> "Run":
        """Return the run that `serialized` is the form of, in this release or an earlier one."""
        rows = upgrade_windows(pl.read_ipc(serialized))
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
        """Return the rows with the ids and windows of another run, and perhaps some others.

        Among many rows a key takes a binary search.
        """
        if self._hashes is None and self.height < _SEARCHED * keys.height:
            return self.rows.join(keys.rows, on=KEY, how="semi")
        # The binary search of sorted hashes is several times as fast.
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
        """Return the rows of some of the windows."""
        if starts == self.starts:
            return self
        chosen = _chosen(self.rows["window_start"], starts, self.starts - starts)
        hashes = None if self._hashes is None else self._hashes.filter(chosen)
        return Run(self.rows.filter(chosen), starts, hashes)


def key_hashes(rows: pl.DataFrame) -> pl.Series:
    """Return a hash of each row's id and window; of use only in this process."""
    return rows.select(pl.col("id").hash() ^ pl.col("window_start").hash(_SEED)).to_series()


def within(runs: Sequence[Run], starts: AbstractSet[int]) -> list[Run]:
    """Return what runs have of some windows."""
    return [run.part(run.starts & starts) for run in runs if run.starts & starts]


def without(runs: Sequence[Run], starts: AbstractSet[int]) -> list[Run]:
    """Return what runs have of other windows."""
    return [run.part(run.starts - starts) for run in runs if run.starts - starts]


def merged(runs: Sequence[Run]) -> Run:
    """Return one run with the totals of several."""
    if len(runs) == 1:
        return runs[0]
    starts = frozenset[int]().union(*(run.starts for run in runs))
    totals = merge_totals([run.rows for run in runs])
    return Run(totals if totals.height < SMALL else narrowed(totals), starts)


def compacted(runs: list[Run]) -> list[Run]:
    """Return the runs with the last ones merged, as far as they are small beside each other.

    A run is merged with those behind it once they have half of its rows. So each that is left has
    over twice the rows of all behind it: there are few, and a row is merged a few times.
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
    """Return the totals of the ids and windows of a run, which has each once, over all runs."""
    found = [run.find(keys) for run in others if not run.starts.isdisjoint(keys.starts)]
    found = [rows for rows in found if rows.height]
    totals = merge_totals([keys.rows, *found]) if found else keys.rows
    if totals.height > keys.height:  # different keys have the same hash
        totals = totals.join(keys.rows, on=KEY, how="semi")
    return totals


def _chosen(column: pl.Series, starts: frozenset[int], others: frozenset[int]) -> pl.Series:
    # Mostly the earlier windows are chosen, or the later ones: one comparison tells them apart.
    if max(starts) < min(others):
        return column <= max(starts)
    if min(starts) > max(others):
        return column >= min(starts)
    return column.is_in(sorted(starts))


def _starts(column: pl.Series) -> frozenset[int]:
    # Mostly all rows are of one window, which is cheaper to find out than the distinct windows.
    is_one = column.len() > 0 and column.min() == column.max()
    return frozenset(column.head(1) if is_one else column.unique())
