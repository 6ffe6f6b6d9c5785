"""A trips file, read as slices of rows in the order in which they are sent."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import polars as pl

from producer.columns import TripsFileError, check_columns, event_time_columns, event_time_ms

_ROWS_PER_READ: Final = 500_000

# Reading the file up to so many times, in ranges, is better than keeping it in memory.
_MAX_REREADING: Final = 4


@dataclass(frozen=True, slots=True)
class RowSlice:
    """Some rows of the file, with their row numbers and event times (epoch ms)."""

    rows: pl.DataFrame
    row_numbers: pl.Series
    event_times: pl.Series


@dataclass(frozen=True, slots=True)
class TripsFile:
    """A trips file with valid columns.

    `event_times` has each row's event time in epoch ms, and `order` the row numbers in the order in
    which rows are sent.
    """

    path: Path
    event_times: pl.Series
    order: pl.Series

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.event_times.len()

    @property
    def first(self) -> int:
        """The earliest event time in epoch ms."""
        return int(self.event_times.min())  # type: ignore[arg-type] # never empty, never null

    @property
    def last(self) -> int:
        """The latest event time in epoch ms."""
        return int(self.event_times.max())  # type: ignore[arg-type] # never empty, never null

    def slices(self, start: int, size: int) -> Iterator[RowSlice]:
        """Yield slices of up to `size` rows, from the index `start` in the order on.

        A file that is nearly in order is read in parts, any other is kept in memory.
        """
        pieces = [self.order.slice(at, size) for at in range(start, self.rows, size)]
        ranges = [(int(piece.min()), int(piece.max()) + 1) for piece in pieces]  # type: ignore[arg-type]
        read = sum(end - begin for begin, end in ranges)
        scan = pl.scan_parquet(self.path)
        if read > _MAX_REREADING * self.rows:
            scan = scan.collect().lazy()
        for piece, (begin, end) in zip(pieces, ranges, strict=True):
            rows = scan.slice(begin, end - begin).collect()
            yield RowSlice(rows[piece - begin], piece, self.event_times.gather(piece))


def open_trips_file(path: Path, event_time: Literal["start", "end"], *, as_is: bool) -> TripsFile:
    """Check a trips file and determine its order: by event time, or `as_is` that of the file.

    Uses 16 bytes of memory per row. A row with an invalid time is sent after the row before it in
    the file. Raises TripsFileError if the file is not a trips file.
    """
    scan = pl.scan_parquet(path)
    try:
        schema = scan.collect_schema()
    except (OSError, pl.exceptions.PolarsError) as error:
        msg = f"{path}: not a readable parquet file: {error}"
        raise TripsFileError(msg) from error
    check_columns(path, schema)
    event_times = _event_times(scan, schema, event_time)
    if event_times.is_empty():
        msg = f"{path}: the file has no rows"
        raise TripsFileError(msg)
    if event_times.null_count() == event_times.len():
        msg = f"{path}: column start_time is {schema['start_time']}, and has no valid time"
        raise TripsFileError(msg)
    event_times = event_times.forward_fill().backward_fill()
    numbers = pl.int_range(event_times.len(), dtype=pl.Int64, eager=True)
    if not as_is and not event_times.is_sorted():
        ordered = pl.DataFrame({"event_time": event_times, "number": numbers})
        numbers = ordered.sort("event_time", maintain_order=True)["number"]
    return TripsFile(path, event_times, numbers)


def _event_times(scan: pl.LazyFrame, schema: pl.Schema, event_time: str) -> pl.Series:
    needed = scan.select(event_time_columns(schema, event_time))
    rows = scan.select(pl.len()).collect().item()
    pieces = [
        event_time_ms(needed.slice(at, _ROWS_PER_READ).collect(), event_time)
        for at in range(0, rows, _ROWS_PER_READ)
    ]
    return pl.concat(pieces) if pieces else pl.Series(dtype=pl.Int64)
