"""Rows as messages: keys, JSON, loops and copies."""

import json
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.batches import FilePosition, encode_messages, make_batches
from producer.day_shift import DAY_MS, DayShift
from producer.trips_file import RowSlice
from tests.producer.opened import opened

START = datetime(2025, 6, 2, 12, tzinfo=UTC)
START_MS = int(START.timestamp()) * 1_000


def rows(**columns: list[Any]) -> pl.DataFrame:
    """Return trips with these columns; required columns have default values."""
    height = max([len(column) for column in columns.values()], default=1)
    required = {
        "start_time": [START] * height,
        "duration_min": [5.0] * height,
        "distance_km": [1.0] * height,
        "price": [2] * height,
    }
    return pl.DataFrame({**required, **columns}, strict=False)


def messages(
    frame: pl.DataFrame, shift: int = 0, loop: int = 0, copies: int = 1
) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the keys and the decoded values of a frame's rows."""
    numbers = pl.int_range(frame.height, eager=True)
    keys, values = encode_messages(RowSlice(frame, numbers, numbers), shift, loop, copies)
    return keys, [json.loads(value) for value in values]


def test_a_row_becomes_a_record() -> None:
    """Ids become text, times ISO 8601 in UTC, and further columns stay."""
    frame = rows(trip_id=[7], driver_id=["d1"], start_location_id=[4], weather=[["rain"]])
    keys, values = messages(frame)
    assert keys == ["d1"]
    assert values == [
        {
            "start_time": "2025-06-02T12:00:00Z",
            "duration_min": 5.0,
            "distance_km": 1.0,
            "price": 2,
            "trip_id": "7",
            "driver_id": "d1",
            "start_location_id": 4,
            "weather": ["rain"],
        }
    ]


def test_null_fields_are_left_out() -> None:
    """A field has a value or is absent, but those that a trip needs, which are null then."""
    frame = rows(trip_id=["a", None], note=[None, "x"], end_time=[None, START], more=[None, None])
    _, values = messages(frame)
    assert [sorted(value.keys() - rows().columns) for value in values] == [
        ["trip_id"],
        ["end_time", "note"],
    ]
    empty = [None, None]
    _, values = messages(rows(duration_min=empty, distance_km=empty, price=[None, 2.5]))
    start = {"start_time": "2025-06-02T12:00:00Z", "duration_min": None}
    assert values == [start, {**start, "price": 2.5}]


@given(
    st.lists(
        st.tuples(
            st.none() | st.text(st.characters(exclude_categories=["Cs"])),
            st.none() | st.integers(-(2**63), 2**63 - 1),
            st.none() | st.floats(allow_nan=False, allow_infinity=False),
        ),
        min_size=1,
        max_size=20,
    )
)
@settings(max_examples=60, deadline=None)
def test_json_has_the_values_of_the_columns(
    found: list[tuple[str | None, int | None, float | None]],
) -> None:
    """Any text, number or null is unchanged after a round trip through JSON."""
    names = ("note", "count", '"odd":null,')
    types = (pl.String, pl.Int64, pl.Float64)
    columns = {
        name: pl.Series([row[place] for row in found], dtype=types[place])
        for place, name in enumerate(names)
    }
    _, values = messages(rows(start_time=[START] * len(found)).with_columns(**columns))
    for row, value in zip(found, values, strict=True):
        expected = dict(zip(names, row, strict=True))
        assert {name: value.get(name) for name in names} == expected
        assert None not in value.values()


def test_amounts_that_all_trips_have_stand_where_they_did() -> None:
    """A start after a crash compares what it sends with the messages in the log."""
    piece = RowSlice(rows(trip_id=["a"], end_time=[None]), pl.Series([0]), pl.Series([0]))
    _, values = encode_messages(piece, 0, 0, 1)
    amounts = '"duration_min":5.0,"distance_km":1.0,"price":2,"trip_id":"a"}'
    assert values == ['{"start_time":"2025-06-02T12:00:00Z",' + amounts]


def test_keys_are_driver_else_trip_else_row() -> None:
    """No key is null, and keys are the same in every replay."""
    frame = rows(driver_id=["d", None, None], trip_id=["t", "t", None])
    keys, _ = messages(frame)
    assert keys == ["d", "t", "row-2"]
    assert messages(rows())[0] == ["row-0"]


def test_times_are_shifted_and_keep_their_milliseconds() -> None:
    """A shift applies to start and end, and zero milliseconds are not written."""
    frame = rows(end_time=[START_MS + 1_500]).with_columns(start_time=pl.lit(START_MS))
    _, (value,) = messages(frame, shift=DAY_MS)
    assert value["start_time"] == "2025-06-03T12:00:00Z"
    assert value["end_time"] == "2025-06-03T12:00:01.500Z"


def test_invalid_times_are_sent_unchanged() -> None:
    """The flow makes such a trip a dead letter; the producer hides nothing."""
    frame = rows().with_columns(start_time=pl.lit("noonish"), end_time=pl.lit(2**60))
    _, (value,) = messages(frame, shift=DAY_MS)
    assert (value["start_time"], value["end_time"]) == ("noonish", str(2**60))


def test_copies_and_loops_have_different_trip_ids() -> None:
    """No two repetitions of a row share an id; the first one keeps the file's."""
    frame = rows(trip_id=["a", "b", None], driver_id=["d", None, None])
    ids = [
        [value.get("trip_id") for value in messages(frame, loop=loop, copies=2)[1]]
        for loop in (0, 1)
    ]
    assert ids == [
        ["a", "a#1", "b", "b#1", None, None],
        ["a#2", "a#3", "b#2", "b#3", None, None],
    ]
    assert messages(frame, loop=1, copies=2)[0] == ["d", "d", "b#2", "b#3", "row-2", "row-2"]


def trips_file(path: Path, starts: list[int]) -> Path:
    """Write a trips file with these start times (epoch ms)."""
    ids = [f"t{number}" for number in range(len(starts))]
    rows(trip_id=ids).with_columns(start_time=pl.Series(starts)).write_parquet(path)
    return path


def test_loops_follow_each_other_by_whole_days(tmp_path: Path) -> None:
    """Each loop is a span later, and positions count loops and rows."""
    day_shift, start = DayShift(DAY_MS, DAY_MS), FilePosition(0, 1)
    with opened(trips_file(tmp_path / "a", [START_MS, START_MS + 5])) as file:
        made = make_batches(file, day_shift, start, density=1, forever=True)
        first, second, third = islice(made, 3)
    assert [batch.start for batch in (first, second, third)] == [
        FilePosition(0, 1),
        FilePosition(1, 0),
        FilePosition(2, 0),
    ]
    assert first.due == [START_MS + DAY_MS + 5]
    assert second.due == [START_MS + 2 * DAY_MS, START_MS + 2 * DAY_MS + 5]
    assert json.loads(third.values[0])["start_time"] == "2025-06-05T12:00:00Z"
    assert json.loads(third.values[0])["trip_id"] == "t0#2"


def test_a_file_without_a_loop_ends(tmp_path: Path) -> None:
    """It is sent once, and a start at its end sends nothing."""
    day_shift = DayShift(0, DAY_MS)
    with opened(trips_file(tmp_path / "a", [START_MS])) as file:
        for row, expected in [(0, 1), (1, 0)]:
            made = make_batches(file, day_shift, FilePosition(0, row), density=1, forever=False)
            assert len(list(made)) == expected


def test_an_out_of_order_row_is_due_with_the_row_before(tmp_path: Path) -> None:
    """With --as-is due times never decrease, so the row is neither delayed nor early."""
    path = trips_file(tmp_path / "a", [START_MS + 9, START_MS, START_MS + 10])
    day_shift, start = DayShift(0, DAY_MS), FilePosition(0, 0)
    with opened(path, as_is=True) as file:
        # So many copies that each row makes one batch.
        made = make_batches(file, day_shift, start, density=50_000, forever=False)
        assert [batch.due for batch in made] == [[START_MS + 9], [START_MS + 9], [START_MS + 10]]


def test_rows_of_another_year_are_due_with_the_others(tmp_path: Path) -> None:
    """One row of 2009 and one of 2088 among those of a day do not hold up a replay."""
    year = 365 * DAY_MS
    starts = [START_MS, START_MS + 63 * year, START_MS + 5, START_MS - 16 * year, START_MS + 9]
    with opened(trips_file(tmp_path / "a", starts)) as file:
        day_shift, start = DayShift(0, DAY_MS), FilePosition(0, 0)
        (batch,) = make_batches(file, day_shift, start, density=1, forever=False)
    assert batch.due == [START_MS, START_MS, START_MS + 5, START_MS + 9, START_MS + 9]
    ids = [json.loads(value)["trip_id"] for value in batch.values]
    assert ids == ["t3", "t0", "t2", "t4", "t1"]
