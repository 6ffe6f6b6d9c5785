"""Where a file's times come to lie."""

from hypothesis import given
from hypothesis import strategies as st

from producer.timeline import DAY_MS, Timeline, shift_to, span_of

times = st.integers(-(10**13), 10**14)


@given(times, times)
def test_a_rebased_file_begins_yesterday_at_its_own_time_of_day(now: int, first: int) -> None:
    """The shift is whole days, and the first day lies right before today, in UTC."""
    shift = shift_to(now, first)
    assert shift % DAY_MS == 0
    assert (first + shift) // DAY_MS == now // DAY_MS - 1


@given(times, times)
def test_a_span_holds_the_file_in_whole_days(one: int, other: int) -> None:
    """The next loop begins after the last trip, at the same time of day, with no idle day."""
    first, last = sorted((one, other))
    span = span_of(first, last)
    assert span % DAY_MS == 0
    assert first + span > last
    assert (first + span) // DAY_MS == last // DAY_MS + 1


def test_loops_are_moved_on_by_the_span() -> None:
    """The first loop lies at the shift."""
    timeline = Timeline(shift=3 * DAY_MS, span=2 * DAY_MS)
    assert [timeline.moved(loop) // DAY_MS for loop in range(3)] == [3, 5, 7]
