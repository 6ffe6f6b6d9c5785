"""Trips on disk as sorted runs, which are merged slice by slice: an external merge sort.

Trips of any number are read in the order of event time, with the memory of a few batches and 16
bytes for each trip.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from mobility.times import iso_text
from mobility.validation import TIMES
from producer.columns import event_time_ms
from producer.formats.errors import TripsFileError

_ROWS_PER_RUN: Final = 500_000

# A slice of the merged order takes a small part of each run, and parquet reads whole row groups.
_ROWS_PER_GROUP: Final = 10_000

# No column of a trip: further columns may have any name.
_EVENT_TIME: Final = "\0event_time"


@dataclass(frozen=True, slots=True)
class SortedRuns:
    """Trips in parquet files, each of which is in the order of event time.

    `event_times` has each trip's event time in epoch ms, in the order of the input; `starts` is the
    number of the first trip of each run.
    """

    paths: Sequence[Path]
    event_times: pl.Series
    starts: pl.Series

    def read(self, order: pl.Series, first: int, size: int) -> Iterator[pl.DataFrame]:
        """Yield the trips from `first` on in slices of up to `size`, in an order of their numbers.

        `order` is by event time and then by number, or by number where the runs were not sorted.
        """
        taken = self._counts(order.head(first))
        for at in range(first, order.len(), size):
            piece = order.slice(at, size)
            counts = self._counts(piece)
            parts = [
                pl.scan_parquet(path, glob=False).slice(begin, count).collect()
                for path, begin, count in zip(self.paths, taken, counts, strict=True)
                if count
            ]
            taken = [before + count for before, count in zip(taken, counts, strict=True)]
            # What is read stands run by run; each run's rows are in the order of the piece.
            yield _joined(parts)[self._places(piece)]

    def _runs_of(self, numbers: pl.Series) -> pl.Series:
        return (self.starts.search_sorted(numbers, side="right") - 1).alias("run")

    def _counts(self, numbers: pl.Series) -> list[int]:
        """Return how many of these trips are in each run."""
        counts = dict(self._runs_of(numbers).value_counts().iter_rows())
        return [counts.get(run, 0) for run in range(len(self.paths))]

    def _places(self, numbers: pl.Series) -> pl.Series:
        """Return, by trip, its place if trips are sorted by their runs."""
        place = pl.int_range(numbers.len(), dtype=pl.Int64, eager=True)
        by_run = pl.DataFrame({"run": self._runs_of(numbers), "at": place})
        by_run = by_run.sort("run", maintain_order=True)
        return by_run.with_columns(place=place).sort("at")["place"]


def write_runs(
    batches: Iterable[pl.DataFrame], folder: Path, event_time: str, *, as_is: bool
) -> SortedRuns:
    """Write trips to a folder as runs; `as_is`, runs keep the order of the input.

    A trip with an invalid time follows the one before it. Raises TripsFileError if there is no
    trip, or none of the first run has a valid time.
    """
    paths: list[Path] = []
    event_times: list[pl.Series] = []
    latest: int | None = None
    for rows in _gather(batches):
        times = _filled(event_time_ms(rows, event_time), latest).alias(_EVENT_TIME)
        latest = times[-1]
        path = folder / f"{len(paths)}.parquet"
        if not as_is and not times.is_sorted():
            by_time = rows.with_columns(times).sort(_EVENT_TIME, maintain_order=True)
            rows = by_time.drop(_EVENT_TIME)  # noqa: PLW2901 - the same rows
        rows.write_parquet(
            path, compression="lz4", row_group_size=_ROWS_PER_GROUP, statistics=False
        )
        paths.append(path)
        event_times.append(times)
    if not paths:
        msg = "none of the rows is a trip"
        raise TripsFileError(msg)
    lengths = [times.len() for times in event_times]
    starts = pl.Series([0, *lengths[:-1]], dtype=pl.Int64).cum_sum()
    return SortedRuns(paths, pl.concat(event_times), starts)


def _filled(times: pl.Series, latest: int | None) -> pl.Series:
    filled = times.forward_fill()
    filled = filled.backward_fill() if latest is None else filled.fill_null(latest)
    if filled.has_nulls():
        msg = f"no valid start_time in the first {times.len():,} rows"
        raise TripsFileError(msg)
    return filled


def _gather(batches: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Yield the rows of batches in frames for one run each."""
    gathered: list[pl.DataFrame] = []
    number = 0
    for batch in batches:
        if batch.is_empty():
            continue
        gathered.append(batch)
        number += batch.height
        if number >= _ROWS_PER_RUN:
            yield _joined(gathered)
            gathered, number = [], 0
    if gathered:
        yield _joined(gathered)


def _joined(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Return the rows of frames, which may have different columns and types of times."""
    for name in TIMES:
        if len({frame[name].dtype for frame in frames if name in frame.columns}) > 1:
            frames = [_with_text(frame, name) for frame in frames]
    try:
        return pl.concat(frames, how="diagonal_relaxed")
    except pl.exceptions.PolarsError as error:
        msg = f"the files have columns of the same name and of different types: {error}"
        raise TripsFileError(msg) from error


def _with_text(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """Return a frame with a time as text, as trips of our own record may have it."""
    if name not in frame.columns or frame[name].dtype == pl.String:
        return frame
    return frame.with_columns(iso_text(pl.col(name).dt.epoch("ms")).alias(name))
