"""The order in which a file's rows are sent."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producer.formats.errors import TripsFileError
from tests.producer.opened import opened


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
    with opened(path, as_is=as_is) as file:
        for piece in file.slices(start, size):
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
    with opened(write(tmp_path / "trips.parquet", starts)) as file:
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
    with opened(write(tmp_path / "trips.parquet", [30, 10, 20])) as file:
        assert (file.rows, file.first, file.last) == (3, 10, 30)


@pytest.mark.parametrize("rows_per_run", [1, 3, 1_000])
def test_several_runs_are_merged(
    tmp_path: Path, rows_per_run: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of several files, and of runs of any size, are sent in one order; `as_is` in theirs."""
    monkeypatch.setattr("producer.sorted_runs._ROWS_PER_RUN", rows_per_run)
    monkeypatch.setattr("producer.formats.raw_batches.ROWS_PER_BATCH", 2)
    first = write(tmp_path / "b.parquet", [30, 10, 20, 10])
    second = write(tmp_path / "a.parquet", [None, 25, 5])
    with opened(first, second) as file:
        found = [piece.rows["note"].to_list() for piece in file.slices(1, 2)]
        numbers = [piece.row_numbers.to_list() for piece in file.slices(0, 3)]
    assert found == [["row 1", "row 3"], ["row 0", "row 2"], ["row 1", "row 0"]]
    assert numbers == [[6, 1, 3], [4, 2, 5], [0]]
    with opened(first, second, as_is=True) as file:
        assert [piece.row_numbers.to_list() for piece in file.slices(0, 7)] == [list(range(7))]


def test_times_of_several_types(tmp_path: Path) -> None:
    """Files with text and with numbers are sent in one order, each time as it is."""
    first = write(tmp_path / "a.parquet", ["1970-01-01T00:00:00.02Z", "1970-01-01T00:00:00.04Z"])
    second = write(tmp_path / "b.parquet", [30, 10])
    with opened(first, second) as file:
        (piece,) = file.slices(0, 10)
    assert piece.event_times.to_list() == [10, 20, 30, 40]
    assert piece.rows["start_time"].to_list() == [
        "1970-01-01T00:00:00.010Z",
        "1970-01-01T00:00:00.02Z",
        "1970-01-01T00:00:00.030Z",
        "1970-01-01T00:00:00.04Z",
    ]


def test_nobody_waits_for_a_few_rows_of_another_year(tmp_path: Path) -> None:
    """The first and last times are of all others; the few are sent, and counted as outliers."""
    day, year = 86_400_000, 365 * 86_400_000
    starts = [40 * year, 55 * year, 55 * year + day, 55 * year + 2 * day, 100 * year]
    with opened(write(tmp_path / "trips.parquet", starts)) as file:
        assert (file.rows, file.outliers) == (5, 2)
        assert (file.first, file.last) == (55 * year, 55 * year + 2 * day)
    halves = [0, day, 50 * year, 50 * year + day]
    with opened(write(tmp_path / "halves.parquet", halves)) as file:
        assert (file.first, file.last, file.outliers) == (0, 50 * year + day, 0)


def test_invalid_files_are_refused(tmp_path: Path) -> None:
    """Missing, not parquet, without rows, without a valid time: each with the file's name."""
    text = tmp_path / "text.parquet"
    text.write_bytes(b"PAR1 and no more")
    empty = tmp_path / "empty.parquet"
    pl.read_parquet(write(tmp_path / "one.parquet", [1])).clear().write_parquet(empty)
    words = write(tmp_path / "words.parquet", ["soon", "later"])
    for path, reason in [
        (tmp_path / "none.parquet", "no such file"),
        (text, "not a readable parquet file"),
        (empty, "the file has no rows"),
        (words, "column start_time has no times: soon, later"),
    ]:
        with pytest.raises(TripsFileError, match=f"^{path}: {reason}"), opened(path):
            pass
