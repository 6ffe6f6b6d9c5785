"""Files of corrections: read as messages are, or refused line by line."""

import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from backfill.errors import BackfillError
from backfill.inputs import SHOWN_FAULTS, read_corrections
from backfill.range import Range
from mobility.settings import Settings
from tests.strategies import MINUTE, NOON

SPAN = Range(NOON, NOON + 60 * MINUTE)


def trip(**fields: object) -> bytes:
    """Return a trip as on `trips_stream`."""
    good = {"start_time": NOON, "duration_min": 1, "distance_km": 1.5, "price": 2}
    return json.dumps(good | fields).encode()


def test_ndjson_is_read_as_messages_are(tmp_path: Path) -> None:
    """Lines keep their numbers over blank ones, unknown fields do no harm, the file is kept."""
    lines = trip(trip_id="a", more=[1]) + b"\r\n\n" + trip(start_time=NOON + 7 * MINUTE)
    file = tmp_path / "given"
    file.write_bytes(lines)
    found = read_corrections(file, SPAN, Settings())
    assert found.lines == lines
    assert found.rows.select("line", "trip_id", "window_start", "price").rows() == [
        (1, "a", NOON, 2.0),
        (3, None, NOON + 5 * MINUTE, 2.0),
    ]


def test_parquet_has_the_columns_of_a_trip(tmp_path: Path) -> None:
    """Typed times and location numbers are taken, other columns left alone; a copy reads alike."""
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
    found = read_corrections(file, SPAN, Settings())
    assert found.rows.select("line", "trip_id", "start_location_id", "price").rows() == [
        (1, "a", "7", 3.0),
        (2, None, None, 4.0),
    ]
    copy.write_bytes(found.lines)
    assert read_corrections(copy, SPAN, Settings()).rows.equals(found.rows)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "no valid trip: not_json"),
        (trip(price=-1), "no valid trip: negative"),
        (trip(price=None), "no valid trip: missing_field"),
        (trip(driver_id=""), "no valid trip: bad_id"),
        (trip(start_time=NOON - 1), f"its time 2025-01-01T11:59:59.999Z is outside {SPAN}"),
        (trip(start_time=SPAN.end), f"its time 2025-01-01T13:00:00Z is outside {SPAN}"),
    ],
)
def test_what_is_no_trip_of_the_range_is_refused_by_line(
    tmp_path: Path, line: bytes, reason: str
) -> None:
    """The message names the file, the line and the reason."""
    file = tmp_path / "given.ndjson"
    file.write_bytes(trip() + b"\n" + line)
    with pytest.raises(BackfillError) as refused:
        read_corrections(file, SPAN, Settings())
    assert str(file) in str(refused.value)
    assert f"line 2: {reason}" in str(refused.value)


def test_many_faults_are_not_all_told(tmp_path: Path) -> None:
    """The first are, and how many more there are."""
    file = tmp_path / "given.ndjson"
    file.write_bytes(b"x\n" * (SHOWN_FAULTS + 5))
    with pytest.raises(BackfillError, match="and 5 more"):
        read_corrections(file, SPAN, Settings())


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """Missing, broken, or with a column that holds something else."""
    broken, other = tmp_path / "broken.parquet", tmp_path / "other.parquet"
    broken.write_bytes(b"PAR1 and no more")
    pl.DataFrame({"price": ["cheap"]}).write_parquet(other)
    for path in (tmp_path / "missing", broken, other):
        with pytest.raises(BackfillError, match=path.name):
            read_corrections(path, SPAN, Settings())
