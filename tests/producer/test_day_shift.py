"""Shifts of a file's times by whole days."""

from hypothesis import given
from hypothesis import strategies as st

from producer.day_shift import DAY_MS, DayShift, days_to_yesterday, whole_days

times = st.integers(-(10**13), 10**14)


@given(times, times)
def test_a_rebased_file_begins_yesterday_at_the_same_time_of_day(now: int, first: int) -> None:
    """The shift is whole days, and the first day is the day before today, in UTC."""
    shift = days_to_yesterday(now, first)
    assert shift % DAY_MS == 0
    assert (first + shift) // DAY_MS == now // DAY_MS - 1


@given(times, times)
def test_a_span_covers_the_file_in_whole_days(one: int, other: int) -> None:
    """The next loop begins after the last trip, at the same time of day, without a gap of a day."""
    first, last = sorted((one, other))
    span = whole_days(first, last)
    assert span % DAY_MS == 0
    assert first + span > last
    assert (first + span) // DAY_MS == last // DAY_MS + 1


def test_loops_are_shifted_by_the_span() -> None:
    """The first loop has the shift only."""
    day_shift = DayShift(shift=3 * DAY_MS, span=2 * DAY_MS)
    assert [day_shift.for_loop(loop) // DAY_MS for loop in range(3)] == [3, 5, 7]
