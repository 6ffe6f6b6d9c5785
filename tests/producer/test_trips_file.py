"""The order in which a file's rows are sent."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producer.columns import TripsFileError
from producer.trips_file import open_trips_file


def write(path: Path, starts: Sequence[int | str | None]) -> Path:
    """Write a trips file with these start times."""
    rows = len(starts)
    pl.DataFrame(
        {
            "start_time": starts,
            "duration_min": [5.0] * rows,
            "distance_km": [1.0] * rows,
            "price": [2.0] * rows,
            "note": [f"row {number}" for number in range(rows)],
        },
    ).write_parquet(path, row_group_size=7)
    return path


def sent(path: Path, size: int, start: int = 0, *, as_is: bool = False) -> list[str]:
    """Return the notes of the rows in the order of the slices, and check numbers and times."""
    notes = []
    for piece in open_trips_file(path, "start", as_is=as_is).slices(start, size):
        assert piece.rows.height == piece.row_numbers.len() == piece.event_times.len() <= size
        assert piece.rows["note"].to_list() == [f"row {number}" for number in piece.row_numbers]
        notes += piece.rows["note"].to_list()
    return notes


@given(
    starts=st.lists(st.integers(0, 50), min_size=1, max_size=60),
    size=st.integers(1, 20),
    start=st.integers(0, 10),
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_rows_are_sent_in_event_time_order(
    tmp_path: Path, starts: list[int], size: int, start: int
) -> None:
    """The order is that of Python's stable sort, for any slice size and start."""
    path = write(tmp_path / "trips.parquet", starts)
    numbers = sorted(range(len(starts)), key=lambda number: starts[number])
    assert sent(path, size, start) == [f"row {number}" for number in numbers[start:]]


def test_rows_of_one_time_keep_the_order_of_the_file(tmp_path: Path) -> None:
    """The sort is stable in a large file too, which Polars sorts with several threads."""
    starts = [number * 7 % 3 for number in range(20_000)]
    file = open_trips_file(write(tmp_path / "trips.parquet", starts), "start", as_is=False)
    assert file.order.to_list() == sorted(range(20_000), key=lambda number: starts[number])


def test_as_is_keeps_the_order_of_the_file(tmp_path: Path) -> None:
    """Rows out of order are sent out of order."""
    path = write(tmp_path / "trips.parquet", [30, 10, 20])
    assert sent(path, 2, as_is=True) == ["row 0", "row 1", "row 2"]


def test_a_row_without_a_time_is_sent_after_the_row_before_it(tmp_path: Path) -> None:
    """It is sent too: the flow makes it a dead letter."""
    path = write(tmp_path / "trips.parquet", [None, 30, None, 10, 20])
    assert sent(path, 10) == ["row 3", "row 4", "row 0", "row 1", "row 2"]


def test_rows_first_and_last_event_time(tmp_path: Path) -> None:
    """They are those of the file."""
    file = open_trips_file(write(tmp_path / "trips.parquet", [30, 10, 20]), "start", as_is=False)
    assert (file.rows, file.first, file.last) == (3, 10, 30)


def test_invalid_files_are_refused(tmp_path: Path) -> None:
    """Missing, not parquet, without rows, without a valid time: each with the file's name."""
    text = tmp_path / "text.parquet"
    text.write_text("trip_id,price\n")
    empty = tmp_path / "empty.parquet"
    pl.read_parquet(write(tmp_path / "one.parquet", [1])).clear().write_parquet(empty)
    words = write(tmp_path / "words.parquet", ["soon", "later"])
    for path, reason in [
        (tmp_path / "none.parquet", "not a readable parquet file"),
        (text, "not a readable parquet file"),
        (empty, "the file has no rows"),
        (words, "column start_time is String, and has no valid time"),
    ]:
        with pytest.raises(TripsFileError, match=f"^{path}: {reason}"):
            open_trips_file(path, "start", as_is=False)
