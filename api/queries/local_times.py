"""Hours and weekdays of a time zone: which parts of a range the windows of an answer are in."""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Final

from api.errors import InvalidParameterError
from api.queries.time_range import to_datetime, to_epoch_ms

Part = tuple[int, int]
"""A half-open range of starts of windows, in epoch ms."""

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS_OF_DAY: Final = 24
_HOURS: Final = re.compile(r"(\d{1,2})(?:-(\d{1,2}))?")


@dataclass(frozen=True, slots=True)
class LocalTimes:
    """Hours of the day, as sorted half-open ranges, on some days of the week (0 is Monday)."""

    hours: Sequence[tuple[int, int]] = ((0, _HOURS_OF_DAY),)
    weekdays: frozenset[int] = frozenset(range(len(DAYS)))

    @classmethod
    def parse(cls, hours: str | None, weekdays: str | None, prefix: str = "") -> "LocalTimes":
        """Return those of the parameters `hours` and `weekdays`; all of them without any.

        `prefix` stands before the names of the parameters in messages. Raises
        InvalidParameterError.

        >>> LocalTimes.parse("22-6", "sat,sun").hours
        ((0, 6), (22, 24))
        """
        every = cls()
        return cls(
            every.hours if hours is None else _parse_hours(f"{prefix}hours", hours),
            (
                every.weekdays
                if weekdays is None
                else _parse_weekdays(f"{prefix}weekdays", weekdays)
            ),
        )

    def parts(self, start: int, end: int, zone: tzinfo) -> Iterator[Part]:
        """Yield the parts of a range that are in these hours and days of a zone, in order.

        An hour that clocks skip has no part; one that they repeat is in it twice.
        """
        if self == LocalTimes():
            if start < end:
                yield start, end
            return
        last: Part | None = None
        for part in self._parts_of_days(start, end, zone):
            if last is not None and last[1] == part[0]:
                last = last[0], part[1]
                continue
            if last is not None:
                yield last
            last = part
        if last is not None:
            yield last

    def _parts_of_days(self, start: int, end: int, zone: tzinfo) -> Iterator[Part]:
        """Yield a part for each range of hours of each day."""
        day = to_datetime(start).astimezone(zone).date()
        while _moment(day, 0, zone) < end:
            for first, last in self.hours if day.weekday() in self.weekdays else ():
                part_start = max(_moment(day, first, zone), start)
                part_end = min(_moment(day, last, zone), end)
                if part_start < part_end:
                    yield part_start, part_end
            day += timedelta(days=1)


def is_in(parts: Sequence[Part], time: int) -> bool:
    """Return whether a time is in one of these parts, which are in order.

    >>> [is_in([(0, 2), (4, 6)], time) for time in (1, 2, 4)]
    [True, False, True]
    """
    place = bisect_right(parts, time, key=lambda part: part[0])
    return place > 0 and time < parts[place - 1][1]


def _moment(day: date, hour: int, zone: tzinfo) -> int:
    """Return an hour of a day in epoch ms; hour 24 is the start of the next day."""
    if hour == _HOURS_OF_DAY:
        day, hour = day + timedelta(days=1), 0
    return to_epoch_ms(datetime(day.year, day.month, day.day, hour, tzinfo=zone))


def _parse_hours(name: str, text: str) -> tuple[tuple[int, int], ...]:
    hours: set[int] = set()
    for item in text.split(","):
        found = _HOURS.fullmatch(item.strip())
        start = int(found[1]) if found else -1
        end = int(found[2]) if found and found[2] else start + 1
        if not 0 <= start < _HOURS_OF_DAY or not 0 <= end <= _HOURS_OF_DAY or start == end:
            msg = (
                f"{name}: not hours from 0 to 24, such as 8-9 (8:00 until 9:00), 7-9,17-19 or 22-6"
            )
            raise InvalidParameterError(msg)
        if end < start:
            # From 22 until 6 is until 6 of the next day.
            end += _HOURS_OF_DAY
        hours |= {hour % _HOURS_OF_DAY for hour in range(start, end)}
    return tuple(
        (hour, next(end for end in range(hour + 1, _HOURS_OF_DAY + 1) if end not in hours))
        for hour in sorted(hours)
        if hour - 1 not in hours
    )


def _parse_weekdays(name: str, text: str) -> frozenset[int]:
    days: set[int] = set()
    for item in text.lower().split(","):
        ends = [day.strip() for day in item.split("-")]
        if not set(ends) <= set(DAYS) or len(ends) > 2:  # noqa: PLR2004 - first and last
            msg = f"{name}: not days such as mon-fri or sat,sun; the days are {', '.join(DAYS)}"
            raise InvalidParameterError(msg)
        start, end = DAYS.index(ends[0]), DAYS.index(ends[-1])
        if end < start:
            end += len(DAYS)
        days |= {day % len(DAYS) for day in range(start, end + 1)}
    return frozenset(days)
