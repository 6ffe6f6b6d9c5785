"""Where the file's times come to lie in a replay: moved on by whole days, loop after loop."""

from dataclasses import dataclass
from typing import Final

DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Timeline:
    """Whole days in milliseconds: `shift` for the first loop, and `span` more for each further one.

    Whole days keep the time of day, and with it the rush hours. The span is that of the file's
    event times, rounded up to days of UTC, so that loops follow each other and never overlap.
    """

    shift: int
    span: int

    def moved(self, loop: int) -> int:
        """Return by how many milliseconds the times of a loop are moved on."""
        return self.shift + loop * self.span


def span_of(first: int, last: int) -> int:
    """Return the whole days, in ms, that hold both event times (epoch ms).

    >>> span_of(1, DAY_MS - 1) == DAY_MS
    True
    >>> span_of(1, DAY_MS) == 2 * DAY_MS
    True
    """
    return (last // DAY_MS - first // DAY_MS + 1) * DAY_MS


def shift_to(now: int, first: int) -> int:
    """Return the shift that puts the file's first day on the day before now (epoch ms).

    So one to two days of history lie behind now, and the time of day is kept.
    """
    return (now // DAY_MS - 1 - first // DAY_MS) * DAY_MS
