"""The range of a backfill is whole windows, or it is refused with the whole ones around it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from backfill.errors import BackfillError
from backfill.range import Range, read_range
from mobility.settings import Settings
from tests.strategies import MINUTE, NOON

WINDOW = 5 * MINUTE


@pytest.mark.parametrize(
    "start", ["2025-01-01T12:00Z", "2025-01-01 12:00", "2025-01-01T13:00+01:00", str(NOON)]
)
def test_times_are_read_in_every_form(start: str) -> None:
    """ISO 8601 with or without an offset, and epoch milliseconds."""
    expected = Range(NOON, NOON + WINDOW)
    assert read_range(start, "2025-01-01T12:05:00Z", Settings()) == expected
    assert str(expected) == "2025-01-01T12:00:00Z to 2025-01-01T12:05:00Z"


@given(st.integers(-(10**6), 10**6), st.integers(1, 10**6), st.sampled_from((60, 300, 3_600)))
def test_what_cuts_a_window_is_refused_with_the_whole_ones_around(
    start: int, length: int, window: int
) -> None:
    """The suggestion holds the range, is aligned, and is taken as it is."""
    settings = replace(Settings(), window=window)
    first, last = NOON + start, NOON + start + length
    if first % (window * 1_000) == 0 and last % (window * 1_000) == 0:
        assert read_range(str(first), str(last), settings) == Range(first, last)
        return
    with pytest.raises(BackfillError) as refused:
        read_range(str(first), str(last), settings)
    words = str(refused.value).split()
    start_text, end_text = words[words.index("--from") + 1], words[words.index("--to") + 1]
    around = read_range(start_text, end_text, settings)
    assert around.start <= first < around.start + window * 1_000
    assert around.end - window * 1_000 < last <= around.end


@pytest.mark.parametrize(
    ("start", "end", "word"),
    [
        ("yesterday", "2025-01-01T12:00Z", "--from yesterday"),
        ("2025-01-01T12:00Z", "2025-01-01", "--to 2025-01-01"),
        ("2025-01-01T12:00Z", "2025-01-01T12:00Z", "not before"),
        ("2025-01-01T12:05Z", "2025-01-01T12:00Z", "not before"),
        ("9" * 20, "2025-01-01T12:00Z", "--from 9"),
    ],
)
def test_what_is_no_range_is_refused(start: str, end: str, word: str) -> None:
    """The message names the option and what it says."""
    with pytest.raises(BackfillError, match=word):
        read_range(start, end, Settings())


def test_ranges_overlap_where_a_window_is_in_both() -> None:
    """Ends are exclusive: ranges that touch share nothing."""
    noon = Range(NOON, NOON + WINDOW)
    assert not noon.overlaps(Range(NOON + WINDOW, NOON + 2 * WINDOW))
    assert noon.overlaps(Range(NOON - WINDOW, NOON + 2 * WINDOW))
