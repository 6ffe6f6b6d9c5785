"""Shifts of a replay's times by whole days, loop after loop."""

from dataclasses import dataclass
from typing import Final

DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class DayShift:
    """Whole days in milliseconds: `shift` for the first loop, and `span` more for each further one.

    Whole days keep the time of day, and so the rush hours. The span covers the file's event times,
    rounded up to days of UTC, so that loops follow each other and never overlap.
    """

    shift: int
    span: int

    def for_loop(self, loop: int) -> int:
        """Return by how many milliseconds the times of a loop are shifted."""
        return self.shift + loop * self.span


def whole_days(first: int, last: int) -> int:
    """Return the length in ms of the whole days that contain both event times (epoch ms).

    >>> whole_days(1, DAY_MS - 1) == DAY_MS
    True
    >>> whole_days(1, DAY_MS) == 2 * DAY_MS
    True
    """
    return (last // DAY_MS - first // DAY_MS + 1) * DAY_MS


def days_to_yesterday(now: int, first: int) -> int:
    """Return the shift in ms that moves the file's first day to the day before now (epoch ms).

    So there are one to two days of past trips, and the time of day is kept.
    """
    return (now // DAY_MS - 1 - first // DAY_MS) * DAY_MS
