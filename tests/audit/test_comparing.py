"""Each place is compared with what the oracle expects of it, and a planted fault is found."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

import polars as pl
import pytest

from audit import comparing
from audit.differences import Comparison
from audit.export import in_units
from audit.oracle import Answer, Log, answer, read_log
from audit.verdicts import Message
from mobility.settings import Settings

START: Final = 1_735_689_600_000
SETTINGS: Final = Settings(topic_prefix="x.")

Change = Callable[[pl.DataFrame], pl.DataFrame]


def trip(minute: int, **fields: object) -> bytes:
    """Return a trip that starts so many minutes after midnight."""
    good = {"trip_id": str(minute), "duration_min": 7, "distance_km": 0.1, "price": 1.1}
    return json.dumps(good | {"start_time": START + minute * 60_000} | fields).encode()


@pytest.fixture(scope="module")
def log() -> Log:
    """Return a log with counted, late, dead and repeated trips and a punctuation."""
    values = [
        trip(0, driver_id="a", start_location_id=1),
        trip(1, driver_id="b", passenger_id="a"),
        trip(1),
        trip(2, price=-1),
        b"{",
        None,
        trip(0, trip_id="late"),
    ]
    headers = [("watermark", str(START + 3_600_000).encode())]
    messages = [
        Message(3, offset, START + 10**9, value, headers if value is None else ())
        for offset, value in enumerate(values)
    ]
    return read_log([messages], SETTINGS)


@pytest.fixture(scope="module")
def expected(log: Log) -> Answer:
    """Return the oracle's answer."""
    return answer(log, SETTINGS)


def one_more(name: str) -> Change:
    """Return a change that adds one to a column's first row."""
    first = pl.int_range(pl.len()) == 0
    return lambda frame: frame.with_columns(pl.when(first).then(pl.col(name) + 1).otherwise(name))


def less_one(frame: pl.DataFrame) -> pl.DataFrame:
    """Drop the first row."""
    return frame.slice(1)


WINDOW_FIELDS: Final = (
    "window_end",
    "trip_count",
    "total_duration",
    "total_distance",
    "total_revenue",
    "start_time",
    "last_start_time",
    "avg_duration",
)


@pytest.mark.parametrize("change", [less_one, *map(one_more, WINDOW_FIELDS)])
def test_windows(expected: Answer, change: Change) -> None:
    """Windows are compared in every field, and found equal to themselves."""
    assert comparing.windows_at("x", expected, expected.windows).differences == 0
    assert comparing.windows_at("x", expected, change(expected.windows)).differences == 1


@pytest.mark.parametrize("change", [less_one, *map(one_more, WINDOW_FIELDS[1:])])
def test_totals(expected: Answer, change: Change) -> None:
    """Totals are compared in every field, in micro-units and as the API's doubles."""
    assert comparing.totals_at("x", expected, expected.totals).differences == 0
    assert comparing.totals_at("x", expected, change(expected.totals)).differences == 1
    shown = in_units(expected.totals)
    assert comparing.served(expected, shown).differences == 0
    assert comparing.served(expected, change(shown)).differences == 1


def test_the_apis_doubles_are_exact(expected: Answer) -> None:
    """The neighbour of the right double is a difference."""
    shown = in_units(expected.totals)
    near = shown.with_columns(pl.col("total_distance") * (1 + 2**-52))
    assert comparing.served(expected, near).differences == shown.height


def test_ids(expected: Answer) -> None:
    """The index and the pages of ids must name every id, and the pages its count."""
    ids = expected.totals
    assert comparing.indexed(expected, ids).differences == 0
    assert comparing.indexed(expected, less_one(ids)).differences == 1
    assert comparing.listed(expected, ids).differences == 0
    assert comparing.listed(expected, less_one(ids)).differences == 1
    assert comparing.listed(expected, one_more("trip_count")(ids)).differences == 1
    assert comparing.listed(expected, pl.concat([ids, ids.head(1)])).differences == 1


POSITIONS: Final = {
    "topic": pl.String,
    "partition": pl.Int32,
    "offset": pl.Int64,
    "error": pl.String,
    "value": pl.Binary,
}


def positions(*rows: tuple[object, ...]) -> pl.DataFrame:
    """Return what a topic of late or dead trips holds."""
    return pl.DataFrame(rows, schema=POSITIONS, orient="row")


LATE: Final = ("x.trips_stream", 3, 6, None, b"any")


@pytest.mark.parametrize(
    ("rows", "differences"),
    [
        ([LATE], 0),
        ([LATE, LATE], 0),
        ([], 1),
        ([("trips_stream", *LATE[1:])], 2),
        ([(*LATE[:2], 5, None, b"any")], 2),
        ([LATE, (*LATE[:2], 5, None, b"any")], 1),
    ],
)
def test_late_trips(expected: Answer, rows: list[tuple[object, ...]], differences: int) -> None:
    """Late trips are compared by their position; being delivered twice is no difference."""
    found = comparing.late_trips(expected, positions(*rows), SETTINGS)
    assert (found.expected, found.differences) == (1, differences)


DEAD: Final = (
    ("x.trips_stream", 3, 3, "negative", trip(2, price=-1)),
    ("x.trips_stream", 3, 4, "not_json", b"{"),
)


@pytest.mark.parametrize(
    ("rows", "differences"),
    [
        ([*DEAD], 0),
        ([DEAD[0]], 1),
        ([DEAD[0], (*DEAD[1][:3], "not_utf8", b"{")], 1),
        ([DEAD[0], (*DEAD[1][:4], b"[")], 1),
        ([DEAD[0], (*DEAD[1][:4], None)], 1),
        ([*DEAD, (*DEAD[1][:3], "tombstone", b"{")], 1),
        ([*DEAD, ("x.trips_stream", 3, 0, "negative", b"")], 1),
    ],
)
def test_dead_letters(
    log: Log, expected: Answer, rows: list[tuple[object, ...]], differences: int
) -> None:
    """Dead letters are compared by position, reason and original bytes."""
    found = comparing.dead_letters(expected, log, positions(*rows), SETTINGS)
    assert (found.expected, found.differences) == (2, differences)


def status(folder: Path, process: int, **counts: int) -> None:
    """Write what a process of the flow counted."""
    counters = dict.fromkeys(comparing.COUNTERS, 0) | counts
    (folder / f"flow-{process}.json").write_text(json.dumps(counters | {"lag": 0}))


def test_counters(expected: Answer, tmp_path: Path) -> None:
    """The flow's counters are summed over its processes and compared one by one."""
    assert comparing.counters(expected, tmp_path).counts["missing"] == 6
    status(tmp_path, 0, read=4, counted=2, late=1)
    status(tmp_path, 1, read=3, dead=2, duplicates=1, punctuations=1)
    assert comparing.counters(expected, tmp_path).differences == 0
    status(tmp_path, 1, read=3, dead=2, duplicates=0, punctuations=1)
    (example,) = comparing.counters(expected, tmp_path).examples
    assert (example.key, example.expected, example.found) == (
        "counter duplicates",
        "count 1",
        "count 0",
    )


def trips_file(folder: Path, **changes: pl.Expr) -> Path:
    """Write the trips that the log was made from, but for its broken line, in other types."""
    frame = pl.DataFrame(
        {
            "trip_id": ["0", "1", "1", "2", "late"],
            "driver_id": pl.Series(["a", "b", None, None, None], dtype=pl.Categorical),
            "passenger_id": [None, "a", None, None, None],
            "start_location_id": [1, None, None, None, None],
            "start_time": pl.Series([0, 1, 1, 2, 0]) * 60_000_000 + START * 1_000,
            "duration_min": [7, 7, 7, 7, 7],
            "distance_km": [0.1] * 5,
            "price": [1.1, 1.1, 1.1, -1.0, 1.1],
            "colour": ["red"] * 5,
        }
    ).with_columns(pl.col("start_time").cast(pl.Datetime("us", "Europe/Berlin")))
    path = folder / "trips.parquet"
    frame.with_columns(**changes).write_parquet(path)
    return path


def against(log: Log, path: Path) -> Comparison:
    """Compare the log, without its broken line, with a file."""
    return comparing.against_file(Log(log.rows.filter(pl.col("offset") != 4), log.dead), path)


def test_the_log_against_its_file(log: Log, tmp_path: Path) -> None:
    """Every row of the file is in the log once, dead ones too, whatever types the file has."""
    assert against(log, trips_file(tmp_path)).differences == 0


def test_a_broken_line_is_no_row_of_the_file(log: Log, tmp_path: Path) -> None:
    """What is in the log and not in the file is found."""
    found = comparing.against_file(log, trips_file(tmp_path))
    assert found.counts["extra"] == found.differences == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("trip_id", pl.lit("other")),
        ("price", pl.col("price") + 1e-12),
        ("start_time", pl.col("start_time").dt.offset_by("1ms")),
        ("end_lat", pl.lit(1.0)),
        ("end_time", pl.lit("2025-01-01T00:00:00Z")),
        ("end_location_id", pl.lit("north")),
    ],
)
def test_another_value_in_any_field_is_found(
    log: Log, tmp_path: Path, name: str, value: pl.Expr
) -> None:
    """A field that went another way into the log makes rows missing and others extra."""
    found = against(log, trips_file(tmp_path, **{name: value}))
    assert found.counts["missing"] == found.counts["extra"] > 0


def test_a_row_sent_twice_is_found(log: Log, tmp_path: Path) -> None:
    """Equal rows are told apart, not merged: one more of them is one too many."""
    twice = Log(pl.concat([log.rows, log.rows.head(1)]), log.dead)
    comparison = against(twice, trips_file(tmp_path))
    assert comparison.counts["extra"] == comparison.differences == 1
    assert comparison.examples[0].key.endswith("copy 1")
