"""Rows in the formats that programs and spreadsheets read."""

import csv
import io

import msgspec
import polars as pl
import pytest

from api.queries.time_range import to_datetime
from api.representation.responses import SeriesBucket, to_response
from api.representation.rows import ROW_SCHEMA, to_rows, write_csv, write_rows
from tests.strategies import NOON

BUCKET = SeriesBucket(
    window_start=to_datetime(NOON),
    window_end=to_datetime(NOON + 300_000),
    complete=True,
    **to_response(
        {
            "trip_count": 3,
            "total_duration": 10_000_000,
            "total_distance": 1_234_567,
            "total_revenue": -500_000,
            "distance_count": 3,
            "revenue_count": 2,
        }
    ),
)


def cells_of(content: bytes) -> list[list[str]]:
    """Return the cells of CSV after the header."""
    return list(csv.reader(io.StringIO(content.decode(), newline="")))[1:]


@pytest.mark.parametrize(
    "entity_id", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "=cmd|' /C calc'!A0", '="a","b"']
)
def test_formulas_get_an_apostrophe(entity_id: str) -> None:
    """A spreadsheet shows such an id as text; raw it is as it is."""
    rows = to_rows(entity_id, [BUCKET])
    assert cells_of(write_csv(rows))[0][0] == f"'{entity_id}"
    assert cells_of(write_csv(rows, raw=True))[0][0] == entity_id
    assert msgspec.json.decode(write_rows(rows, "ndjson"))["id"] == entity_id


@pytest.mark.parametrize(
    "entity_id", ["a", "a=1", "a-b", "'=1", " =1", "a,b", 'a"b', "é水🚲", "a\nb"]
)
def test_other_ids_are_as_they_are(entity_id: str) -> None:
    """Also those with separators, quotes and line ends, which are quoted."""
    rows = to_rows(entity_id, [BUCKET])
    [row] = cells_of(write_csv(rows))
    assert row[0] == entity_id
    assert len(row) == len(ROW_SCHEMA)


def test_negative_numbers_stay_numbers() -> None:
    """The apostrophe is for text."""
    [row] = cells_of(write_csv(to_rows("=a", [BUCKET])))
    assert float(row[list(ROW_SCHEMA).index("total_revenue")]) == -0.5


def test_formats_have_the_same_rows() -> None:
    """Each has the id, times and exact doubles."""
    rows = to_rows("d1", [BUCKET, BUCKET])
    assert pl.read_parquet(io.BytesIO(write_rows(rows, "parquet"))).equals(rows)
    read = pl.read_csv(write_rows(rows, "csv"), try_parse_dates=True)
    assert read.cast(ROW_SCHEMA).equals(rows)
    expected = {"id": "d1", **msgspec.to_builtins(BUCKET)}
    lines = write_rows(rows, "ndjson").splitlines()
    assert [msgspec.json.decode(line) for line in lines] == [expected, expected]


def test_no_rows_have_columns_too() -> None:
    """A series without trips is a header in CSV, nothing in NDJSON, a schema in Parquet."""
    rows = to_rows("d1", [])
    assert write_rows(rows, "csv").decode().strip() == ",".join(ROW_SCHEMA)
    assert write_rows(rows, "ndjson") == b""
    assert pl.read_parquet(io.BytesIO(write_rows(rows, "parquet"))).schema == ROW_SCHEMA
