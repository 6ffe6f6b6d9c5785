"""Buckets of a series: a time range divided into windows, or into hours or days of a time zone."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta, tzinfo
from itertools import chain, islice
from typing import Final, Literal
from zoneinfo import ZoneInfo

from api.errors import InvalidParameterError, RangeTooLongError
from api.queries.contract import ZERO_SUMS, Series, Sums
from api.queries.local_times import Part, is_in
from api.queries.time_range import (
    EARLIEST,
    LATEST,
    TimeRange,
    WindowingStrategy,
    to_datetime,
    to_epoch_ms,
)
from mobility.time_zones import zone_names

Granularity = Literal["PT5M", "PT15M", "PT1H", "P1D"]

MAX_BUCKETS: Final = 10_000

_MINUTE: Final = 60_000
_DAY: Final = 86_400_000
_LENGTHS: Final[dict[Granularity, int]] = {
    "PT5M": 5 * _MINUTE,
    "PT15M": 15 * _MINUTE,
    "PT1H": 60 * _MINUTE,
    "P1D": _DAY,
}


def bucket_length(granularity: Granularity | None, windowing: WindowingStrategy) -> int:
    """Return the length of a bucket in ms: that of a window without a granularity.

    Raises InvalidParameterError.
    """
    length = windowing.length if granularity is None else _LENGTHS[granularity]
    if length % windowing.length:
        msg = (
            f"granularity: windows are {windowing.length / _MINUTE:g} minutes long, "
            f"and {granularity} is not a multiple of that"
        )
        raise InvalidParameterError(msg)
    return length


def iso_duration(length: int) -> str:
    """Return a length in ms as an ISO 8601 duration.

    >>> iso_duration(300_000), iso_duration(3_600_000), iso_duration(86_400_000)
    ('PT5M', 'PT1H', 'P1D')
    """
    for unit, name in ((_DAY, "P{}D"), (60 * _MINUTE, "PT{}H"), (_MINUTE, "PT{}M")):
        if length % unit == 0:
            return name.format(length // unit)
    return f"PT{length // 1_000}S"


def default_range_length(length: int) -> int:
    """Return the length of a series without a start, in ms: a day, or a month of days."""
    return 31 * _DAY if length == _DAY else _DAY


def time_zone(name: str) -> ZoneInfo:
    """Return a time zone of the IANA database by name; raises InvalidParameterError."""
    if name not in zone_names():
        msg = "tz: not the name of a time zone in the IANA database, such as Europe/Berlin"
        raise InvalidParameterError(msg)
    return ZoneInfo(name)


def bucket_bounds(
    time_range: TimeRange, length: int, zone: tzinfo, windowing: WindowingStrategy
) -> tuple[int, ...]:
    """Return the start of each bucket and the end of the last one, in epoch ms.

    Raises RangeTooLongError if one response may not hold so many.
    """
    start, end = time_range.bounds
    # A first check: the exact number is known below, as days can be shorter or be skipped.
    if (end - start) // length > MAX_BUCKETS:
        raise _too_long()
    found = tuple(islice(each_bound(time_range, length, zone, windowing), MAX_BUCKETS + 2))
    if len(found) > MAX_BUCKETS + 1:
        raise _too_long()
    return found


def each_bound(
    time_range: TimeRange, length: int, zone: tzinfo, windowing: WindowingStrategy
) -> Iterator[int]:
    """Yield the start of each bucket and the end of the last one, in epoch ms.

    Each day of the zone is divided from its first moment on. So days have the length that they
    have in that zone, and hours are hours of its clocks. The range cuts the first and the last
    bucket. Buckets of one window are the same in all zones.
    """
    start, end = time_range.bounds
    if start >= end:
        return
    yield start
    if length == windowing.length:
        yield from range(start + length, end, length)
    else:
        last = start
        for bound in _zone_bounds(start, end, length, zone):
            if last < bound < end:
                yield bound
                last = bound
    yield end


def bucket_index(bounds: Sequence[int], window_start: int) -> int:
    """Return the index of the bucket that a window belongs to."""
    return bisect_left(bounds, window_start + 1) - 1


def cut_bounds(bounds: Sequence[int], parts: Sequence[Part]) -> tuple[int, ...]:
    """Return bounds with those of parts of their range: each piece is in a part, or in none.

    Raises RangeTooLongError.

    >>> cut_bounds((0, 10, 20), [(4, 6), (10, 12)])
    (0, 4, 6, 10, 12, 20)
    """
    found = tuple(sorted({*bounds, *chain.from_iterable(parts)}))
    if len(found) > MAX_BUCKETS + 1:
        raise _too_long()
    return found


def merge_pieces(
    found: Series, cuts: Sequence[int], bounds: Sequence[int], parts: Sequence[Part]
) -> dict[int, Sums]:
    """Return the sums of each bucket: those of its pieces (between `cuts`) that are in a part."""
    if not bounds or list(parts) == [(bounds[0], bounds[-1])]:
        return {bucket.index: bucket.sums for bucket in found.buckets}
    sums_of: dict[int, Sums] = {}
    for piece in found.buckets:
        start = cuts[piece.index]
        if is_in(parts, start):
            index = bucket_index(bounds, start)
            before = sums_of.get(index, ZERO_SUMS)
            sums_of[index] = {name: before[name] + piece.sums[name] for name in piece.sums}
    return sums_of


def clip_range(
    time_range: TimeRange,
    windows: tuple[int, int],
    length: int,
    zone: tzinfo,
    windowing: WindowingStrategy,
) -> TimeRange:
    """Return a range without the days before the oldest and after the newest of the windows.

    The buckets that have windows stay as they are.
    """
    (start, end), (oldest, newest) = time_range.bounds, windows
    first, last = oldest, newest + windowing.length
    if length != windowing.length:
        first = _first_moment(_date(oldest, zone), zone)
        last = _first_moment(_date(newest, zone) + timedelta(days=1), zone)
    return TimeRange(max(start, first), min(end, last))


def series_range(
    time_range: TimeRange, newest_window: int, length: int, windowing: WindowingStrategy
) -> TimeRange:
    """Return the range with default bounds: a day or a month up to the newest window's end."""
    end = time_range.end
    if end is None:
        end = min(max(newest_window + windowing.length, time_range.start or newest_window), LATEST)
    start = time_range.start
    if start is None:
        start = max(end - default_range_length(length), EARLIEST)
    return TimeRange(start, end)


def _zone_bounds(start: int, end: int, length: int, zone: tzinfo) -> Iterator[int]:
    """Yield the bounds of buckets in order; the first is at or before the start of the range."""
    day = _date(start, zone)
    midnight = _first_moment(day, zone)
    while midnight < end:
        day += timedelta(days=1)
        next_midnight = _first_moment(day, zone)
        if length == _DAY:
            yield midnight
        else:
            first = max(midnight, start - (start - midnight) % length)
            yield from range(first, min(next_midnight, end), length)
        midnight = next_midnight


def _date(time: int, zone: tzinfo) -> date:
    """Return the date of a time in a zone."""
    return to_datetime(time).astimezone(zone).date()


def _first_moment(day: date, zone: tzinfo) -> int:
    """Return the start of a day. If clocks skip midnight, the day starts when they skip it."""
    return to_epoch_ms(datetime(day.year, day.month, day.day, tzinfo=zone))


def _too_long() -> RangeTooLongError:
    return RangeTooLongError(
        f"from: the range has more than {MAX_BUCKETS:,} buckets; "
        "use a shorter range or a coarser granularity"
    )
