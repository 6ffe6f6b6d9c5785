"""The range of a backfill: whole windows of event time."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import polars as pl

from audit.times import time_value_ms
from corrections.backfill_errors import BackfillError
from mobility.settings import Settings

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Range:
    """Windows that start at or after `start` and before `end` (both epoch ms, window bounds)."""

    start: int
    end: int

    def __str__(self) -> str:
        return f"{shown(self.start)} to {shown(self.end)}"

    def holds(self, column: str = "window_start") -> pl.Expr:
        """Return whether a window start lies in the range."""
        return pl.col(column).is_between(self.start, self.end, closed="left")

    def overlaps(self, other: "Range") -> bool:
        """Tell whether some window lies in both."""
        return self.start < other.end and other.start < self.end


def read_range(start: str, end: str, settings: Settings) -> Range:
    """Read the two ends of a range, as ISO 8601 or epoch ms.

    Raises BackfillError where one is no time, they are not in order, or they cut a window.
    """
    first, last = _moment("--from", start), _moment("--to", end)
    if first >= last:
        msg = f"--from {start} is not before --to {end}."
        raise BackfillError(msg)
    window = settings.window_ms
    whole = Range(first - first % window, last + -last % window)
    if whole != Range(first, last):
        msg = (
            f"A backfill recounts whole windows of {settings.window} s, and {start} to {end} cuts "
            f"some. Around it lie: --from {shown(whole.start)} --to {shown(whole.end)}"
        )
        raise BackfillError(msg)
    return whole


def shown(moment: int) -> str:
    """Return epoch ms as ISO 8601 in UTC; the number itself where it is outside the years."""
    try:
        time = _EPOCH + timedelta(milliseconds=moment)
    except OverflowError:
        return str(moment)
    return time.isoformat(timespec="milliseconds" if moment % 1_000 else "seconds")[:-6] + "Z"


def _moment(option: str, text: str) -> int:
    moment = time_value_ms(int(text) if text.removeprefix("-").isdecimal() else text)
    if moment is None:
        msg = f"{option} {text} is no time: give a date with a time, as in 2025-01-01T12:00Z."
        raise BackfillError(msg)
    return moment
