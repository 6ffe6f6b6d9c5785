"""Files of corrections are parsed as messages are, or refused line by line."""

import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from backfill.correction_file import MAX_FAULTS_SHOWN, read_correction_file
from backfill.errors import BackfillError
from backfill.window_range import WindowRange
from mobility.settings import Settings
from tests.strategies import MINUTE, NOON

RANGE = WindowRange(NOON, NOON + 60 * MINUTE)


def trip(**fields: object) -> bytes:
    """Return a trip as in `trips_stream`."""
    good = {"start_time": NOON, "duration_min": 1, "distance_km": 1.5, "price": 2}
    return json.dumps(good | fields).encode()


def test_ndjson_is_parsed_as_messages_are(tmp_path: Path) -> None:
    """Blank lines count for line numbers, unknown fields are ignored, the content is kept."""
    lines = trip(trip_id="a", more=[1]) + b"\r\n\n" + trip(start_time=NOON + 7 * MINUTE)
    file = tmp_path / "given"
    file.write_bytes(lines)
    found = read_correction_file(file, RANGE, Settings())
    assert found.json_lines == lines
    assert found.trips.select("line", "trip_id", "window_start", "revenue").rows() == [
        (1, "a", NOON, 2_000_000),
        (3, None, NOON + 5 * MINUTE, 2_000_000),
    ]


def test_parquet_has_the_columns_of_a_trip(tmp_path: Path) -> None:
    """Typed times and location numbers are accepted, other columns ignored; the copy is equal."""
    frame = pl.DataFrame(
        {
            "trip_id": ["a", None],
            "start_time": [datetime(2025, 1, 1, 12, 1, tzinfo=UTC)] * 2,
            "start_location_id": [7, None],
            "duration_min": [1, 2],
            "distance_km": [0.5, 0.25],
            "price": [3.0, 4.0],
            "fare_class": ["x", "y"],
        }
    )
    file, copy = tmp_path / "given.parquet", tmp_path / "copy.ndjson"
    frame.write_parquet(file)
    found = read_correction_file(file, RANGE, Settings())
    assert found.trips.select("line", "trip_id", "start_location", "revenue").rows() == [
        (1, "a", "7", 3_000_000),
        (2, None, None, 4_000_000),
    ]
    copy.write_bytes(found.json_lines)
    assert read_correction_file(copy, RANGE, Settings()).trips.equals(found.trips)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "no valid trip: not_json"),
        (trip(price=-1), "no valid trip: negative"),
        (trip(duration_min=None), "no valid trip: missing_field"),
        (trip(driver_id=""), "no valid trip: bad_id"),
        (trip(start_time=NOON - 1), f"its time 2025-01-01T11:59:59.999Z is outside {RANGE}"),
        (trip(start_time=RANGE.end), f"its time 2025-01-01T13:00:00Z is outside {RANGE}"),
    ],
)
def test_lines_that_are_not_trips_of_the_range_are_refused(
    tmp_path: Path, line: bytes, reason: str
) -> None:
    """The error names the file, the line and the reason."""
    file = tmp_path / "given.ndjson"
    file.write_bytes(trip() + b"\n" + line)
    with pytest.raises(BackfillError) as refused:
        read_correction_file(file, RANGE, Settings())
    assert str(file) in str(refused.value)
    assert f"line 2: {reason}" in str(refused.value)


def test_only_the_first_of_many_faults_are_named(tmp_path: Path) -> None:
    """With the number of the others."""
    file = tmp_path / "given.ndjson"
    file.write_bytes(b"x\n" * (MAX_FAULTS_SHOWN + 5))
    with pytest.raises(BackfillError, match="and 5 more"):
        read_correction_file(file, RANGE, Settings())


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """Missing, broken, or with a column of another type."""
    broken, other = tmp_path / "broken.parquet", tmp_path / "other.parquet"
    broken.write_bytes(b"PAR1 and no more")
    pl.DataFrame({"price": ["cheap"]}).write_parquet(other)
    for path in (tmp_path / "missing", broken, other):
        with pytest.raises(BackfillError, match=path.name):
            read_correction_file(path, RANGE, Settings())


def test_a_row_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """It is not left out: who corrects a trip must know that it was not."""
    path = tmp_path / "corrections.parquet"
    prices = {"price": ["1.5", "free"], "start_time": [NOON] * 2, "duration_min": [1.0] * 2}
    pl.DataFrame(prices).write_parquet(path)
    with pytest.raises(BackfillError, match=r"2 rows read = 1 trips \+ 1 left out"):
        read_correction_file(path, RANGE, Settings())
