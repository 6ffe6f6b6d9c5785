"""Files read as trips: what is left out, the report that adds up, and types as tools write them."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from producer.formats.options import ReadingOptions
from tests.producer.formats.reading import own_trips, read, write_csv
from tests.producer.formats.test_known_formats import CASES, YELLOW, YELLOW_ROW

PRICE = "18.0,2.5"
END = "2025-01-01 00:26:59"


def changed(*parts: tuple[str, str]) -> str:
    """Return the yellow taxi's row with parts replaced."""
    row = YELLOW_ROW
    for old, new in parts:
        assert old in row
        row = row.replace(old, new)
    return row


LEFT_OUT = {
    "no start_time": changed(("2025-01-01 00:18:38", "")),
    "start_time can't be read": changed(("2025-01-01 00:18:38", "today")),
    "no duration_min": changed((END, "")),
    "duration_min is negative": changed((END, "2025-01-01 00:16:59")),
    "distance_km can't be read": changed((",1.6,", ",far,")),
    "distance_km is negative": changed((",1.6,", ",-1.6,")),
    "price is negative": changed((PRICE, "-18.0,2.5")),
    "price is above 10^9": changed((PRICE, "1e10,2.5")),
    "price can't be read": changed((PRICE, "free,2.5")),
}


def test_what_is_left_out_adds_up(tmp_path: Path) -> None:
    """Rows read are trips and what is left out, each by its reason, in the file of rejects too."""
    path = write_csv(tmp_path / "trips.csv", YELLOW, YELLOW_ROW, *LEFT_OUT.values(), YELLOW_ROW)
    found = read(path, rejects=tmp_path / "rejects.ndjson")
    assert dict(found.report.left_out) == dict.fromkeys(LEFT_OUT, 1)
    assert found.report.read == 11 == found.trips.height + found.report.left_out.total()
    assert found.report.summary().startswith("11 rows read = 2 trips + 9 left out (")
    rejects = [json.loads(line) for line in (tmp_path / "rejects.ndjson").read_text().splitlines()]
    assert [each["reason"] for each in rejects] == list(LEFT_OUT)
    assert [each["row"] for each in rejects] == list(range(2, 11))
    assert {each["file"] for each in rejects} == {str(path)}
    assert rejects[6]["record"]["total_amount"] == "-18.0"
    assert rejects[6]["record"]["VendorID"] == "1"


def test_amounts_that_are_not_there_are_none(tmp_path: Path) -> None:
    """A trip counts without its distance or price, and people are told how many do."""
    rows = [changed((PRICE, f"{text},2.5")) for text in ("", "NaN", " ", "NA")]
    rows += [changed((",1.6,", ",,")), YELLOW_ROW]
    found = read(write_csv(tmp_path / "trips.csv", YELLOW, *rows))
    assert found.trips["price"].to_list() == [None] * 4 + [18.0] * 2
    assert list(found.report.lines())[:2] == [
        "6 rows read = 6 trips + 0 left out",
        "trips without a distance: 1; without a price: 4",
    ]


@pytest.mark.parametrize(
    "values",
    [
        pl.Series([None, 1.0]),
        pl.Series([float("nan"), 1.0], dtype=pl.Float32),
        pl.Series(["NaN", "1"]),
        pl.Series(["", "1"]),
        pl.Series([None, None]),
        pl.Series(["NA", "NA"]),
    ],
)
def test_empty_amounts_of_any_type(tmp_path: Path, values: pl.Series) -> None:
    """Also of a column that has nothing else, in our own record and in others."""
    path = tmp_path / "own.parquet"
    own_trips(price=values).write_parquet(path)
    found = read(path)
    assert found.report.trips == 2
    assert found.trips["price"][0] is None
    other = pl.DataFrame({"tpep_pickup_datetime": ["2025-01-06 12:00:00"] * 2})
    other = other.with_columns(
        pl.col("tpep_pickup_datetime").alias("tpep_dropoff_datetime"), total_amount=values
    )
    other.write_parquet(tmp_path / "other.parquet")
    assert read(tmp_path / "other.parquet").trips["price"].equals(found.trips["price"])


def test_amounts_under_other_names_are_told(tmp_path: Path) -> None:
    """A file with our names for times is our own record, and its fare no price."""
    header, row = "start_time,duration_min,miles,fare,weather", "2025-01-06 12:00:00,1,2,3,4"
    found = read(*(write_csv(tmp_path / f"{name}.csv", header, row) for name in "ab"))
    assert "no distance, duration in min, no price" in found.lines[0]
    remedy = "rename it, or name it in a mapping of columns (--columns)"
    named = f"{tmp_path}/a.csv and 1 more: look at this: column"
    assert found.lines[1:] == [
        f"{named} miles looks like distance_km, and is not read as that: {remedy}",
        f"{named} fare looks like price, and is not read as that: {remedy}",
    ]


def test_refunds_are_trips_where_the_setting_allows_them(tmp_path: Path) -> None:
    """As in the flow."""
    path = write_csv(tmp_path / "trips.csv", YELLOW, LEFT_OUT["price is negative"])
    assert read(path, options=ReadingOptions(refunds=True)).first()["price"] == -18.0


def test_fields_that_can_not_be_read_are_counted(tmp_path: Path) -> None:
    """A trip counts without its place or end; what has none there, or 0, is no loss."""
    header, row, _ = CASES["nyc-yellow of 2009"]
    rows = [row, *(row.replace("-73.991957", text) for text in ("west", "", "0"))]
    found = read(write_csv(tmp_path / "trips.csv", header, *rows))
    assert dict(found.report.unread) == {"start_lng": 1}
    assert found.report.left_out.total() == 0
    line = "look at this: trips whose start_lng can't be read, and is left empty: 1"
    assert line in found.report.lines()


@pytest.mark.parametrize("name", ["duration_min", "distance_km", "price"])
def test_amounts_of_our_own_record_that_can_not_be_read_are_left_out(
    tmp_path: Path, name: str
) -> None:
    """Without it, the row would be another trip than the file says."""
    path = tmp_path / "trips.parquet"
    amounts = ["1.5", "free", "inf", None]
    own_trips(**{name: amounts}, end_time=["soon", *[None] * 3]).write_parquet(path)
    found = read(path)
    assert dict(found.report.left_out) == {f"{name} can't be read": 2}
    assert found.trips[name].to_list() == [1.5, None]


def test_a_place_beyond_the_earth_is_left_out(tmp_path: Path) -> None:
    """The flow would refuse it."""
    header, row, _ = CASES["bikeshare"]
    path = write_csv(tmp_path / "trips.csv", header, row, row.replace("42.004583", "420.04583"))
    assert dict(read(path).report.left_out) == {"end_lat is beyond 90 degrees": 1}


def test_a_place_at_0_0_is_no_place(tmp_path: Path) -> None:
    """Taxi meters without a position write that."""
    header, row, _ = CASES["nyc-yellow of 2009"]
    row = row.replace("-73.991957", "0").replace("40.721567", "0.000000")
    trip = read(write_csv(tmp_path / "trips.csv", header, row)).first()
    assert {"start_lat", "start_lng"} & set(trip) == set()
    assert trip["end_lat"] == 40.695922


def test_times_of_our_own_record_as_text(tmp_path: Path) -> None:
    """ISO 8601 and what is no time stay as they are; other forms become ISO 8601."""
    times = ["2025-01-06T12:00:00.5+01:00", "soon", "1/6/2025 12:00", None]
    path = tmp_path / "trips.parquet"
    own_trips(start_time=times).write_parquet(path)
    found = read(path).trips["start_time"].to_list()
    assert found == [*times[:2], "2025-01-06T12:00:00Z", None]


def test_our_own_record_is_passed_on(tmp_path: Path) -> None:
    """All rows are sent, with further columns: the flow decides which are valid."""
    path = tmp_path / "trips.parquet"
    frame = own_trips(
        price=[1.0, None, -1.0], note=["a", "b", None], start_location_id=[1, 2, None]
    )
    frame.write_parquet(path)
    found = read(path)
    assert found.report.summary() == "3 rows read = 3 trips + 0 left out"
    assert found.trips["price"].to_list() == [1.0, None, -1.0]
    assert found.trips["note"].to_list() == ["a", "b", None]
    assert found.trips["start_location_id"].to_list() == [1, 2, None]


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("price", pl.Series([Decimal("12.35")], dtype=pl.Decimal(10, 2)), 12.35),
        ("price", pl.Series([12.35], dtype=pl.Float32), 12.35),
        ("price", pl.Series([float("nan")]), None),
        ("price", pl.Series(["12.35"]), 12.35),
        ("distance_km", pl.Series([3], dtype=pl.UInt8), 3.0),
        ("driver_id", pl.Series(["d"], dtype=pl.Categorical), "d"),
        ("driver_id", pl.Series([7.0]), "7"),
        ("driver_id", pl.Series([" d "]), " d "),
        ("surge", pl.Series([Decimal("1.5")], dtype=pl.Decimal(10, 2)), 1.5),
        ("surge", pl.Series([float("nan")]), None),
        ("tags", pl.Series([["a"]]), ["a"]),
    ],
)
def test_types_as_tools_write_them(
    tmp_path: Path,
    name: str,
    values: pl.Series,
    expected: Any,  # noqa: ANN401 - of any type
) -> None:
    """Each is read as the number or text that the tool shows."""
    path = tmp_path / "trips.parquet"
    own_trips(**{name: values}).write_parquet(path)
    assert read(path).trips[name].to_list() == [expected]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_epoch_times_of_any_unit(tmp_path: Path, unit: str) -> None:
    """The unit is recognised by the magnitude, and named."""
    per_second = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}[unit]
    path = tmp_path / "trips.parquet"
    own_trips(start_time=[1_736_164_800 * per_second]).write_parquet(path)
    found = read(path)
    assert found.first()["start_time"] == "2025-01-06T12:00:00Z"
    assert f"start_time in epoch {unit}" in found.lines[0]


def test_binary_columns_are_not_read(tmp_path: Path) -> None:
    """GeoParquet has geometries beside the columns that count."""
    path = tmp_path / "trips.parquet"
    own_trips(geometry=[b"\x01\x01"], weather=["rain"]).write_parquet(path)
    trips = read(path).trips
    assert trips["weather"].to_list() == ["rain"]
    assert "geometry" not in trips.columns


def test_the_preview(tmp_path: Path) -> None:
    """First and last start, local and UTC, three trips, and what people should look at."""
    far = changed((",1.6,", ",100.0,"), (END, "2025-01-02 00:26:59"))
    path = write_csv(tmp_path / "trips.csv", YELLOW, *[YELLOW_ROW] * 3, far)
    lines = list(read(path).report.lines())
    assert lines[:2] == [
        "4 rows read = 4 trips + 0 left out",
        (
            "first start 2025-01-01 00:18:38 America/New_York (2025-01-01 05:18:38 UTC), "
            "last 2025-01-01 00:18:38 America/New_York (2025-01-01 05:18:38 UTC)"
        ),
    ]
    assert sum(line.startswith("for example vehicle_type=yellow_taxi, ") for line in lines) == 3
    assert lines[-2:] == [
        "look at this: trips longer than 100 km: 1 (25.00%)",
        "look at this: trips longer than 24 h: 1 (25.00%)",
    ]


def test_an_end_before_the_start_is_reported(tmp_path: Path) -> None:
    """Where the file has its own duration, the trip counts with that."""
    header, row, _ = CASES["nyc-hvfhv"]
    path = write_csv(tmp_path / "trips.csv", header, row.replace("00:54:24", "00:24:24"))
    found = read(path)
    assert found.first()["duration_min"] == pytest.approx(1259 / 60)
    assert "trips with an end before the start: 1 (100.00%)" in list(found.report.lines())[-1]


def test_changed_clocks_are_counted(tmp_path: Path) -> None:
    """Times in the hour that comes twice, and in the one that clocks skip."""
    rows = [
        changed(("2025-01-01 00:18:38", f"{day} {hour}:18:38"), (END, f"{day} {hour}:26:59"))
        for day, hour in (("2025-03-09", "02"), ("2025-11-02", "01"), ("2025-11-02", "03"))
    ]
    found = read(write_csv(tmp_path / "trips.csv", YELLOW, *rows))
    assert (found.report.repeated, found.report.skipped) == (2, 2)
    lines = list(found.report.lines())
    assert "2 times in an hour that comes twice, resolved by the rule" in lines
    assert "2 times in an hour that clocks skip, read as an hour later" in lines
    assert found.trips["duration_min"].to_list() == pytest.approx([8.35] * 3)


def test_files_of_several_formats(tmp_path: Path) -> None:
    """Each is read by its own format; files of the same are named in one line."""
    header, row, _ = CASES["nyc-hvfhv"]
    first = write_csv(tmp_path / "a.csv", YELLOW, YELLOW_ROW)
    second = write_csv(tmp_path / "b.csv", header, row)
    third = write_csv(tmp_path / "c.csv.gz", YELLOW, YELLOW_ROW)
    found = read(first, second, third)
    assert found.trips["vehicle_type"].to_list() == ["yellow_taxi", "ride_hail", "yellow_taxi"]
    assert [line.split(" (")[0] for line in found.lines] == [
        f"{first} and 1 more: nyc-yellow",
        f"{second}: nyc-hvfhv",
    ]


def test_batches_of_any_size_are_the_same_trips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the hour that comes twice is read in several batches."""
    rows = [
        changed(("2025-01-01 00:18:38", f"2025-11-02 {start}"), (END, "2025-11-02 04:00:00"))
        for start in ("00:59:00", "01:10:00", "01:50:00", "01:05:00", "01:40:00", "02:10:00")
    ]
    path = write_csv(tmp_path / "trips.csv", YELLOW, *rows)
    whole = read(path)
    monkeypatch.setattr("producer.formats.raw_batches.ROWS_PER_BATCH", 1)
    assert read(path).trips.equals(whole.trips)
    hours = whole.trips["start_time"].dt.to_string("%H:%M").to_list()
    assert hours == ["04:59", "05:10", "05:50", "06:05", "06:40", "07:10"]
