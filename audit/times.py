"""Event time of trips: the oracle's own parsing of times."""

import math
import re
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from mobility.records import MAX_EVENT_TIME, MIN_EVENT_TIME
from mobility.settings import Settings

_MINUTE_MS: Final = 60_000
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - naive: offsets are subtracted as numbers
_MILLISECOND: Final = timedelta(milliseconds=1)
_DATE_AND_TIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}[T ].", re.ASCII)


def time_value_ms(value: float | str | None) -> int | None:
    """Return a JSON value as epoch milliseconds, floored; None if it is not a valid time.

    Numbers are epoch milliseconds; strings are those that `datetime.fromisoformat` accepts, with a
    full date and a time, in UTC if they have no offset. Valid are the years 1 to 9999 in UTC.
    """
    if value is None:
        return None
    if isinstance(value, str):
        milliseconds = _parse_iso(value)
    elif isinstance(value, int) or math.isfinite(value):
        milliseconds = math.floor(value)
    else:
        return None
    if milliseconds is None or not MIN_EVENT_TIME <= milliseconds <= MAX_EVENT_TIME:
        return None
    return milliseconds


def event_time(settings: Settings) -> pl.Expr:
    """Return a trip's event time in epoch ms."""
    if settings.event_time == "start":
        return pl.col("start_time")
    duration = (pl.col("duration_min") * _MINUTE_MS).round(mode="half_to_even")
    end = pl.col("start_time") + duration.cast(pl.Int64, strict=False)
    return pl.coalesce("end_time", end)


def _parse_iso(text: str) -> int | None:
    if _DATE_AND_TIME.match(text) is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    # A difference of naive times can't overflow if the offset leads out of the valid years.
    offset = moment.utcoffset() or timedelta()
    return (moment.replace(tzinfo=None) - _EPOCH - offset) // _MILLISECOND
