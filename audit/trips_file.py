"""The trips of files, as the log must have them.

Files are read as the producer reads them (`producer.formats`); what becomes of their trips is
computed independently of the flow.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import polars as pl

from audit.times import time_value_ms
from audit.validation import TIMES, TRIP_SCHEMA
from producer.formats.known_formats import OWN
from producer.formats.options import ReadingOptions
from producer.formats.trip_reader import open_trip_files

COPY: Final = "copy"

_PER_MS: Final = {"ms": 1, "us": 1_000, "ns": 1_000_000}


def to_trips(batches: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Return trips read from files (TRIP_SCHEMA); columns that a file lacks are null."""
    frames = [_convert_batch(batch) for batch in batches]
    return pl.concat(frames) if frames else pl.DataFrame(schema=TRIP_SCHEMA)


def read_own_trips(path: Path) -> pl.DataFrame:
    """Return the trips (TRIP_SCHEMA) of a file with the columns of a trip.

    Raises ValueError if it can't be read as one, or if a row is no trip.
    """
    with open_trip_files([path], ReadingOptions(format=OWN.name)) as reader:
        report = reader.new_report()
        trips = to_trips(reader.batches(report))
    if report.left_out:
        raise ValueError(report.summary())
    return trips


def number_copies(trips: pl.DataFrame) -> pl.DataFrame:
    """Add `copy`: 0 for the first of equal trips, 1 for the second, so that rows are unique."""
    return trips.with_columns(pl.int_range(pl.len()).over(trips.columns).alias(COPY))


def _convert_batch(batch: pl.DataFrame) -> pl.DataFrame:
    return pl.DataFrame([_convert(batch, name, dtype) for name, dtype in TRIP_SCHEMA.items()])


def _convert(frame: pl.DataFrame, name: str, dtype: pl.DataType) -> pl.Series:
    if name not in frame.columns:
        return pl.Series(name, [None] * frame.height, dtype=dtype)
    column = frame[name]
    return _times_ms(column) if name in TIMES else column.cast(dtype)


def _times_ms(column: pl.Series) -> pl.Series:
    """Return times in epoch ms, floored; naive times are UTC, and invalid times null."""
    if isinstance(column.dtype, pl.Datetime):
        return column.to_physical() // _PER_MS[column.dtype.time_unit]
    times = [time_value_ms(value) for value in column]
    return pl.Series(column.name, times, dtype=pl.Int64)
