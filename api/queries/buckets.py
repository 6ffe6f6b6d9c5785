"""A range cut into the spans of a series: windows, hours or days of a time zone."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta, tzinfo
from functools import cache
from typing import Final, Literal
from zoneinfo import ZoneInfo, available_timezones

from api.errors import BadQuery, RangeTooLong
from api.queries.time_range import EARLIEST, LATEST, Range, Windows
from api.queries.times import ms_of, time_of

Granularity = Literal["PT5M", "PT15M", "PT1H", "P1D"]

MAX_SPANS: Final = 10_000

_MINUTE: Final = 60_000
_DAY: Final = 86_400_000
_STEPS: Final[dict[Granularity, int]] = {
    "PT5M": 5 * _MINUTE,
    "PT15M": 15 * _MINUTE,
    "PT1H": 60 * _MINUTE,
    "P1D": _DAY,
}


def step_of(granularity: Granularity | None, windows: Windows) -> int:
    """Return the length of a granularity in ms, that of a window for None; raises BadQuery."""
    step = windows.length if granularity is None else _STEPS[granularity]
    if step % windows.length:
        msg = (
            f"granularity: windows are {windows.length / _MINUTE:g} minutes long, "
            f"so {granularity} can't be made of them"
        )
        raise BadQuery(msg)
    return step


def step_name(step: int) -> str:
    """Return a length in ms as an ISO 8601 duration.

    >>> step_name(300_000), step_name(3_600_000), step_name(86_400_000)
    ('PT5M', 'PT1H', 'P1D')
    """
    for unit, name in ((_DAY, "P{}D"), (60 * _MINUTE, "PT{}H"), (_MINUTE, "PT{}M")):
        if step % unit == 0:
            return name.format(step // unit)
    return f"PT{step // 1_000}S"


def reach_of(step: int) -> int:
    """Return how far before its end a series begins where nothing else is asked, in ms."""
    return 31 * _DAY if step == _DAY else _DAY


def zone_of(name: str) -> ZoneInfo:
    """Return the time zone of a name in the IANA database; raises BadQuery."""
    if name not in _zones():
        msg = "tz: no such time zone in the IANA database, such as Europe/Berlin"
        raise BadQuery(msg)
    return ZoneInfo(name)


def edges(over: Range, step: int, zone: tzinfo, windows: Windows) -> tuple[int, ...]:
    """Return where spans begin, and where the last one ends, all in epoch ms.

    Every day of the zone is cut into steps from its first moment on, so a day is as long as it is
    there, and hours are those of its clocks. The first and the last span are cut by the range.
    Windows by themselves are the same in all zones. Raises RangeTooLong.
    """
    start, end = over.edges
    # Days can be a little shorter than a step, or of no length at all; what counts is the result.
    if (end - start) // step > MAX_SPANS:
        raise _too_long()
    if step == windows.length:
        return (*range(start, end, step), end) if end > start else ()
    found = [start]
    for border in _borders(start, end, step, zone):
        if found[-1] < border < end:
            found.append(border)
            if len(found) > MAX_SPANS:
                raise _too_long()
    return (*found, end) if end > start else ()


def span_at(within: Sequence[int], window_start: int) -> int:
    """Return the number of the span (from 0) that a window of the range belongs to."""
    return bisect_left(within, window_start + 1) - 1


def range_of(over: Range, newest: int, step: int, windows: Windows) -> Range:
    """Return a range with both ends: up to the newest window, from a day or a month before."""
    end = over.end
    if end is None:
        end = min(max(newest + windows.length, over.start or newest), LATEST)
    start = over.start
    return Range(max(end - reach_of(step), EARLIEST) if start is None else start, end)


def _borders(start: int, end: int, step: int, zone: tzinfo) -> Iterator[int]:
    """Yield the borders of spans in order, from one at or before the start to one after the end."""
    day = time_of(start).astimezone(zone).date()
    midnight = _first_moment(day, zone)
    while midnight < end:
        day += timedelta(days=1)
        next_midnight = _first_moment(day, zone)
        if step == _DAY:
            yield midnight
        else:
            first = max(midnight, start - (start - midnight) % step)
            yield from range(first, min(next_midnight, end), step)
        midnight = next_midnight


def _first_moment(day: date, zone: tzinfo) -> int:
    """Return when a day begins. A midnight that clocks skip is the moment they skip it at."""
    return ms_of(datetime(day.year, day.month, day.day, tzinfo=zone))


def _too_long() -> RangeTooLong:
    return RangeTooLong(
        f"from: the range holds more than {MAX_SPANS:,} spans; "
        "ask for a shorter one or a coarser granularity"
    )


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())
