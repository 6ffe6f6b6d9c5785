"""The ranges in which the windows of late trips are recounted."""

from collections.abc import Mapping
from itertools import pairwise

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from audit.oracle import assign_windows, validate_log
from audit.validation import LogMessage
from backfill.window_range import WindowRange
from imports import late_trips
from imports.late_trips import LATE_WINDOW_SCHEMA, count_by_window, find_windows, split_ranges
from mobility.records import MAX_EVENT_TIME
from mobility.settings import Settings
from tests.strategies import MINUTE, NOON, Entry

WINDOW = 300_000
DAY = 86_400_000


def ranges(trips: Mapping[int, int]) -> list[WindowRange]:
    """Return the ranges of windows with these numbers of late trips."""
    rows = list(trips.items())
    late = pl.DataFrame(rows, schema=LATE_WINDOW_SCHEMA, orient="row")
    return list(split_ranges(late, WINDOW))


def test_no_late_trips_have_no_range() -> None:
    """Nothing is recounted."""
    assert ranges({}) == []


def test_windows_are_apart_by_more_than_a_day() -> None:
    """Those with shorter gaps are in one range, which has whole windows."""
    found = ranges({0: 1, DAY: 1, 2 * DAY + WINDOW: 2, 2 * DAY + 2 * WINDOW: 1})
    assert found == [
        WindowRange(0, DAY + WINDOW),
        WindowRange(2 * DAY + WINDOW, 2 * DAY + 3 * WINDOW),
    ]


def test_only_the_longest_gaps_split() -> None:
    """Each range reads the whole log: a window a week is not a range each."""
    starts = [number * 7 * DAY + (DAY if number >= 40 else 0) for number in range(80)]
    found = ranges(dict.fromkeys(starts, 1))
    assert len(found) == late_trips.MAX_RANGES
    assert (found[0].start, found[-1].end) == (0, starts[-1] + WINDOW)
    assert starts[40] in {each.start for each in found}
    for each, later in pairwise(found):
        assert each.end <= later.start
    assert all(any(each.start <= at < each.end for each in found) for at in starts)


def test_a_range_has_as_many_trips_as_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """One window is never split."""
    monkeypatch.setattr(late_trips, "MAX_TRIPS", 10)
    found = ranges({0: 6, WINDOW: 4, 2 * WINDOW: 30, 3 * WINDOW: 1})
    assert found == [
        WindowRange(0, 2 * WINDOW),
        WindowRange(2 * WINDOW, 3 * WINDOW),
        WindowRange(3 * WINDOW, 4 * WINDOW),
    ]


def test_trips_are_counted_by_window() -> None:
    """In the order of the windows."""
    trips = pl.DataFrame({"window_start": [WINDOW, 0, WINDOW]})
    assert count_by_window(trips).rows() == [(0, 1), (WINDOW, 2)]


def test_late_trips_are_in_the_windows_that_a_recount_finds() -> None:
    """Each at its position; what no rules take as a trip has no window."""
    values = [
        Entry(NOON + MINUTE, "a", "d", "car", 5).value,
        b"no trip",
        Entry(NOON + 7 * MINUTE, "b", None, None, 5).value,
    ]
    late = [LogMessage(1, 10 + at, MAX_EVENT_TIME, value) for at, value in enumerate(values)]
    settings = Settings()
    windows = find_windows(late, settings, None)
    assert windows.rows() == [(1, 10, NOON), (1, 12, NOON + 5 * MINUTE)]
    validated = assign_windows(validate_log([late], settings).rows, settings)
    assert_frame_equal(windows, validated.select(windows.columns).drop_nulls())
