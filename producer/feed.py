"""A trips file as slices of rows, in the order in which they go out."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import polars as pl

from producer.columns import TripsFileError, check_columns, event_columns, event_ms

_ROWS_AT_ONCE: Final = 500_000

# Reading the file this many times over, in windows, is better than holding all of it.
_MOST_REREADING: Final = 4


@dataclass(frozen=True, slots=True)
class Slice:
    """Some rows of the file: `rows` as they stand there, `numbers` where, `events` in epoch ms."""

    rows: pl.DataFrame
    numbers: pl.Series
    events: pl.Series


@dataclass(frozen=True, slots=True)
class Feed:
    """A trips file that has been checked.

    `events` has each row's event time in epoch ms, and `order` the row numbers in the order in
    which they go out.
    """

    path: Path
    events: pl.Series
    order: pl.Series

    @property
    def rows(self) -> int:
        """How many rows the file has."""
        return self.events.len()

    @property
    def first(self) -> int:
        """The earliest event time in epoch ms."""
        return int(self.events.min())  # type: ignore[arg-type] # never empty, never null

    @property
    def last(self) -> int:
        """The latest event time in epoch ms."""
        return int(self.events.max())  # type: ignore[arg-type] # never empty, never null

    def slices(self, start: int, size: int) -> Iterator[Slice]:
        """Yield slices of up to `size` rows, from the place `start` in the order on.

        A file that is nearly in order is read piece by piece. One that is not is held in memory.
        """
        pieces = [self.order.slice(at, size) for at in range(start, self.rows, size)]
        windows = [(int(piece.min()), int(piece.max()) + 1) for piece in pieces]  # type: ignore[arg-type]
        read = sum(end - begin for begin, end in windows)
        scan = pl.scan_parquet(self.path)
        if read > _MOST_REREADING * self.rows:
            scan = scan.collect().lazy()
        for piece, (begin, end) in zip(pieces, windows, strict=True):
            window = scan.slice(begin, end - begin).collect()
            yield Slice(window[piece - begin], piece, self.events.gather(piece))


def open_feed(path: Path, event_time: Literal["start", "end"], *, as_is: bool) -> Feed:
    """Check a trips file and find its order: that of event times, or, `as_is`, the file's own.

    Memory is 16 bytes a row. A row whose time can't be read goes out with the row before it in the
    file. Raises TripsFileError where the file is not a trips file.
    """
    scan = pl.scan_parquet(path)
    try:
        schema = scan.collect_schema()
    except (OSError, pl.exceptions.PolarsError) as error:
        msg = f"{path}: not a parquet file that can be read: {error}"
        raise TripsFileError(msg) from error
    check_columns(path, schema)
    events = _events(scan, schema, event_time)
    if events.is_empty():
        msg = f"{path}: there are no rows in it"
        raise TripsFileError(msg)
    if events.null_count() == events.len():
        msg = f"{path}: column start_time is {schema['start_time']}, and no row of it is a time"
        raise TripsFileError(msg)
    events = events.forward_fill().backward_fill()
    numbers = pl.int_range(events.len(), dtype=pl.Int64, eager=True)
    if not as_is and not events.is_sorted():
        ordered = pl.DataFrame({"event": events, "number": numbers})
        numbers = ordered.sort("event", maintain_order=True)["number"]
    return Feed(path, events, numbers)


def _events(scan: pl.LazyFrame, schema: pl.Schema, event_time: str) -> pl.Series:
    needed = scan.select(event_columns(schema, event_time))
    rows = scan.select(pl.len()).collect().item()
    pieces = [
        event_ms(needed.slice(at, _ROWS_AT_ONCE).collect(), event_time)
        for at in range(0, rows, _ROWS_AT_ONCE)
    ]
    return pl.concat(pieces) if pieces else pl.Series(dtype=pl.Int64)
