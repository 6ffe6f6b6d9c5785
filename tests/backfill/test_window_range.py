"""The range of a backfill is whole windows; another one is refused with a suggestion."""

from datetime import UTC, datetime

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from backfill.current_windows import refuse_dropped
from backfill.errors import BackfillError
from backfill.window_range import WindowRange, parse_window_range
from mobility.settings import Settings
from sinks.postgres import connect_postgres
from tests.strategies import MINUTE, NOON

WINDOW = 5 * MINUTE


@pytest.mark.parametrize(
    "start", ["2025-01-01T12:00Z", "2025-01-01 12:00", "2025-01-01T13:00+01:00", str(NOON)]
)
def test_times_are_parsed_in_every_form(start: str) -> None:
    """ISO 8601 with or without an offset, and epoch milliseconds."""
    expected = WindowRange(NOON, NOON + WINDOW)
    assert parse_window_range(start, "2025-01-01T12:05:00Z", Settings()) == expected
    assert str(expected) == "2025-01-01T12:00:00Z to 2025-01-01T12:05:00Z"


@given(st.integers(-(10**6), 10**6), st.integers(1, 10**6), st.sampled_from((60, 300, 3_600)))
def test_a_range_that_cuts_a_window_is_refused(start: int, length: int, window: int) -> None:
    """The error suggests the smallest range of whole windows around it."""
    settings = replace(Settings(), window=window)
    first, last = NOON + start, NOON + start + length
    if first % (window * 1_000) == 0 and last % (window * 1_000) == 0:
        assert parse_window_range(str(first), str(last), settings) == WindowRange(first, last)
        return
    with pytest.raises(BackfillError) as refused:
        parse_window_range(str(first), str(last), settings)
    words = str(refused.value).split()
    start_text, end_text = words[words.index("--from") + 1], words[words.index("--to") + 1]
    around = parse_window_range(start_text, end_text, settings)
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
def test_what_is_not_a_range_is_refused(start: str, end: str, word: str) -> None:
    """The error names the option and its value."""
    with pytest.raises(BackfillError, match=word):
        parse_window_range(start, end, Settings())


def test_ranges_overlap_where_both_contain_a_window() -> None:
    """Ends are exclusive: adjacent ranges do not overlap."""
    noon = WindowRange(NOON, NOON + WINDOW)
    assert not noon.overlaps(WindowRange(NOON + WINDOW, NOON + 2 * WINDOW))
    assert noon.overlaps(WindowRange(NOON - WINDOW, NOON + 2 * WINDOW))


def test_a_range_covers_its_part_of_another_one() -> None:
    """It covers itself, and nothing that begins before it or ends behind it."""
    noon, later = (
        WindowRange(NOON, NOON + 2 * WINDOW),
        WindowRange(NOON + WINDOW, NOON + 9 * WINDOW),
    )
    assert later.within(noon) == WindowRange(NOON + WINDOW, NOON + 2 * WINDOW)
    assert noon.covers(noon)
    assert noon.covers(later.within(noon))
    assert not noon.covers(later)
    assert not later.covers(noon)


@pytest.mark.services
def test_a_range_of_which_windows_were_dropped_is_refused(settings: Settings) -> None:
    """By the time from which on Postgres keeps windows."""
    kept = replace(settings, stores=("postgres",))
    connect_postgres(kept, "main").close()
    old = parse_window_range("2025-01-05T23:55:00Z", "2025-01-07T00:00:00Z", kept)
    refuse_dropped(old, kept)
    with psycopg.connect(kept.postgres) as connection:
        connection.execute(
            "INSERT INTO sequence_numbers (entity, number, kept_from) VALUES ('h3', 1, %s)",
            [int(datetime(2025, 1, 6, tzinfo=UTC).timestamp() * 1_000)],
        )
    with pytest.raises(BackfillError, match=r"from 2025-01-06T00:00:00Z on \(MOBILITY_RETENTION\)"):
        refuse_dropped(old, kept)
    refuse_dropped(parse_window_range("2025-01-06T00:00Z", "2025-01-07T00:00Z", kept), kept)
