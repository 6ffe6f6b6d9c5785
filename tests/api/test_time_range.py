"""Time ranges, and when the windows in them are complete."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from api.errors import InvalidParameterError
from api.queries.time_range import TimeRange, WindowingStrategy, parse_time, to_datetime

MINUTE = 60_000
WINDOWING = WindowingStrategy(5 * MINUTE, 10 * MINUTE)


def ms(text: str) -> int:
    """Return a time in UTC as epoch ms."""
    return parse_time("at", text)


def test_bounds_are_starts_of_windows() -> None:
    """A window belongs to the range with its start, so both bounds move up to the next start."""
    found = WINDOWING.parse_range("2025-01-01T08:02:00Z", "2025-01-01T10:00:00.000001+01:00")
    assert found == TimeRange(ms("2025-01-01T08:05"), ms("2025-01-01T09:05"))
    berlin = WINDOWING.parse_range("2025-06-01", None, ZoneInfo("Europe/Berlin"))
    assert berlin == TimeRange(ms("2025-05-31T22:00"), None)


@pytest.mark.parametrize(
    ("zone", "local", "expected"),
    [
        ("Europe/Berlin", "2025-06-01", "2025-05-31T22:00Z"),
        ("Europe/Berlin", "2025-06-01T08:00Z", "2025-06-01T08:00Z"),
        ("Europe/Berlin", "2025-06-01T08:00-05:00", "2025-06-01T13:00Z"),
        # Clocks show it twice.
        ("Europe/Berlin", "2025-10-26T02:30", "2025-10-26T00:30Z"),
        ("America/Havana", "2025-11-02", "2025-11-02T04:00Z"),
        ("Australia/Lord_Howe", "2025-04-06T01:45", "2025-04-05T14:45Z"),
        # Clocks skip it: 2:30 is 3:30 of the new time, and midnight 1:00.
        ("Europe/Berlin", "2025-03-30T02:30", "2025-03-30T01:30Z"),
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00Z"),
        ("Pacific/Apia", "2011-12-30T12:00", "2011-12-30T22:00Z"),
    ],
)
def test_bounds_without_an_offset_are_local_times(zone: str, local: str, expected: str) -> None:
    """Of two equal local times it is the first, and one that is skipped has the offset before."""
    assert parse_time("at", local, ZoneInfo(zone)) == ms(expected)


@pytest.mark.parametrize(
    ("start", "end", "fault"),
    [
        ("yesterday", None, "from: not a time"),
        ("2025-01-01T00:00:00 01:00", None, "%2B"),
        (None, "2025-13-01", "to: not a time"),
        ("2025-01-02", "2025-01-01", "from: must not be after to"),
        ("0001-01-01", None, "from: must be in"),
        (None, "9999-12-31T23:59:59Z", "to: must be in"),
        ("0001-01-01T00:00:00+23:00", None, "from: must be in"),
        (None, "", "to: not a time"),
        ("0", None, "from: not a time"),
    ],
)
def test_invalid_ranges(start: str | None, end: str | None, fault: str) -> None:
    """Each message begins with the name of the parameter."""
    with pytest.raises(InvalidParameterError, match=fault):
        WINDOWING.parse_range(start, end)


def test_a_window_is_complete_when_its_trips_are_late() -> None:
    """A trip is late once the watermark is after the end of its window plus the lateness."""
    end = ms("2025-01-01T12:00")
    deadline = to_datetime(end) + timedelta(minutes=10)
    assert not WINDOWING.is_complete(end, None)
    assert not WINDOWING.is_complete(end, deadline)
    assert WINDOWING.is_complete(end, deadline + timedelta(milliseconds=1))
    after = deadline + timedelta(milliseconds=1)
    assert WINDOWING.is_range_complete(TimeRange(None, end), None, after)
    assert WINDOWING.is_range_complete(TimeRange(), end - 5 * MINUTE, after)
    assert not WINDOWING.is_range_complete(TimeRange(), end, after)
    assert not WINDOWING.is_range_complete(TimeRange(), None, after)
