"""Local times where clocks are changed."""

import polars as pl
import pytest

from producer.formats.errors import TripsFileError
from producer.formats.local_times import Instants, LocalTimes, check_timezone


def local(*times: str | None) -> pl.Series:
    """Return local times (`MM-DD HH:MM` of 2024) as numbers."""
    texts = pl.Series([None if time is None else f"2024-{time}" for time in times], dtype=pl.String)
    return texts.str.to_datetime("%Y-%m-%d %H:%M", time_unit="ms").dt.epoch("ms")


def utc(found: Instants) -> list[str | None]:
    """Return instants as text."""
    return found.ms.cast(pl.Datetime("ms")).dt.to_string("%m-%d %H:%M").to_list()


def test_winter_and_summer() -> None:
    """Offsets are those of the day; a time that is missing stays missing."""
    found = LocalTimes("America/New_York").starts(local("01-15 12:00", None, "07-15 12:00"))
    assert utc(found) == ["01-15 17:00", None, "07-15 16:00"]
    assert (found.repeated, found.skipped) == (0, 0)


def test_an_hour_that_clocks_skip() -> None:
    """It is read with the offset before the change, and counted."""
    found = LocalTimes("America/New_York").starts(
        local("03-10 01:59", "03-10 02:30", "03-10 03:00")
    )
    assert utc(found) == ["03-10 06:59", "03-10 07:30", "03-10 07:00"]
    assert (found.repeated, found.skipped) == (0, 1)


def test_an_hour_that_comes_twice_in_a_file_in_order() -> None:
    """Where the times step back, the second pass begins; also in another batch."""
    times = LocalTimes("America/New_York")
    first = times.starts(local("11-03 00:50", "11-03 01:10", "11-03 01:50"))
    second = times.starts(local("11-03 01:05", "11-03 01:40", "11-03 02:10"))
    assert utc(first) == ["11-03 04:50", "11-03 05:10", "11-03 05:50"]
    assert utc(second) == ["11-03 06:05", "11-03 06:40", "11-03 07:10"]
    assert (first.repeated, second.repeated) == (2, 2)


@pytest.mark.parametrize(
    "times",
    [
        ("11-03 01:10", "11-03 01:50"),
        ("11-02 12:00", "11-01 12:00", "11-03 01:50", "11-03 01:10"),
    ],
)
def test_an_hour_that_comes_twice_is_the_first_else(times: tuple[str, ...]) -> None:
    """If nothing steps back, or other times do, the order of the file says nothing."""
    found = utc(LocalTimes("America/New_York").starts(local(*times)))
    assert found[-2:] == [f"11-03 0{int(time[7]) + 4}:{time[9:]}" for time in times[-2:]]


def test_an_end_is_not_before_its_start() -> None:
    """A trip of 20 minutes into the repeated hour ends there the second time."""
    times = LocalTimes("America/New_York")
    starts = times.starts(local("11-03 01:10", "11-03 01:50"))
    ends = times.ends(local("11-03 01:30", "11-03 01:10"), starts.ms)
    assert utc(ends) == ["11-03 05:30", "11-03 06:10"]


def test_half_an_hour_and_the_south() -> None:
    """Lord Howe's clocks change by 30 minutes, in April and October."""
    times = LocalTimes("Australia/Lord_Howe")
    found = times.starts(local("04-07 01:29", "04-07 01:45", "10-06 02:15"))
    assert utc(found) == ["04-06 14:29", "04-06 14:45", "10-05 15:45"]
    assert (found.repeated, found.skipped) == (1, 1)


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "New York"])
def test_an_unknown_zone_is_refused(name: str) -> None:
    """The message has an example of a name."""
    with pytest.raises(TripsFileError, match="such as America/New_York"):
        check_timezone(name)
