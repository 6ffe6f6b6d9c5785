"""Rollups of the ledger: what the windows of an id in an interval add up to. One row each.

Intervals are hours and days of UTC, moved by an offset that a store keeps from its first rollup on:
that of its time zone in winter (`MOBILITY_TIMEZONE`). So they follow no rules of clocks, which
change. An interval is cut where a week of the ledger ends, as weeks are dropped one by one.
"""

from dataclasses import dataclass
from typing import Final

HOUR: Final = 3_600_000
DAY: Final = 24 * HOUR
WEEK: Final = 7 * DAY

FIRST_WEEK: Final = 946_857_600_000
"""2000-01-03, a Monday: a week of the ledger begins whole weeks before or after it (epoch ms)."""


@dataclass(frozen=True, slots=True)
class Rollup:
    """A kind of rollup; the table of an entity is `<entity>_<name>`. `length` is in ms."""

    name: str
    length: int


ROLLUPS: Final = (Rollup("days", DAY), Rollup("hours", HOUR))
"""The coarsest first."""


def interval_start(time: int, length: int, offset: int) -> int:
    """Return the start of the interval that a time (epoch ms) is in.

    >>> interval_start(-1, 10, 3), interval_start(3, 10, 3), interval_start(12, 10, 3)
    (-7, 3, 3)
    """
    return time - (time - offset) % length


def interval_end(time: int, length: int, offset: int) -> int:
    """Return the first start of an interval that is not before a time (epoch ms).

    >>> interval_end(-1, 10, 3), interval_end(3, 10, 3), interval_end(4, 10, 3)
    (3, 3, 13)
    """
    return interval_start(time + length - 1, length, offset)


def interval_of(time: int, length: int, offset: int) -> tuple[int, int]:
    """Return the interval that a time (epoch ms) is in, which is cut where a week ends.

    >>> interval_of(FIRST_WEEK - 1, DAY, HOUR) == (FIRST_WEEK - 23 * HOUR, FIRST_WEEK)
    True
    >>> interval_of(FIRST_WEEK, DAY, HOUR) == (FIRST_WEEK, FIRST_WEEK + HOUR)
    True
    """
    start = interval_start(time, length, offset)
    week = interval_start(time, WEEK, FIRST_WEEK)
    return max(start, week), min(start + length, week + WEEK)
