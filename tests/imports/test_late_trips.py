"""The ranges in which the windows of late trips are recounted."""

from collections.abc import Mapping
from itertools import pairwise

import polars as pl
import pytest

from backfill.log_batch import logged_batch
from backfill.window_range import WindowRange
from imports import late_trips
from imports.late_trips import LATE_WINDOW_SCHEMA, count_by_window, since_offsets, split_ranges
from tests.backfill.recounting import to_message

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


def test_what_was_there_before_an_import_is_not_its_own() -> None:
    """By the offsets that partitions had then; those that were added since had none."""
    messages = [to_message(at, offset, b"") for at, offset in ((0, 4), (0, 5), (1, 0), (2, 9))]
    kept = since_offsets(logged_batch(messages), {0: 5, 2: 10})
    assert kept.positions.rows() == [(0, 5), (1, 0)]
    assert since_offsets(logged_batch([]), {0: 5}).positions.rows() == []
