"""The parquet files of `--out`: what each store holds, in units."""

from pathlib import Path
from typing import Final

import polars as pl

from audit.conversions import micro_to_units
from mobility.measures import AMOUNTS, COUNTS

_COLUMNS: Final = (*COUNTS, *AMOUNTS, "avg_duration")


def write_totals(path: Path, totals: pl.DataFrame) -> None:
    """Write entity, id, trip_count, totals and avg_duration, as doubles in units."""
    frame = in_units(totals).select("entity", "id", *_COLUMNS)
    frame.sort("entity", "id").write_parquet(path)


def write_windows(path: Path, windows: pl.DataFrame) -> None:
    """Write the same per window, with window_start as a Datetime in ms and UTC."""
    window_start = pl.col("window_start").cast(pl.Datetime("ms", "UTC"))
    frame = in_units(windows).select("entity", "id", window_start, *_COLUMNS)
    frame.sort("entity", "id", "window_start").write_parquet(path)


def in_units(frame: pl.DataFrame) -> pl.DataFrame:
    """Convert totals in micro-units to the nearest doubles in units; leave doubles as they are."""
    return frame.with_columns(
        micro_to_units(frame[name]) for name in AMOUNTS if frame[name].dtype.is_integer()
    )
