"""The sample files: always the same bytes, and a plausible day."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

import data
from data.__main__ import main, tables
from data.city import LOCATIONS

HERE = Path(data.__file__).parent
FILES = ("trips", "drivers", "passengers", "locations")
DAY = datetime(2025, 6, 2, tzinfo=UTC)

SCHEMA = {
    "trip_id": pl.String,
    "driver_id": pl.String,
    "passenger_id": pl.String,
    "vehicle_type": pl.String,
    "start_location_id": pl.Int32,
    "end_location_id": pl.Int32,
    "start_lat": pl.Float64,
    "start_lng": pl.Float64,
    "end_lat": pl.Float64,
    "end_lng": pl.Float64,
    "start_time": pl.Datetime("ms", "UTC"),
    "end_time": pl.Datetime("ms", "UTC"),
    "duration_min": pl.Float64,
    "distance_km": pl.Float64,
    "price": pl.Float64,
}


@pytest.fixture(scope="module")
def sample() -> dict[str, pl.DataFrame]:
    """Return the committed tables."""
    return {name: pl.read_parquet(HERE / f"{name}.parquet") for name in FILES}


@pytest.fixture(scope="module")
def trips(sample: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """Return the committed trips."""
    return sample["trips"]


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of the sample files in a folder."""
    return {name: (folder / f"{name}.parquet").read_bytes() for name in FILES}


def test_the_generator_makes_the_committed_files(tmp_path: Path) -> None:
    """`just data` on a clean checkout changes nothing."""
    assert main(["--out", str(tmp_path)]) == 0
    assert contents(tmp_path) == contents(HERE)


def test_bytes_depend_on_neither_hash_seed_nor_threads(tmp_path: Path) -> None:
    """Another process with another hash seed and one thread writes the same bytes."""
    main(["--trips", "3000", "--out", str(tmp_path / "here")])
    subprocess.run(
        [sys.executable, "-m", "data", "--trips", "3000", "--out", tmp_path / "there"],
        cwd=HERE.parent,
        env=os.environ | {"PYTHONHASHSEED": "12345", "POLARS_MAX_THREADS": "1"},
        check=True,
        capture_output=True,
    )
    assert contents(tmp_path / "here") == contents(tmp_path / "there")


def test_another_seed_is_another_day(tmp_path: Path) -> None:
    """The seed changes trips and people, but not the city."""
    for seed in ("1", "2"):
        main(["--trips", "1000", "--seed", seed, "--out", str(tmp_path / seed)])
    one, two = contents(tmp_path / "1"), contents(tmp_path / "2")
    assert [name for name in FILES if one[name] == two[name]] == ["locations"]


def test_a_day_of_no_trips_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A size below one exits with 2 and a message."""
    with pytest.raises(SystemExit) as stopped:
        main(["--trips", "0"])
    assert stopped.value.code == 2
    assert "from 1 to" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rows", "drivers", "passengers"), [(1, 500, 5_000), (240_000, 1_000, 10_000)]
)
def test_people_grow_with_the_trips(rows: int, drivers: int, passengers: int) -> None:
    """A larger day has more drivers and passengers, a smaller one as many as the sample."""
    made = tables(rows, seed=1)
    assert made["trips"].height == rows
    assert (made["drivers"].height, made["passengers"].height) == (drivers, passengers)


def test_sizes(sample: dict[str, pl.DataFrame]) -> None:
    """The sample has the documented sizes, in under 8 MB."""
    heights = {name: table.height for name, table in sample.items()}
    assert heights == {"trips": 120_000, "drivers": 500, "passengers": 5_000, "locations": 40}
    assert sum(len(content) for content in contents(HERE).values()) < 8_000_000


def test_the_columns_are_those_of_a_trip(trips: pl.DataFrame) -> None:
    """Names, order and types are those of the record."""
    assert dict(trips.schema) == SCHEMA


def test_the_day_is_one_monday(trips: pl.DataFrame) -> None:
    """All trips start on 2 June 2025, UTC."""
    starts = trips["start_time"]
    assert starts.is_between(DAY, DAY + timedelta(days=1), closed="left").all()
    assert DAY.isoweekday() == 1


def test_half_a_percent_is_up_to_20_s_out_of_order(trips: pl.DataFrame) -> None:
    """The rest of the file is in the order of start times."""
    behind = (trips["start_time"].cum_max() - trips["start_time"]).dt.total_milliseconds()
    assert 0.0045 < (behind > 0).mean() < 0.0055  # type: ignore[operator]
    assert 10_000 < behind.max() <= 20_000  # type: ignore[operator]


def test_rush_hours(trips: pl.DataFrame) -> None:
    """Morning and evening are several times as busy as the night."""
    hours = dict(trips["start_time"].dt.hour().value_counts().iter_rows())
    assert hours[8] > 1.3 * hours[11]
    assert hours[18] > 1.5 * hours[14]
    assert hours[18] > 10 * hours[3]


def test_ids_are_those_of_the_tables(sample: dict[str, pl.DataFrame]) -> None:
    """Trip ids are distinct, and every driver, passenger and location is in its table and rides."""
    trips = sample["trips"]
    assert trips["trip_id"].is_unique().all()
    for name in ("driver", "passenger", "location"):
        column = "start_location_id" if name == "location" else f"{name}_id"
        known = sample[f"{name}s"][f"{name}_id"]
        assert set(trips[column].drop_nulls()) <= set(known)
        assert trips[column].n_unique() > 0.99 * known.len()


def test_vehicle_types_are_the_drivers(sample: dict[str, pl.DataFrame]) -> None:
    """A trip that knows both its driver and its vehicle type agrees with the drivers table."""
    both = sample["trips"].join(sample["drivers"], on="driver_id", suffix="_of_driver")
    known = both.drop_nulls("vehicle_type")
    assert (known["vehicle_type"] == known["vehicle_type_of_driver"]).all()
    assert set(sample["drivers"]["vehicle_type"]) == {"car", "scooter", "bike"}


@pytest.mark.parametrize(
    ("columns", "least", "most"),
    [
        (["driver_id"], 0.008, 0.012),
        (["passenger_id"], 0.012, 0.018),
        (["vehicle_type"], 0.19, 0.21),
        (["end_time"], 0.004, 0.006),
        (["start_lat", "start_lng", "end_lat", "end_lng"], 0.038, 0.044),
        (["start_location_id", "end_location_id"], 0.018, 0.022),
        (["start_lat", "start_location_id"], 0.0005, 0.0015),
        (["driver_id", "vehicle_type"], 0.0015, 0.0025),
        (["trip_id", "start_time", "duration_min", "distance_km", "price"], 0, 0),
    ],
)
def test_missing_fields(trips: pl.DataFrame, columns: list[str], least: float, most: float) -> None:
    """Every fallback for a missing field has trips that use it."""
    share = trips.select(pl.all_horizontal(pl.col(columns).is_null()).mean()).item()
    assert least <= share <= most


def test_amounts_fit_each_other(trips: pl.DataFrame) -> None:
    """A duration is end minus start, speeds are a city's, and nothing is free."""
    ended = trips.drop_nulls("end_time")
    minutes = (ended["end_time"] - ended["start_time"]).dt.total_milliseconds() / 60_000
    assert ((minutes - ended["duration_min"]).abs() <= 0.0051).all()
    speed = trips["distance_km"] / trips["duration_min"] * 60
    assert speed.is_between(1, 80).all()
    assert trips["price"].min() >= 0.5  # type: ignore[operator]


@pytest.mark.parametrize("column", ["duration_min", "distance_km", "price"])
def test_long_tails(trips: pl.DataFrame, column: str) -> None:
    """One trip in a thousand is several times the usual one."""
    assert trips[column].quantile(0.999) > 4 * trips[column].median()  # type: ignore[operator]


def test_vehicles_differ(trips: pl.DataFrame) -> None:
    """A car goes further than a scooter, and a bike is the cheapest."""
    usual = {
        row["vehicle_type"]: row
        for row in trips.drop_nulls("vehicle_type")
        .group_by("vehicle_type")
        .agg(pl.col("distance_km", "price").median())
        .iter_rows(named=True)
    }
    assert usual["car"]["distance_km"] > 1.3 * usual["scooter"]["distance_km"]
    assert usual["bike"]["price"] < usual["scooter"]["price"] < usual["car"]["price"]


def test_coordinates_are_near_their_location(sample: dict[str, pl.DataFrame]) -> None:
    """A trip starts within 2 km of its start location."""
    both = (
        sample["trips"]
        .drop_nulls("start_lat")
        .join(sample["locations"], left_on="start_location_id", right_on="location_id")
    )
    north = (both["start_lat"] - both["lat"]) * 111.2
    east = (both["start_lng"] - both["lng"]) * 111.2 * 0.78
    assert both.height > 100_000
    assert ((north**2 + east**2).sqrt() < 2).all()


def test_places_are_distinct() -> None:
    """No two locations share a name or a point."""
    assert len({place.name for place in LOCATIONS}) == len(LOCATIONS)
    assert len({(place.lat, place.lng) for place in LOCATIONS}) == len(LOCATIONS)
