"""Time ranges, in epoch milliseconds, and whether the windows in them are complete."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from api.errors import InvalidParameterError
from mobility.records import MAX_EVENT_TIME, MIN_EVENT_TIME
from mobility.settings import Settings

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def to_datetime(epoch_ms: int) -> datetime:
    """Return epoch milliseconds as a datetime in UTC.

    >>> to_datetime(1_735_689_600_000).isoformat()
    '2025-01-01T00:00:00+00:00'
    """
    return _EPOCH + epoch_ms * _MILLISECOND


def known_time(epoch_ms: int | None) -> datetime | None:
    """Return a stored time as a datetime; None for one that is not known yet.

    A watermark is not known yet if it is the lowest event time.

    >>> known_time(1_735_689_600_000).isoformat()
    '2025-01-01T00:00:00+00:00'
    >>> known_time(MIN_EVENT_TIME)
    """
    return None if epoch_ms is None or epoch_ms <= MIN_EVENT_TIME else to_datetime(epoch_ms)


def to_epoch_ms(time: datetime) -> int:
    """Return a datetime as epoch milliseconds, rounded up.

    So what starts at or after a time also starts at or after its milliseconds.

    >>> to_epoch_ms(datetime(1970, 1, 1, 0, 0, 1, 1, tzinfo=UTC))
    1001
    """
    return -((_EPOCH - time) // _MILLISECOND)


EARLIEST: Final = to_epoch_ms(datetime(2, 1, 1, tzinfo=UTC))
LATEST: Final = to_epoch_ms(datetime(9999, 1, 1, tzinfo=UTC))
"""Bounds of ranges lie between these, so that each has a date in every time zone."""


def parse_time(name: str, text: str, zone: tzinfo = UTC) -> int:
    """Return an ISO 8601 time as epoch milliseconds; a time without an offset is in the zone.

    Raises InvalidParameterError, with `name` as the parameter.

    >>> parse_time("from", "1970-01-01T01:00:00+01:00")
    0
    """
    try:
        time = datetime.fromisoformat(text)
        return to_epoch_ms(time if time.tzinfo else time.replace(tzinfo=zone))
    except (ValueError, OverflowError):
        fault = "not a time in ISO 8601, such as 2025-01-01T12:00:00Z"
        if " " in text:
            fault += " (send the + of an offset as %2B)"
        msg = f"{name}: {fault}"
        raise InvalidParameterError(msg) from None


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Windows that start in a half-open range, in epoch ms; None where it is unbounded.

    `parts` are the half-open parts of it that count, in order; None where all of it counts.
    """

    start: int | None = None
    end: int | None = None
    parts: tuple[tuple[int, int], ...] | None = None

    @property
    def is_unbounded(self) -> bool:
        """Whether the range holds every window."""
        return self.start is None and self.end is None

    @property
    def bounds(self) -> tuple[int, int]:
        """Both bounds; an unbounded side is before or after all windows."""
        start = MIN_EVENT_TIME if self.start is None else self.start
        return start, MAX_EVENT_TIME + 1 if self.end is None else self.end

    @property
    def counted(self) -> Sequence[tuple[int, int]]:
        """The parts that count; all of it is one."""
        return [self.bounds] if self.parts is None else self.parts


ALL_TIME: Final = TimeRange()


@dataclass(frozen=True, slots=True)
class WindowingStrategy:
    """The length of the windows and their allowed lateness, both in ms."""

    length: int
    allowed_lateness: int

    @classmethod
    def of(cls, settings: Settings) -> "WindowingStrategy":
        """Return the windowing strategy of these settings."""
        return cls(settings.window_ms, settings.allowed_lateness * 1_000)

    def parse_range(
        self, start: str | None, end: str | None, zone: tzinfo = UTC, prefix: str = ""
    ) -> TimeRange:
        """Return the range of the parameters `from` and `to`.

        Both bounds are moved up to the next start of a window. `prefix` stands before the names of
        the parameters in messages. Raises InvalidParameterError.
        """
        first = None if start is None else self._parse_bound(f"{prefix}from", start, zone)
        last = None if end is None else self._parse_bound(f"{prefix}to", end, zone)
        if first is not None and last is not None and first > last:
            msg = f"{prefix}from: must not be after {prefix}to"
            raise InvalidParameterError(msg)
        return TimeRange(first, last)

    def is_complete(self, end: int, watermark: datetime | None) -> bool:
        """Return whether only a backfill can still change windows up to an end (epoch ms).

        A trip is late if the end of its window plus the allowed lateness is before the watermark.
        """
        return watermark is not None and end + self.allowed_lateness < to_epoch_ms(watermark)

    def is_range_complete(
        self, time_range: TimeRange, newest_window: int | None, watermark: datetime | None
    ) -> bool:
        """Return whether a range is complete; without an end, up to the newest window."""
        if time_range.end is not None:
            return self.is_complete(time_range.end, watermark)
        return newest_window is not None and self.is_complete(
            newest_window + self.length, watermark
        )

    def _parse_bound(self, name: str, text: str, zone: tzinfo) -> int:
        time = -(-parse_time(name, text, zone) // self.length) * self.length
        if not EARLIEST <= time <= LATEST:
            msg = f"{name}: must be in the years 2 to 9998"
            raise InvalidParameterError(msg)
        return time
