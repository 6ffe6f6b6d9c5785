"""Hours and weekdays of a time zone."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from api.errors import InvalidParameterError
from api.queries.local_times import LocalTimes

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = 3_600_000


def ms(text: str, zone: ZoneInfo = BERLIN) -> int:
    """Return a local time as epoch ms."""
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1_000)


def hours_of(text: str) -> list[int]:
    """Return all hours that a parameter names."""
    return [hour for start, end in LocalTimes.parse(text, None).hours for hour in range(start, end)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8-9", [8]),
        ("8", [8]),
        ("0-24", list(range(24))),
        ("7-9,17-19", [7, 8, 17, 18]),
        ("17-19, 7-9", [7, 8, 17, 18]),
        ("22-6", [0, 1, 2, 3, 4, 5, 22, 23]),
        ("08-10,9-11", [8, 9, 10]),
        ("23-24", [23]),
        ("22-0", [22, 23]),
    ],
)
def test_hours(text: str, expected: list[int]) -> None:
    """From one hour until another one, also past midnight, and several of them."""
    assert hours_of(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mon-fri", {0, 1, 2, 3, 4}),
        ("Sat,SUN", {5, 6}),
        ("fri-mon", {4, 5, 6, 0}),
        ("wed", {2}),
        ("mon, wed-thu", {0, 2, 3}),
        ("sun-sat", set(range(7))),
    ],
)
def test_weekdays(text: str, expected: set[int]) -> None:
    """Days and ranges of days, both ends included, also over the end of the week."""
    assert LocalTimes.parse(None, text).weekdays == expected


@pytest.mark.parametrize(
    "text", ["", "8-8", "25", "24", "8-25", "-1", "8:30-9", "am", "8-9-10", "8,"]
)
def test_invalid_hours_are_named(text: str) -> None:
    """The message begins with the parameter and has examples."""
    with pytest.raises(InvalidParameterError, match=r"^hours: .*8-9"):
        LocalTimes.parse(text, None)


@pytest.mark.parametrize("text", ["", "monday", "mon-", "1-5", "mon;tue", "mon-fri,"])
def test_invalid_weekdays_are_named(text: str) -> None:
    """The message begins with the parameter and has the names of the days."""
    with pytest.raises(InvalidParameterError, match=r"^weekdays: .*mon-fri.*sun$"):
        LocalTimes.parse(None, text)


def test_all_times_are_one_part() -> None:
    """Without hours and weekdays the range is not divided."""
    assert list(LocalTimes.parse(None, None).parts(5, 9, BERLIN)) == [(5, 9)]
    assert list(LocalTimes.parse(None, None).parts(9, 9, BERLIN)) == []
    start, end = ms("2025-03-03T00:00"), ms("2025-03-10T00:00")
    assert list(LocalTimes.parse("0-24", "mon-sun").parts(start, end, BERLIN)) == [(start, end)]


def test_weekday_mornings_of_a_month() -> None:
    """March 2025 has 21 of them; the hour is that of the clocks before and after they change."""
    times = LocalTimes.parse("8-9", "mon-fri")
    found = list(times.parts(ms("2025-03-01T00:00"), ms("2025-04-01T00:00"), BERLIN))
    assert len(found) == 21
    assert found[0] == (ms("2025-03-03T08:00"), ms("2025-03-03T09:00"))
    assert datetime.fromtimestamp(found[0][0] / 1_000, UTC).hour == 7
    assert datetime.fromtimestamp(found[-1][0] / 1_000, UTC).hour == 6
    assert all(end - start == HOUR for start, end in found)


def test_hours_that_clocks_skip_and_repeat() -> None:
    """The hour from 2 to 3 does not exist on one day and lasts two hours on another one."""
    times = LocalTimes.parse("2-3", None)
    skipped = times.parts(ms("2025-03-30T00:00"), ms("2025-03-31T00:00"), BERLIN)
    assert list(skipped) == []
    [(start, end)] = times.parts(ms("2025-10-26T00:00"), ms("2025-10-27T00:00"), BERLIN)
    assert end - start == 2 * HOUR


def test_the_range_cuts_parts_and_nights_are_whole() -> None:
    """A night is one part, although it has two dates."""
    times = LocalTimes.parse("22-6", None)
    found = list(times.parts(ms("2025-03-03T23:00"), ms("2025-03-05T05:00"), BERLIN))
    assert found == [
        (ms("2025-03-03T23:00"), ms("2025-03-04T06:00")),
        (ms("2025-03-04T22:00"), ms("2025-03-05T05:00")),
    ]
