"""Event time of trips: the oracle's own parsing of times."""

import math
import re
from datetime import datetime, time, timedelta
from typing import Final

import polars as pl

from mobility.records import MAX_EVENT_TIME, MIN_EVENT_TIME, RULES_VERSION, RulesVersion
from mobility.settings import Settings

_MINUTE_MS: Final = 60_000
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - naive: offsets are subtracted as numbers
_MILLISECOND: Final = timedelta(milliseconds=1)

# A time has all of its colons or none, and so does an offset.
_TIME: Final = re.compile(
    r"""(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)[T ](?P<hour>\d\d)
        (?:(?P<colon>:?)(?P<minute>\d\d)(?:(?P=colon)(?P<second>\d\d)(?:[.,](?P<part>\d+))?)?)?
        (?:\ ?(?:Z|(?P<sign>[+-])(?P<ahead>\d\d(?:(?P<by>:?)\d\d(?:(?P=by)\d\d)?)?)))?""",
    re.ASCII | re.VERBOSE,
)
_VERSION_1_TIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}[T ].", re.ASCII)


def time_value_ms(value: float | str | None, version: RulesVersion = RULES_VERSION) -> int | None:
    """Return a JSON value as epoch milliseconds, floored; None if it is not a valid time.

    Numbers are epoch milliseconds; strings are ISO 8601 with a full date and at least the hour, in
    UTC if they have no offset. In version 1 of the rules they are those that
    `datetime.fromisoformat` accepts. Valid are the years 1 to 9999 in UTC.
    """
    if value is None:
        return None
    if isinstance(value, str):
        milliseconds = _parse_by_python(value) if version == 1 else _parse_iso(value)
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
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    parts = [int(found[name] or 0) for name in ("year", "month", "day", "hour", "minute", "second")]
    thousandths = int(f"{found['part'] or ''}000"[:3])
    offset = (found["ahead"] or "").replace(":", "").ljust(6, "0")
    try:
        moment = datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001 - as _EPOCH
        ahead = time(int(offset[:2]), int(offset[2:4]), int(offset[4:]))
    except ValueError:
        return None
    offset_ms = (ahead.hour * 3_600 + ahead.minute * 60 + ahead.second) * 1_000
    local = (moment - _EPOCH) // _MILLISECOND + thousandths
    return local + offset_ms if found["sign"] == "-" else local - offset_ms


def _parse_by_python(text: str) -> int | None:
    if _VERSION_1_TIME.match(text) is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    # A difference of naive times can't overflow if the offset leads out of the valid years.
    offset = moment.utcoffset() or timedelta()
    return (moment.replace(tzinfo=None) - _EPOCH - offset) // _MILLISECOND
