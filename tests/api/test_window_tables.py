"""Which tables have the windows of a range: each window once, from the coarsest that has it."""

from bisect import bisect_right

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import BeyondLedgerError
from api.queries.hours_of_week import ClockSpan
from api.queries.window_tables import (
    LEDGER,
    LedgerState,
    RollupState,
    WindowTables,
    begin_with_clock_hours,
    choose_tables,
)
from mobility.rollups import DAY, HOUR, ROLLUPS, WEEK

DAYS, HOURS = ROLLUPS
QUARTER = HOUR // 4
"""All times here are multiples of it."""

LAST = 6 * DAY // QUARTER
"""A week of the ledger ends after four days."""

quarters = st.integers(0, LAST).map(lambda count: count * QUARTER)


def chosen(tables: WindowTables, time: int) -> list[str]:
    """Return the tables that are read for windows that start at a time."""
    return [name for name, parts in tables.items() for start, end in parts if start <= time < end]


def state_of(offset: int, days: int, hours: int, *stale: int, **others: int) -> LedgerState:
    """Return what is rolled up up to a number of days and of hours."""
    rollups = [
        RollupState(DAYS, offset % DAY, None, days * DAY + offset % DAY),
        RollupState(HOURS, offset % HOUR, others.get("hours_from"), hours * HOUR + offset % HOUR),
    ]
    return LedgerState(others.get("oldest"), others.get("kept_from"), rollups, stale)


@given(
    bounds=st.lists(quarters, min_size=2, max_size=8, unique=True).map(sorted),
    cuts=st.lists(quarters, max_size=6),
    offset=st.sampled_from([0, 2 * QUARTER, 5 * HOUR, -9 * HOUR - 2 * QUARTER]),
    rolled=st.tuples(st.integers(0, 6), st.integers(0, 144)),
    hours_from=st.integers(0, 40),
    stale=st.lists(st.integers(0, 143), max_size=3).map(sorted),
)
def test_each_window_is_read_once_and_coarsely(
    bounds: list[int],
    cuts: list[int],
    offset: int,
    rolled: tuple[int, int],
    hours_from: int,
    stale: list[int],
) -> None:
    """An interval that is whole, known and not stale is read of its rollup, days before hours."""
    parts = list(zip(bounds[::2], bounds[1::2], strict=False))
    first_hour = hours_from * HOUR + offset % HOUR
    state = state_of(offset, *rolled, *(hour * HOUR for hour in stale), hours_from=first_hour)
    tables = choose_tables(state, parts, cuts)
    edges = sorted({*bounds, *cuts})

    def whole(rollup: RollupState, time: int) -> bool:
        length = rollup.rollup.length
        start = time - (time - rollup.offset) % length
        week = time - (time - 4 * DAY) % WEEK
        inside = range(max(start, week), min(start + length, week + WEEK), QUARTER)
        return (
            inside[0] >= (rollup.kept_from or inside[0])
            and inside[0] < rollup.rolled_up_to
            and len({bisect_right(edges, each) for each in inside}) == 1
            and not any(each // HOUR in stale for each in inside)
        )

    for time in range(0, LAST * QUARTER, QUARTER):
        is_asked = any(start <= time < end for start, end in parts)
        coarsest = [each.rollup.name for each in state.rollups if whole(each, time)]
        expected = [*coarsest, LEDGER][:1] if is_asked else []
        assert chosen(tables, time) == expected
    for found in tables.values():
        assert [*found] == sorted(found)
        assert all(start < end for start, end in found)


def test_a_part_is_not_read_of_longer_intervals() -> None:
    """As the hours of a week are not known of a day."""
    state = state_of(0, 2, 60)
    assert [*choose_tables(state, [(0, 2 * DAY)], longest=HOUR)] == ["hours"]
    assert [*choose_tables(state, [(0, 2 * DAY)], longest=0)] == [LEDGER]


def test_windows_that_were_dropped() -> None:
    """What rollups have is answered; what is finer is refused, unless there never was any."""
    state = state_of(0, 8, 200, oldest=HOUR, kept_from=WEEK)
    assert choose_tables(state, [(0, WEEK + HOUR)]) == {
        "days": [(0, WEEK)],
        "hours": [(WEEK, WEEK + HOUR)],
    }
    for parts, cuts in (([(HOUR, DAY)], [2 * HOUR + 1]), ([(DAY + 1, WEEK)], [])):
        with pytest.raises(BeyondLedgerError, match="1970-01-08T00:00:00Z"):
            choose_tables(state, parts, cuts)
    assert choose_tables(state, [(WEEK + 1, WEEK + 2)]) == {LEDGER: [(WEEK + 1, WEEK + 2)]}
    assert choose_tables(state, [(0, HOUR)]) == {}


@pytest.mark.parametrize("start", [0, DAY + HOUR, DAY + 2 * HOUR])
def test_the_interval_of_the_oldest_window_is_whole(start: int) -> None:
    """Nothing is before that window: so it does not matter where in it a range begins."""
    state = state_of(0, 8, 0, oldest=DAY + 2 * HOUR, kept_from=WEEK)
    assert choose_tables(state, [(start, WEEK)], [start]) == {"days": [(DAY, WEEK)]}
    with pytest.raises(BeyondLedgerError):
        choose_tables(state, [(start, WEEK)], [DAY + 3 * HOUR])
    with pytest.raises(BeyondLedgerError):
        choose_tables(state, [(DAY + 3 * HOUR, WEEK)])


def test_the_parts_of_an_interval_in_two_weeks_are_stale_apart() -> None:
    """The one before can have been dropped, while windows of the other one change."""
    monday = 4 * DAY
    state = state_of(5 * HOUR, 6, 0, monday + HOUR, oldest=0, kept_from=monday)
    assert choose_tables(state, [(0, 5 * DAY)]) == {
        "days": [(-19 * HOUR, monday)],
        LEDGER: [(monday, 5 * DAY)],
    }


def test_hours_of_clocks() -> None:
    """Those of another half hour are no hours of the rollups."""
    india = state_of(-5 * HOUR - HOUR // 2, 1, 24)
    berlin = [ClockSpan(0, DAY, HOUR), ClockSpan(DAY, 2 * DAY, 2 * HOUR)]
    kolkata = [ClockSpan(0, DAY, 5 * HOUR + HOUR // 2)]
    assert begin_with_clock_hours(india, kolkata)
    assert not begin_with_clock_hours(india, berlin)
    assert begin_with_clock_hours(state_of(0, 1, 24), berlin)
