"""The range of a backfill: whole windows of event time."""

from dataclasses import dataclass

import polars as pl

from backfill.errors import BackfillError
from mobility.settings import Settings
from mobility.times import iso_time, parse_time


@dataclass(frozen=True, slots=True)
class WindowRange:
    """The windows that start at `start` or later and before `end` (epoch ms, window bounds)."""

    start: int
    end: int

    def __str__(self) -> str:
        return f"{iso_time(self.start)} to {iso_time(self.end)}"

    def contains(self, column: str = "window_start") -> pl.Expr:
        """Return whether a window start lies in the range."""
        return pl.col(column).is_between(self.start, self.end, closed="left")

    def within(self, other: "WindowRange") -> "WindowRange":
        """Return the part of a range that overlaps with another one."""
        return WindowRange(max(self.start, other.start), min(self.end, other.end))

    def covers(self, other: "WindowRange") -> bool:
        """Return whether this range contains all windows of another one."""
        return self.start <= other.start and other.end <= self.end

    def overlaps(self, other: "WindowRange") -> bool:
        """Return whether both ranges contain some window."""
        return self.start < other.end and other.start < self.end


def parse_window_range(start: str, end: str, settings: Settings) -> WindowRange:
    """Parse the two ends of a range, each ISO 8601 or epoch ms.

    Raises BackfillError where one is not a time, the order is wrong, or a window is cut.
    """
    first, last = _parse_time("--from", start), _parse_time("--to", end)
    if first >= last:
        msg = f"--from {start} is not before --to {end}."
        raise BackfillError(msg)
    window = settings.window_ms
    whole = WindowRange(first - first % window, last + -last % window)
    if whole != WindowRange(first, last):
        msg = (
            f"A backfill recounts whole windows of {settings.window} s, and {start} to {end} cuts "
            f"some. Use --from {iso_time(whole.start)} --to {iso_time(whole.end)}"
        )
        raise BackfillError(msg)
    return whole


def _parse_time(option: str, text: str) -> int:
    try:
        return parse_time(text)
    except ValueError as error:
        msg = f"{option} {text}: {error}"
        raise BackfillError(msg) from None
