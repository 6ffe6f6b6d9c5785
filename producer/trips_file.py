"""The trips of files, read as slices of rows in the order in which they are sent."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

import polars as pl

from producer.formats.reading_report import ReadingReport
from producer.formats.rejects import RejectsFile
from producer.formats.scratch_folder import scratch_folder
from producer.formats.trip_reader import OnRead, TripReader, show_nothing
from producer.sorted_runs import SortedRuns, write_runs

_GAP_MS: Final = 30 * 86_400_000
"""Event times with a gap of more than 30 days to the others are of wrong clocks, if few."""

_FEW_ROWS: Final = 10
_FEW_SHARE: Final = 0.01


@dataclass(frozen=True, slots=True)
class RowSlice:
    """Some rows of the files, with their row numbers and event times (epoch ms)."""

    rows: pl.DataFrame
    row_numbers: pl.Series
    event_times: pl.Series


@dataclass(frozen=True, slots=True)
class TripsFile:
    """The trips of all files.

    `order` has the row numbers in the order in which rows are sent. `first` and `last` are the
    earliest and the latest event time in epoch ms, `outliers` aside: a few rows that are far from
    all others. They are sent first and last, and no schedule waits for them.
    """

    runs: SortedRuns
    order: pl.Series
    first: int
    last: int
    outliers: int

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.order.len()

    def slices(self, start: int, size: int) -> Iterator[RowSlice]:
        """Yield slices of up to `size` rows, from the index `start` in the order on."""
        frames = self.runs.read(self.order, start, size)
        for at, rows in zip(range(start, self.rows, size), frames, strict=True):
            piece = self.order.slice(at, size)
            yield RowSlice(rows, piece, self.runs.event_times.gather(piece))


@contextmanager
def open_trips_file(
    reader: TripReader,
    report: ReadingReport,
    event_time: Literal["start", "end"],
    *,
    as_is: bool,
    rejects: RejectsFile | None = None,
    on_read: OnRead = show_nothing,
) -> Iterator[TripsFile]:
    """Read all trips, and yield them in their order: by event time, or `as_is` that of the files.

    They are kept on disk meanwhile, and 16 bytes of memory per row. Raises TripsFileError.
    """
    with scratch_folder("mobility-runs-") as folder:
        batches = reader.batches(report, rejects, on_read)
        runs = write_runs(batches, folder, event_time, as_is=as_is)
        order = pl.int_range(runs.event_times.len(), dtype=pl.Int64, eager=True)
        times = runs.event_times
        if not times.is_sorted():
            ordered = pl.DataFrame({"event_time": times, "number": order})
            ordered = ordered.sort("event_time", maintain_order=True)
            times = ordered["event_time"]
            order = order if as_is else ordered["number"]
        begin, end = _bulk(times)
        outliers = times.len() - (end - begin)
        yield TripsFile(runs, order, times[begin], times[end - 1], outliers)


def _bulk(times: pl.Series) -> tuple[int, int]:
    """Return the range of sorted event times without a few that are far away at either end."""
    few = max(_FEW_ROWS, int(times.len() * _FEW_SHARE))
    few = min(few, (times.len() - 1) // 2)
    gaps = times.diff() > _GAP_MS
    head = gaps.head(few + 1).arg_true()
    tail = gaps.tail(few).arg_true()
    begin = int(head[-1]) if not head.is_empty() else 0
    end = times.len() - few + int(tail[0]) if not tail.is_empty() else times.len()
    return begin, end
