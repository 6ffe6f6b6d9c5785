"""Each output is compared with the oracle's result, and an injected difference is found."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import polars as pl
import pytest

from audit import output_comparisons
from audit.comparison import OutputComparison
from audit.export import in_units
from audit.oracle import OracleResult, ValidatedLog, run_oracle, validate_log
from audit.trips_file import read_own_trips
from audit.validation import LogMessage
from mobility.settings import Settings

START: Final = 1_735_689_600_000
SETTINGS: Final = Settings(topic_prefix="x.")

Change = Callable[[pl.DataFrame], pl.DataFrame]


def trip(minute: int, **fields: object) -> bytes:
    """Return a trip that starts so many minutes after midnight."""
    good = {"trip_id": str(minute), "duration_min": 7, "distance_km": 0.1, "price": 1.1}
    return json.dumps(good | {"start_time": START + minute * 60_000} | fields).encode()


@pytest.fixture(scope="module")
def log() -> ValidatedLog:
    """Return a log with counted, late, duplicate and dead trips and a punctuation."""
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
        LogMessage(3, offset, START + 10**9, value, headers if value is None else ())
        for offset, value in enumerate(values)
    ]
    return validate_log([messages], SETTINGS)


@pytest.fixture(scope="module")
def expected(log: ValidatedLog) -> OracleResult:
    """Return the oracle's result."""
    return run_oracle(log, SETTINGS)


def one_more(name: str) -> Change:
    """Return a change that adds one to a column's first row."""
    is_first = pl.int_range(pl.len()) == 0
    return lambda frame: frame.with_columns(
        pl.when(is_first).then(pl.col(name) + 1).otherwise(name)
    )


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
def test_windows_are_compared_in_every_field(expected: OracleResult, change: Change) -> None:
    """Equal windows have no difference, and a change of any field is one."""
    assert output_comparisons.compare_windows("x", expected, expected.windows).differences == 0
    assert (
        output_comparisons.compare_windows("x", expected, change(expected.windows)).differences == 1
    )


@pytest.mark.parametrize("change", [less_one, *map(one_more, WINDOW_FIELDS[1:])])
def test_totals_are_compared_in_every_field(expected: OracleResult, change: Change) -> None:
    """In micro-units and as the doubles of the API."""
    assert output_comparisons.compare_totals("x", expected, expected.totals).differences == 0
    assert (
        output_comparisons.compare_totals("x", expected, change(expected.totals)).differences == 1
    )
    shown = in_units(expected.totals)
    assert output_comparisons.compare_api_totals(expected, shown).differences == 0
    assert output_comparisons.compare_api_totals(expected, change(shown)).differences == 1


@pytest.mark.parametrize("field", [*WINDOW_FIELDS[1:], "last_window_start"])
def test_totals_of_a_follower_are_compared_in_every_field(
    expected: OracleResult, field: str
) -> None:
    """An id that it lacks is no difference, and neither is an entity that it is behind with."""
    newest = expected.windows.group_by("entity", "id").agg(
        pl.col("window_start").max().alias("last_window_start")
    )
    found = expected.totals.join(newest, on=["entity", "id"])
    compared = output_comparisons.compare_follower_totals(expected, found, ())
    assert (compared.expected, compared.differences) == (found.height, 0)
    compared = output_comparisons.compare_follower_totals(expected, less_one(found), ())
    assert (compared.expected, compared.differences) == (found.height - 1, 0)
    changed = one_more(field)(found)
    assert output_comparisons.compare_follower_totals(expected, changed, ()).differences == 1
    behind = changed["entity"][0]
    compared = output_comparisons.compare_follower_totals(expected, changed, (behind,))
    assert (compared.output, compared.differences) == ("Redis totals, 1 entities behind", 0)


def test_the_apis_doubles_are_exact(expected: OracleResult) -> None:
    """The next double after the right one is a difference."""
    shown = in_units(expected.totals)
    near = shown.with_columns(pl.col("total_distance") * (1 + 2**-52))
    assert output_comparisons.compare_api_totals(expected, near).differences == shown.height


def test_ids_are_compared(expected: OracleResult) -> None:
    """The index and the pages of ids must have every id, and the pages its trip count."""
    ids = expected.totals
    assert output_comparisons.compare_redis_index(expected, ids).differences == 0
    assert output_comparisons.compare_redis_index(expected, less_one(ids)).differences == 1
    assert output_comparisons.compare_api_ids(expected, ids).differences == 0
    assert output_comparisons.compare_api_ids(expected, less_one(ids)).differences == 1
    assert (
        output_comparisons.compare_api_ids(expected, one_more("trip_count")(ids)).differences == 1
    )
    assert (
        output_comparisons.compare_api_ids(expected, pl.concat([ids, ids.head(1)])).differences == 1
    )


POSITIONS: Final = {
    "topic": pl.String,
    "partition": pl.Int32,
    "offset": pl.Int64,
    "error": pl.String,
    "value": pl.Binary,
}


def positions(*rows: tuple[object, ...]) -> pl.DataFrame:
    """Return the content of a topic of late or dead trips."""
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
def test_late_trips(
    expected: OracleResult, rows: list[tuple[object, ...]], differences: int
) -> None:
    """Late trips are compared by source position; one that is delivered twice is no difference."""
    found = output_comparisons.compare_late_trips(expected, positions(*rows), SETTINGS)
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
    log: ValidatedLog, expected: OracleResult, rows: list[tuple[object, ...]], differences: int
) -> None:
    """Dead letters are compared by source position, reason and original bytes."""
    found = output_comparisons.compare_dead_letters(expected, log, positions(*rows), SETTINGS)
    assert (found.expected, found.differences) == (2, differences)


def write_status(folder: Path, process: int, **counts: int) -> None:
    """Write the counters of a process of the flow."""
    counters = dict.fromkeys(output_comparisons.FLOW_COUNTERS, 0) | counts
    (folder / f"flow-{process}.json").write_text(json.dumps(counters | {"lag": 0}))


def test_counters_are_compared(expected: OracleResult, tmp_path: Path) -> None:
    """Counters are summed over the flow's processes and compared one by one."""
    assert output_comparisons.compare_flow_counters(expected, tmp_path).counts["missing"] == 6
    write_status(tmp_path, 0, read=4, counted=2, late=1)
    write_status(tmp_path, 1, read=3, dead=2, duplicates=1, punctuations=1)
    assert output_comparisons.compare_flow_counters(expected, tmp_path).differences == 0
    write_status(tmp_path, 1, read=3, dead=2, duplicates=0, punctuations=1)
    (example,) = output_comparisons.compare_flow_counters(expected, tmp_path).examples
    assert (example.key, example.expected, example.found) == (
        "counter duplicates",
        "count 1",
        "count 0",
    )


def trips_file(folder: Path, **changes: pl.Expr) -> Path:
    """Write the trips of the log, without its invalid message, in other types."""
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


def against(log: ValidatedLog, path: Path) -> OutputComparison:
    """Compare the log, without its invalid message, with a file."""
    return output_comparisons.compare_log_with_files(
        ValidatedLog(log.rows.filter(pl.col("offset") != 4), log.dead_letters), read_own_trips(path)
    )


def test_a_log_equals_its_file(log: ValidatedLog, tmp_path: Path) -> None:
    """Every row of the file is in the log once, dead letters too, whatever types the file has."""
    assert against(log, trips_file(tmp_path)).differences == 0


def test_a_message_that_is_not_in_the_file_is_found(log: ValidatedLog, tmp_path: Path) -> None:
    """It counts as extra."""
    trips = read_own_trips(trips_file(tmp_path))
    found = output_comparisons.compare_log_with_files(log, trips)
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
    log: ValidatedLog, tmp_path: Path, name: str, value: pl.Expr
) -> None:
    """If a field differs, the row of the file is missing and that of the log is extra."""
    found = against(log, trips_file(tmp_path, **{name: value}))
    assert found.counts["missing"] == found.counts["extra"] > 0


def test_a_row_sent_twice_is_found(log: ValidatedLog, tmp_path: Path) -> None:
    """Equal rows are numbered, not merged: one more of them is extra."""
    twice = ValidatedLog(pl.concat([log.rows, log.rows.head(1)]), log.dead_letters)
    comparison = against(twice, trips_file(tmp_path))
    assert comparison.counts["extra"] == comparison.differences == 1
    assert comparison.examples[0].key.endswith("copy 1")


def test_sketches_are_compared_where_they_are_on(log: ValidatedLog) -> None:
    """The oracle has those of the setting; one that differs, or is not known, is a difference."""
    settings = msgspec.structs.replace(SETTINGS, measures=("duration_histogram",))
    expected = run_oracle(log, settings)
    is_first = pl.int_range(pl.len()) == 0
    histogram = pl.col("duration_histogram")
    for other, differences in ((histogram, 0), (pl.lit(b""), 1), (pl.lit(None, pl.Binary), 1)):
        found = expected.windows.with_columns(
            pl.when(is_first).then(other).otherwise(histogram).alias("duration_histogram")
        )
        compared = output_comparisons.compare_windows(
            "topics", expected, found, sketches=settings.measures
        )
        assert (compared.expected, compared.differences) == (found.height, differences)
