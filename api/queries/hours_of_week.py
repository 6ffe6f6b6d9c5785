"""Hours of the week in a time zone: 168 of them, the first one is that from Monday, 0:00."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from api.queries.time_range import to_datetime

HOURS_OF_WEEK: Final = 7 * 24

_HOUR: Final = 3_600_000
_DAY: Final = 24 * _HOUR
_WEEK: Final = 7 * _DAY
_MONDAY: Final = 3 * _DAY + 110_000 * _WEEK
"""From a Monday that is before all ranges, to the Thursday on which epoch milliseconds begin."""


@dataclass(frozen=True, slots=True)
class ClockSpan:
    """A part of a range in which clocks are not changed, in epoch ms, half-open.

    With `shift` added, a time in it is the local time since a Monday, in ms.
    """

    start: int
    end: int
    shift: int


def clock_spans(start: int, end: int, zone: tzinfo) -> Iterator[ClockSpan]:
    """Yield the parts of a range between changes of the clocks of a zone, in order."""
    while start < end:
        change = _next_change(start, end, zone)
        yield ClockSpan(start, change, _offset(start, zone) + _MONDAY)
        start = change


def hour_of_week(time: int, span: ClockSpan) -> int:
    """Return the hour of the week of a time in a span.

    >>> hour_of_week(0, ClockSpan(0, 1, _MONDAY))
    72
    """
    return (time + span.shift) // _HOUR % HOURS_OF_WEEK


def lengths_of_hours(spans: Sequence[ClockSpan]) -> list[int]:
    """Return how much time of the spans is in each hour of the week, in ms.

    Where clocks skip an hour it is less, and where they repeat one more.
    """
    found = [0] * HOURS_OF_WEEK
    for span in spans:
        weeks = (span.end - span.start) // _WEEK
        found = [length + weeks * _HOUR for length in found]
        time = span.start + weeks * _WEEK
        while time < span.end:
            bound = min(span.end, time + _HOUR - (time + span.shift) % _HOUR)
            found[hour_of_week(time, span)] += bound - time
            time = bound
    return found


def _offset(time: int, zone: tzinfo) -> int:
    """Return how much local times are ahead of those of UTC, in ms."""
    offset = to_datetime(time).astimezone(zone).utcoffset()
    return 0 if offset is None else round(offset.total_seconds() * 1_000)


def _next_change(start: int, end: int, zone: tzinfo) -> int:
    """Return the first moment after a start with another offset; the end if there is none."""
    before, offset = start, _offset(start, zone)
    while before < end:
        after = min(before + _DAY, end)
        if _offset(after, zone) != offset:
            return _bisect(before, after, zone)
        before = after
    return end


def _bisect(before: int, after: int, zone: tzinfo) -> int:
    """Return the first moment with the offset of `after`, which that of `before` is not."""
    offset = _offset(before, zone)
    while after - before > 1:
        middle = (before + after) // 2
        if _offset(middle, zone) == offset:
            before = middle
        else:
            after = middle
    return after
