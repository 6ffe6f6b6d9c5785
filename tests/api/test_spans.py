"""Ranges cut into hours and days as the clocks of a time zone show them."""

from datetime import UTC, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import BadQuery, RangeTooLong
from api.queries.buckets import MAX_SPANS, edges, range_of, span_at, step_name, step_of, zone_of
from api.queries.time_range import EARLIEST, LATEST, Range, Windows
from api.queries.times import read_time, time_of

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WINDOWS = Windows(5 * MINUTE, 10 * MINUTE)


def ms(text: str, zone: str = "UTC") -> int:
    """Return a local time as epoch ms."""
    return read_time("at", text, ZoneInfo(zone))


def hours(start: str, end: str, zone: str, step: int = DAY) -> list[float]:
    """Return the lengths of the spans between two local times, in hours."""
    found = edges(Range(ms(start, zone), ms(end, zone)), step, ZoneInfo(zone), WINDOWS)
    return [(after - before) / HOUR for before, after in pairwise(found)]


@pytest.mark.parametrize(
    ("zone", "start", "end", "lengths"),
    [
        ("Europe/Berlin", "2025-03-29", "2025-04-01", [24, 23, 24]),
        ("Europe/Berlin", "2025-10-25", "2025-10-28", [24, 25, 24]),
        ("Australia/Lord_Howe", "2025-10-04", "2025-10-07", [24, 23.5, 24]),
        # Clocks skipped midnight itself, and once a whole day.
        ("America/Sao_Paulo", "2018-11-03", "2018-11-06", [24, 23, 24]),
        ("Pacific/Apia", "2011-12-29", "2012-01-01", [24, 24]),
        # Midnight comes twice: the day begins with the first.
        ("America/Havana", "2025-11-01", "2025-11-04", [24, 25, 24]),
        ("UTC", "2025-03-29", "2025-03-31", [24, 24]),
    ],
)
def test_days_are_as_long_as_they_are_there(
    zone: str, start: str, end: str, lengths: list[float]
) -> None:
    """A day on which clocks change has 23, 25 or 23.5 hours, and one that was skipped none."""
    assert hours(start, end, zone) == lengths


@pytest.mark.parametrize(("zone", "day"), [("Asia/Kolkata", "2025-01-01"), ("UTC", "2025-01-01")])
def test_hours_are_those_of_the_clock(zone: str, day: str) -> None:
    """Where the offset has half an hour, an hour begins with the full hour there."""
    found = edges(Range(ms(day, zone), ms(day, zone) + DAY), HOUR, ZoneInfo(zone), WINDOWS)
    local = [time_of(edge).astimezone(ZoneInfo(zone)) for edge in found]
    assert {time.minute for time in local} == {0}
    assert [time.hour for time in local] == [*range(24), 0]


def test_an_hour_that_comes_twice_is_two() -> None:
    """When clocks go back an hour is shown twice, and both are counted by themselves."""
    assert hours("2025-10-26", "2025-10-27", "Europe/Berlin", HOUR) == [1.0] * 25


def test_windows_are_the_same_everywhere() -> None:
    """Windows that don't fit into hours stay what they are, in every zone."""
    seven = Windows(7 * MINUTE, 0)
    found = edges(Range(0, 70 * MINUTE), 7 * MINUTE, ZoneInfo("Asia/Kathmandu"), seven)
    assert found == tuple(range(0, 77 * MINUTE, 7 * MINUTE))


def test_ends_are_cut_by_the_range() -> None:
    """The first and last span are those parts of a day that the range has."""
    assert hours("2025-01-01T18:00", "2025-01-03T06:00", "UTC") == [6, 24, 6]
    assert hours("2025-01-01T18:00", "2025-01-01T18:05", "UTC") == [1 / 12]
    assert hours("2025-01-01T18:00", "2025-01-01T18:00", "UTC") == []


TIMES = st.integers(0, ms("2100-01-01") // (5 * MINUTE)).map(lambda number: number * 5 * MINUTE)


@given(
    TIMES,
    st.integers(1, 2_000),
    st.sampled_from([5 * MINUTE, 15 * MINUTE, HOUR, DAY]),
    st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "Pacific/Apia", "America/Havana"]),
    st.data(),
)
def test_every_window_is_in_one_span(
    start: int, count: int, step: int, zone: str, data: st.DataObject
) -> None:
    """Spans touch, fill the range, are no longer than a day can be, and each window has one."""
    end = start + count * 5 * MINUTE
    found = edges(Range(start, end), step, ZoneInfo(zone), WINDOWS)
    assert (found[0], found[-1]) == (start, end)
    lengths = [after - before for before, after in pairwise(found)]
    assert min(lengths) > 0
    assert max(lengths) <= step + (HOUR if step == DAY else 0)
    window = start + data.draw(st.integers(0, count - 1)) * 5 * MINUTE
    span = span_at(found, window)
    assert found[span] <= window < found[span + 1]
    days = {time_of(at).astimezone(ZoneInfo(zone)).date() for at in (found[span], window)}
    assert len(days) == 1


def test_a_series_has_a_limit() -> None:
    """As many spans as the limit can be asked for, and one more can't."""
    end = MAX_SPANS * 5 * MINUTE
    assert len(edges(Range(0, end), 5 * MINUTE, UTC, WINDOWS)) == MAX_SPANS + 1
    for too_long in (end + 5 * MINUTE, LATEST):
        with pytest.raises(RangeTooLong, match="granularity"):
            edges(Range(0, too_long), 5 * MINUTE, UTC, WINDOWS)


def test_the_ends_of_time_are_days_everywhere() -> None:
    """A series may lie at either end of what can be asked for, in zones on both sides of UTC."""
    for zone in ("Pacific/Kiritimati", "Pacific/Midway"):
        for over in (Range(EARLIEST, EARLIEST + DAY), Range(LATEST - DAY, LATEST)):
            found = edges(over, DAY, ZoneInfo(zone), WINDOWS)
            assert (found[0], found[-1]) == over.edges


def test_without_a_range_it_ends_with_the_newest_window() -> None:
    """By default a series is a day long, one of days a month, and each end can be given."""
    newest = ms("2025-01-31T11:55")
    noon = newest + 5 * MINUTE
    assert range_of(Range(), newest, HOUR, WINDOWS) == Range(noon - DAY, noon)
    assert range_of(Range(), newest, DAY, WINDOWS) == Range(noon - 31 * DAY, noon)
    assert range_of(Range(end=0), newest, HOUR, WINDOWS) == Range(-DAY, 0)
    assert range_of(Range(start=0), newest, HOUR, WINDOWS) == Range(0, noon)
    assert range_of(Range(start=noon + DAY), newest, HOUR, WINDOWS) == Range(noon + DAY, noon + DAY)
    assert range_of(Range(), ms("0001-01-01"), HOUR, WINDOWS).edges[0] == EARLIEST
    assert range_of(Range(), ms("9999-12-31"), HOUR, WINDOWS).edges[1] == LATEST


def test_steps_are_made_of_windows() -> None:
    """A granularity that windows don't fit into is refused; without one they stay as they are."""
    assert step_of(None, Windows(420_000, 0)) == 420_000
    assert step_of("PT1H", Windows(20 * MINUTE, 0)) == HOUR
    with pytest.raises(BadQuery, match="granularity: windows are 7 minutes long"):
        step_of("PT1H", Windows(420_000, 0))
    assert step_name(90_000) == "PT90S"


@pytest.mark.parametrize("name", ["", "Berlin", "../UTC", "Europe", "/etc/localtime", "\0", "ü"])
def test_zones_are_those_of_the_database(name: str) -> None:
    """What is not in the database is refused, folders and paths among it."""
    with pytest.raises(BadQuery, match="tz: "):
        zone_of(name)


def test_ranges_lie_on_windows() -> None:
    """A window counts where it starts, so both ends move up to the next border."""
    found = WINDOWS.range("2025-01-01T08:02:00Z", "2025-01-01T10:00:00.000001+01:00")
    assert found == Range(ms("2025-01-01T08:05"), ms("2025-01-01T09:05"))
    berlin = WINDOWS.range("2025-06-01", None, ZoneInfo("Europe/Berlin"))
    assert berlin == Range(ms("2025-05-31T22:00"), None)


@pytest.mark.parametrize(
    ("start", "end", "fault"),
    [
        ("yesterday", None, "from: not a time"),
        ("2025-01-01T00:00:00 01:00", None, "%2B"),
        (None, "2025-13-01", "to: not a time"),
        ("2025-01-02", "2025-01-01", "from: lies after to"),
        ("0001-01-01", None, "from: lies outside"),
        (None, "9999-12-31T23:59:59Z", "to: lies outside"),
        ("0001-01-01T00:00:00+23:00", None, "from: lies outside"),
        (None, "", "to: not a time"),
        ("0", None, "from: not a time"),
    ],
)
def test_ranges_that_are_none(start: str | None, end: str | None, fault: str) -> None:
    """Each fault is told by the name of its parameter."""
    with pytest.raises(BadQuery, match=fault):
        WINDOWS.range(start, end)


def test_a_window_is_complete_once_no_trip_can_come() -> None:
    """A trip is late from the moment on at which the watermark is beyond the lateness."""
    end = ms("2025-01-01T12:00")
    closes = time_of(end) + timedelta(minutes=10)
    assert not WINDOWS.is_complete(end, None)
    assert not WINDOWS.is_complete(end, closes)
    assert WINDOWS.is_complete(end, closes + timedelta(milliseconds=1))
    just = closes + timedelta(milliseconds=1)
    assert WINDOWS.is_range_complete(Range(None, end), None, just)
    assert WINDOWS.is_range_complete(Range(), end - 5 * MINUTE, just)
    assert not WINDOWS.is_range_complete(Range(), end, just)
    assert not WINDOWS.is_range_complete(Range(), None, just)
