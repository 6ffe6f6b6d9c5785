"""The trips of a parquet file as the log must hold them."""

from pathlib import Path
from typing import Final

import polars as pl

from audit.times import epoch_ms
from audit.verdicts import TIMES, TRIP_SCHEMA

COPY: Final = "copy"

_PER_MS: Final = {"ms": 1, "us": 1_000, "ns": 1_000_000}


def read_trips(path: Path) -> pl.DataFrame:
    """Return a file's trips with TRIP_SCHEMA; a column that it lacks is null throughout.

    Raises ValueError naming the column where one cannot hold what a trip has there.
    """
    frame = pl.read_parquet(path, columns=_known(path))
    columns = [_column(frame, name, dtype) for name, dtype in TRIP_SCHEMA.items()]
    return pl.DataFrame(columns)


def numbered(trips: pl.DataFrame) -> pl.DataFrame:
    """Add `copy`: 0 for the first of equal trips, 1 for the second, so that each row is itself."""
    return trips.with_columns(pl.int_range(pl.len()).over(trips.columns).alias(COPY))


def _known(path: Path) -> list[str]:
    return [name for name in pl.read_parquet_schema(path) if name in TRIP_SCHEMA]


def _column(frame: pl.DataFrame, name: str, dtype: pl.DataType) -> pl.Series:
    if name not in frame.columns:
        return pl.Series(name, [None] * frame.height, dtype=dtype)
    column = frame[name]
    if name in TIMES:
        return _moments(column)
    try:
        return column.cast(dtype)
    except pl.exceptions.PolarsError as error:
        msg = f"column {name} of type {column.dtype} does not hold what a trip has there: {error}"
        raise ValueError(msg) from error


def _moments(column: pl.Series) -> pl.Series:
    """Return epoch ms, floored; naive times are UTC, and no time at all is null."""
    if isinstance(column.dtype, pl.Datetime):
        return column.to_physical() // _PER_MS[column.dtype.time_unit]
    moments = [epoch_ms(value) for value in column]
    return pl.Series(column.name, moments, dtype=pl.Int64)
