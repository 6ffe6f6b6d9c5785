"""The trips of a parquet file, as the log must have them."""

from pathlib import Path
from typing import Final

import polars as pl

from audit.times import time_value_ms
from audit.validation import TIMES, TRIP_SCHEMA

COPY: Final = "copy"

_PER_MS: Final = {"ms": 1, "us": 1_000, "ns": 1_000_000}


def read_trips(path: Path) -> pl.DataFrame:
    """Return a file's trips (TRIP_SCHEMA); columns that the file lacks are null.

    Raises ValueError, with the name of the column, if its type can't be converted.
    """
    frame = pl.read_parquet(path, columns=_known_columns(path))
    columns = [_convert(frame, name, dtype) for name, dtype in TRIP_SCHEMA.items()]
    return pl.DataFrame(columns)


def number_copies(trips: pl.DataFrame) -> pl.DataFrame:
    """Add `copy`: 0 for the first of equal trips, 1 for the second, so that rows are unique."""
    return trips.with_columns(pl.int_range(pl.len()).over(trips.columns).alias(COPY))


def _known_columns(path: Path) -> list[str]:
    return [name for name in pl.read_parquet_schema(path) if name in TRIP_SCHEMA]


def _convert(frame: pl.DataFrame, name: str, dtype: pl.DataType) -> pl.Series:
    if name not in frame.columns:
        return pl.Series(name, [None] * frame.height, dtype=dtype)
    column = frame[name]
    if name in TIMES:
        return _times_ms(column)
    try:
        return column.cast(dtype)
    except pl.exceptions.PolarsError as error:
        msg = f"column {name} has type {column.dtype}, which is not valid there: {error}"
        raise ValueError(msg) from error


def _times_ms(column: pl.Series) -> pl.Series:
    """Return times in epoch ms, floored; naive times are UTC, and invalid times null."""
    if isinstance(column.dtype, pl.Datetime):
        return column.to_physical() // _PER_MS[column.dtype.time_unit]
    times = [time_value_ms(value) for value in column]
    return pl.Series(column.name, times, dtype=pl.Int64)
