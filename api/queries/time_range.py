"""Which windows a range holds, and when they are complete."""

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

from api.errors import BadQuery
from api.queries.times import ms_of, read_time, time_of
from mobility.records import MAX_EVENT_TIME, MIN_EVENT_TIME
from mobility.settings import Settings

FOREVER: Final = MAX_EVENT_TIME + 1

EARLIEST: Final = ms_of(datetime(2, 1, 1, tzinfo=UTC))
LATEST: Final = ms_of(datetime(9999, 1, 1, tzinfo=UTC))
"""Ends of ranges lie between these, so that every time zone can tell their dates."""


@dataclass(frozen=True, slots=True)
class Range:
    """Windows that start in a half-open span of time, in epoch ms; None where it is open."""

    start: int | None = None
    end: int | None = None

    @property
    def is_open(self) -> bool:
        """Tell whether it holds every window there is."""
        return self.start is None and self.end is None

    @property
    def edges(self) -> tuple[int, int]:
        """Both ends as numbers: before and after all windows where it is open."""
        start = MIN_EVENT_TIME if self.start is None else self.start
        return start, FOREVER if self.end is None else self.end

    @property
    def shown(self) -> dict[str, Any]:
        """Both ends as the fields `from_` and `to` of an answer."""
        start = None if self.start is None else time_of(self.start)
        return {"from_": start, "to": None if self.end is None else time_of(self.end)}


@dataclass(frozen=True, slots=True)
class Windows:
    """The length of the windows, and how long after its end one is still corrected, both in ms."""

    length: int
    lateness: int

    @classmethod
    def of(cls, settings: Settings) -> "Windows":
        """Return the windows of these settings."""
        return cls(settings.window_ms, settings.allowed_lateness * 1_000)

    def range(
        self, start: str | None, end: str | None, zone: tzinfo = UTC, prefix: str = ""
    ) -> Range:
        """Return the range of windows that start from one time on and before another.

        It lies on the borders of windows. Raises BadQuery; parameters are called `from` and `to`
        after the prefix.
        """
        first = None if start is None else self._border(f"{prefix}from", start, zone)
        last = None if end is None else self._border(f"{prefix}to", end, zone)
        if first is not None and last is not None and first > last:
            msg = f"{prefix}from: lies after {prefix}to"
            raise BadQuery(msg)
        return Range(first, last)

    def is_complete(self, end: int, as_of: datetime | None) -> bool:
        """Tell whether windows up to an end (epoch ms) can only change by a backfill.

        A trip is late when its window's end plus the allowed lateness lies before the watermark.
        """
        return as_of is not None and end + self.lateness < ms_of(as_of)

    def is_range_complete(self, over: Range, newest: int | None, as_of: datetime | None) -> bool:
        """Tell whether a range is complete: up to its end, else to that of the newest window."""
        if over.end is not None:
            return self.is_complete(over.end, as_of)
        return newest is not None and self.is_complete(newest + self.length, as_of)

    def _border(self, name: str, text: str, zone: tzinfo) -> int:
        time = -(-read_time(name, text, zone) // self.length) * self.length
        if not EARLIEST <= time <= LATEST:
            msg = f"{name}: lies outside the years 2 to 9998"
            raise BadQuery(msg)
        return time
