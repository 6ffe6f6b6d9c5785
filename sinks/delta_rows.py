"""The rows of a Delta table: windows with times, exact amounts in units, and their order."""

from decimal import Decimal
from typing import Final

import polars as pl

from mobility.measures import AMOUNTS, STARTS
from mobility.records import MICRO, WINDOW_SCHEMA
from mobility.totals import WINDOW_KEY

MAX_AMOUNT: Final = 10**38 - 1
"""The largest amount of a decimal with 38 digits, in micro-units."""

_TIMES: Final = ("window_start", *STARTS)
_MS: Final = pl.Datetime("ms", "UTC")
_TYPES: Final = dict.fromkeys(_TIMES, pl.Datetime("us", "UTC")) | dict.fromkeys(
    AMOUNTS, pl.Decimal(38, 6)
)

TABLE_SCHEMA: Final = pl.Schema(
    {"day": pl.Date(), **WINDOW_SCHEMA, **_TYPES, "commit_version": pl.Int64()}
)
"""`day` is that of the window start (UTC), `commit_version` that of the commit with the row."""


def encode(windows: pl.DataFrame, commit_version: int) -> pl.DataFrame:
    """Return the rows (TABLE_SCHEMA) of windows (WINDOW_SCHEMA) in a commit."""
    millionth = pl.lit(Decimal(1) / MICRO)
    return windows.with_columns(
        pl.col(_TIMES).cast(_MS).cast(pl.Datetime("us", "UTC")),
        # No division: the product of integers and a millionth has the same digits.
        pl.col(AMOUNTS).cast(pl.Decimal(38, 0)) * millionth,
        day=pl.col("window_start").cast(_MS).dt.date(),
        commit_version=pl.lit(commit_version, pl.Int64),
    ).select(TABLE_SCHEMA.names())


def decode(rows: pl.LazyFrame) -> pl.DataFrame:
    """Return the windows (WINDOW_SCHEMA) of rows."""
    windows = rows.select(
        pl.col(name).dt.epoch("ms") if name in _TIMES else pl.col(name).to_physical()
        for name in WINDOW_SCHEMA
    )
    return windows.cast(WINDOW_SCHEMA).collect()


def newest(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return the rows that count, one a window."""
    return rows.sort("commit_version").unique(WINDOW_KEY, keep="last")


def same_range(windows: pl.DataFrame) -> pl.Expr:
    """Return the condition for rows of the days and the times of windows: other files are left out.

    Files have their days in their names, and their first and last times in the log.
    """
    starts = windows["window_start"].cast(_MS)
    days = starts.dt.date().unique().to_list()
    return pl.col("day").is_in(days) & pl.col("window_start").is_between(starts.min(), starts.max())
