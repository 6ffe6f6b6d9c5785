"""Buckets of windows, and of hours and days of a time zone."""

from datetime import UTC
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import InvalidParameterError, RangeTooLongError
from api.queries.buckets import (
    MAX_BUCKETS,
    bucket_bounds,
    bucket_index,
    bucket_length,
    clip_range,
    cut_bounds,
    each_bound,
    iso_duration,
    series_range,
    time_zone,
)
from api.queries.time_range import (
    EARLIEST,
    LATEST,
    TimeRange,
    WindowingStrategy,
    parse_time,
    to_datetime,
)

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WINDOWING = WindowingStrategy(5 * MINUTE, 10 * MINUTE)


def ms(text: str, zone: str = "UTC") -> int:
    """Return a local time as epoch ms."""
    return parse_time("at", text, ZoneInfo(zone))


def hours(start: str, end: str, zone: str, step: int = DAY) -> list[float]:
    """Return the lengths of the buckets between two local times, in hours."""
    found = bucket_bounds(
        TimeRange(ms(start, zone), ms(end, zone)), step, ZoneInfo(zone), WINDOWING
    )
    return [(after - before) / HOUR for before, after in pairwise(found)]


@pytest.mark.parametrize(
    ("zone", "start", "end", "lengths"),
    [
        ("Europe/Berlin", "2025-03-29", "2025-04-01", [24, 23, 24]),
        ("Europe/Berlin", "2025-10-25", "2025-10-28", [24, 25, 24]),
        ("Australia/Lord_Howe", "2025-10-04", "2025-10-07", [24, 23.5, 24]),
        # The clocks skip midnight, and once a whole day.
        ("America/Sao_Paulo", "2018-11-03", "2018-11-06", [24, 23, 24]),
        ("Pacific/Apia", "2011-12-29", "2012-01-01", [24, 24]),
        # Midnight occurs twice: the day begins with the first.
        ("America/Havana", "2025-11-01", "2025-11-04", [24, 25, 24]),
        ("UTC", "2025-03-29", "2025-03-31", [24, 24]),
    ],
)
def test_days_have_their_local_length(
    zone: str, start: str, end: str, lengths: list[float]
) -> None:
    """A day on which clocks change has 23, 25 or 23.5 hours; a skipped day has no bucket."""
    assert hours(start, end, zone) == lengths


@pytest.mark.parametrize(("zone", "day"), [("Asia/Kolkata", "2025-01-01"), ("UTC", "2025-01-01")])
def test_hours_begin_at_full_local_hours(zone: str, day: str) -> None:
    """In a zone with an offset of half an hour, too."""
    found = bucket_bounds(
        TimeRange(ms(day, zone), ms(day, zone) + DAY), HOUR, ZoneInfo(zone), WINDOWING
    )
    local = [to_datetime(bound).astimezone(ZoneInfo(zone)) for bound in found]
    assert {time.minute for time in local} == {0}
    assert [time.hour for time in local] == [*range(24), 0]


def test_a_repeated_hour_is_two_buckets() -> None:
    """When clocks go back, each of the two equal hours is a bucket."""
    assert hours("2025-10-26", "2025-10-27", "Europe/Berlin", HOUR) == [1.0] * 25


def test_window_buckets_are_the_same_in_all_zones() -> None:
    """Buckets of one window do not depend on hours, in every zone."""
    seven = WindowingStrategy(7 * MINUTE, 0)
    found = bucket_bounds(TimeRange(0, 70 * MINUTE), 7 * MINUTE, ZoneInfo("Asia/Kathmandu"), seven)
    assert found == tuple(range(0, 77 * MINUTE, 7 * MINUTE))


def test_the_range_cuts_the_first_and_last_bucket() -> None:
    """They are the parts of a day that are in the range."""
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
def test_every_window_is_in_one_bucket(
    start: int, count: int, step: int, zone: str, data: st.DataObject
) -> None:
    """Buckets have no gaps, fill the range, and each window is in one; none exceeds a local day."""
    end = start + count * 5 * MINUTE
    found = bucket_bounds(TimeRange(start, end), step, ZoneInfo(zone), WINDOWING)
    assert (found[0], found[-1]) == (start, end)
    lengths = [after - before for before, after in pairwise(found)]
    assert min(lengths) > 0
    assert max(lengths) <= step + (HOUR if step == DAY else 0)
    window = start + data.draw(st.integers(0, count - 1)) * 5 * MINUTE
    index = bucket_index(found, window)
    assert found[index] <= window < found[index + 1]
    days = {to_datetime(at).astimezone(ZoneInfo(zone)).date() for at in (found[index], window)}
    assert len(days) == 1


def test_the_number_of_buckets_is_limited() -> None:
    """As many buckets as the limit are allowed, and one more is an error."""
    end = MAX_BUCKETS * 5 * MINUTE
    assert len(bucket_bounds(TimeRange(0, end), 5 * MINUTE, UTC, WINDOWING)) == MAX_BUCKETS + 1
    for too_long in (end + 5 * MINUTE, LATEST):
        with pytest.raises(RangeTooLongError, match="granularity"):
            bucket_bounds(TimeRange(0, too_long), 5 * MINUTE, UTC, WINDOWING)


def test_the_earliest_and_latest_days() -> None:
    """A series may be at either end of the allowed time, in zones on both sides of UTC."""
    for zone in ("Pacific/Kiritimati", "Pacific/Midway"):
        for time_range in (TimeRange(EARLIEST, EARLIEST + DAY), TimeRange(LATEST - DAY, LATEST)):
            found = bucket_bounds(time_range, DAY, ZoneInfo(zone), WINDOWING)
            assert (found[0], found[-1]) == time_range.bounds


def test_the_default_range_ends_with_the_newest_window() -> None:
    """By default a series has a day, a series of days a month; each bound can be given."""
    newest = ms("2025-01-31T11:55")
    noon = newest + 5 * MINUTE
    assert series_range(TimeRange(), newest, HOUR, WINDOWING) == TimeRange(noon - DAY, noon)
    assert series_range(TimeRange(), newest, DAY, WINDOWING) == TimeRange(noon - 31 * DAY, noon)
    assert series_range(TimeRange(end=0), newest, HOUR, WINDOWING) == TimeRange(-DAY, 0)
    assert series_range(TimeRange(start=0), newest, HOUR, WINDOWING) == TimeRange(0, noon)
    assert series_range(TimeRange(start=noon + DAY), newest, HOUR, WINDOWING) == TimeRange(
        noon + DAY, noon + DAY
    )
    assert series_range(TimeRange(), ms("0001-01-01"), HOUR, WINDOWING).bounds[0] == EARLIEST
    assert series_range(TimeRange(), ms("9999-12-31"), HOUR, WINDOWING).bounds[1] == LATEST


def test_granularities_are_multiples_of_windows() -> None:
    """Another granularity is an error; without a granularity, a bucket is a window."""
    assert bucket_length(None, WindowingStrategy(420_000, 0)) == 420_000
    assert bucket_length("PT1H", WindowingStrategy(20 * MINUTE, 0)) == HOUR
    with pytest.raises(InvalidParameterError, match="granularity: windows are 7 minutes long"):
        bucket_length("PT1H", WindowingStrategy(420_000, 0))
    assert iso_duration(90_000) == "PT90S"


@pytest.mark.parametrize("name", ["", "Berlin", "../UTC", "Europe", "/etc/localtime", "\0", "ü"])
def test_unknown_time_zones_are_rejected(name: str) -> None:
    """A name that is not in the IANA database is an error: folders and paths, too."""
    with pytest.raises(InvalidParameterError, match="tz: "):
        time_zone(name)


@given(
    st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe"]),
    st.sampled_from([5 * MINUTE, 15 * MINUTE, HOUR, DAY]),
    st.lists(st.integers(0, 12 * 24 * 5), min_size=2, max_size=2).map(sorted),
    st.lists(st.integers(0, 12 * 24 * 5), min_size=2, max_size=2).map(sorted),
)
def test_clipping_a_range_keeps_the_buckets_with_windows(
    zone: str, length: int, bounds: list[int], windows: list[int]
) -> None:
    """Their bounds are the same, so that an export of all time has the buckets of a short one."""
    first = ms("2025-10-03T10:00")
    start, end, oldest, newest = (first + at * 5 * MINUTE for at in (*bounds, *windows))
    whole = TimeRange(start, end)

    def buckets(time_range: TimeRange) -> list[tuple[int, int]]:
        found = pairwise(each_bound(time_range, length, ZoneInfo(zone), WINDOWING))
        return [each for each in found if each[0] <= newest and each[1] > oldest]

    clipped = clip_range(whole, (oldest, newest), length, ZoneInfo(zone), WINDOWING)
    assert buckets(clipped) == buckets(whole)


def test_a_series_with_too_many_pieces_is_rejected() -> None:
    """Each part of a day is a piece more."""
    days = tuple(range(0, 8_000 * DAY, DAY))
    parts = [(day + HOUR, day + 2 * HOUR) for day in days[:-1]]
    with pytest.raises(RangeTooLongError, match="granularity"):
        cut_bounds(days, parts)
