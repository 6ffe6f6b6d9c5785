"""The times of trips in epoch milliseconds."""

from typing import Final

import polars as pl

from mobility.records import MAX_EVENT_TIME, MIN_EVENT_TIME
from mobility.times import epoch_ms

_PER_MS: Final = {"ms": 1, "us": 1_000, "ns": 1_000_000}
_MS_PER_MINUTE: Final = 60_000


def time_ms(times: pl.Series) -> pl.Series:
    """Return times in epoch ms (Int64), floored; null if a time is missing or invalid."""
    if isinstance(times.dtype, pl.Datetime):
        ms = times.to_physical() // _PER_MS[times.dtype.time_unit]
    elif times.dtype.is_integer():
        ms = times.cast(pl.Int64, strict=False)
    else:
        ms = epoch_ms(times.cast(pl.String))
    return ms.set(~ms.is_between(MIN_EVENT_TIME, MAX_EVENT_TIME), None)


def event_time_ms(rows: pl.DataFrame, event_time: str) -> pl.Series:
    """Return event times in epoch ms (Int64), by the setting `event_time`."""
    start = time_ms(rows["start_time"])
    if event_time == "start":
        return start
    duration = (rows["duration_min"].cast(pl.Float64) * _MS_PER_MINUTE).round(mode="half_to_even")
    end = start + duration.cast(pl.Int64, strict=False)
    if "end_time" not in rows.columns:
        return end
    given = time_ms(rows["end_time"])
    return given.zip_with(given.is_not_null(), end)
