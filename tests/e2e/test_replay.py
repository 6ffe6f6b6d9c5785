"""Replays of files through the real system, with every number compared."""

from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.e2e.conftest import ROOT, Just

pytestmark = pytest.mark.e2e

TABLES = ("drivers", "passengers", "locations")

_LAYOUT_TRIPS = 20_000


def sample_options() -> list[str]:
    """Return the options that name the sample city's tables."""
    return [
        part for table in TABLES for part in (f"--{table}", str(ROOT / f"data/{table}.parquet"))
    ]


@pytest.fixture
def sample_results(just: Just, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that `just demo --out` wrote."""
    out = tmp_path_factory.mktemp("demo results")
    done = just("demo", "--out", out)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 differences." in done.stdout
    return out


@pytest.fixture
def odd_files(tmp_path: Path) -> Path:
    """Return a folder with the same 200 trips of the sample as tools write them."""
    trips = pl.read_parquet(ROOT / "data" / "trips.parquet").head(200)
    folder = tmp_path / "odd"
    folder.mkdir()
    no_price = pl.when(pl.int_range(pl.len()) > 0).then("price").otherwise(float("nan"))
    variants = {
        "decimal.parquet": [pl.col("price").cast(pl.Decimal(10, 2))],
        "float32 [1].parquet": [pl.col("price", "distance_km", "start_lat").cast(pl.Float32)],
        "nan.parquet": [no_price.alias("price")],
        "seconds.parquet": [pl.col("start_time").dt.epoch("s")],
        "ns.parquet": [pl.col("start_time").cast(pl.Datetime("ns", "UTC"))],
        "binary.parquet": [
            pl.lit(b"x").alias("geometry"),
            pl.col("driver_id").cast(pl.Categorical),
        ],
    }
    for number, (name, changes) in enumerate(variants.items()):
        others = pl.format("{}-{}", pl.lit(number), "trip_id").alias("trip_id")
        trips.with_columns(others, *changes).write_parquet(folder / name)
    trips.write_csv(folder / "text.csv")
    return folder


def test_demo_counts_every_trip_of_the_file(sample_results: Path) -> None:
    """The stores hold the result of a group_by over the sample file."""
    trips = pl.read_parquet(ROOT / "data" / "trips.parquet")
    expected = (
        trips.drop_nulls("driver_id")
        .group_by(pl.col("driver_id").alias("id"))
        .agg(trip_count=pl.len().cast(pl.Int64), revenue=pl.col("price").sum().round(6))
        .sort("id")
    )
    for store in ("postgres", "redis", "api"):
        found = pl.read_parquet(sample_results / f"{store}.totals.parquet")
        drivers = found.filter(entity="driver").sort("id")
        assert_frame_equal(
            drivers.select("id", "trip_count", revenue=pl.col("total_revenue")),
            expected,
            abs_tol=1e-5,
        )


def test_layout_changes_no_number(replay: Just, tmp_path: Path) -> None:
    """Three processes over twelve partitions store the same totals as one over four."""
    trips = tmp_path / "trips.parquet"
    pl.read_parquet(ROOT / "data" / "trips.parquet").head(_LAYOUT_TRIPS).write_parquet(trips)
    layouts = {"four": [], "twelve": ["--partitions", "12", "--processes", "3"]}
    for name, layout in layouts.items():
        done = replay(trips, *sample_options(), *layout, "--out", tmp_path / name)
        assert done.returncode == 0, done.stdout + done.stderr
    for output in ("postgres.totals", "redis.totals", "api.totals", "kafka.windows"):
        keys = ["entity", "id", *(["window_start"] if output.endswith("windows") else [])]
        one, other = (
            pl.read_parquet(tmp_path / name / f"{output}.parquet").sort(keys) for name in layouts
        )
        assert one["trip_count"].sum() > _LAYOUT_TRIPS
        assert_frame_equal(one, other)


@pytest.mark.parametrize("options", [[], ["--as-is", "--partitions", "3", "--processes", "2"]])
def test_real_taxi_trips(replay: Just, public_trips: Path, options: list[str]) -> None:
    """10,000 real trips in any order give the oracle's result, with late trips excluded."""
    file = public_trips / "nyc_yellow_2025" / "yellow_tripdata_sample.parquet"
    zones = public_trips / "taxi_zones" / "taxi_zone_centroids_wgs84.csv"
    done = replay(file, "--locations", zones, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nyc-yellow (NYC TLC yellow taxi trip records)" in done.stdout
    assert "0 differences." in done.stdout


def test_real_files_of_two_formats(replay: Just, public_trips: Path, tmp_path: Path) -> None:
    """Each row is a trip or left out, with its reason."""
    rejects = tmp_path / "rejects.ndjson"
    done = replay(public_trips / "nyc_fhvhv", "--rejects", rejects)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2,000 rows read = 1,987 trips + 13 left out (price is negative: 13)" in done.stdout
    assert len(rejects.read_text().splitlines()) == 13
    assert "0 differences." in done.stdout


def test_files_as_tools_write_them(replay: Just, odd_files: Path) -> None:
    """Types, units and names of files change no number; NaN is no price, and the trip counts."""
    done = replay(odd_files)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1,400 rows read = 1,400 trips + 0 left out" in done.stdout
    numbers = done.stdout.replace("│", " ").split("\n")
    assert ["counted", "1,400"] in [line.split() for line in numbers]
    assert "trips without a price: 1" in done.stdout
    assert "0 differences." in done.stdout


def test_trips_of_a_format_without_a_price_and_a_distance(replay: Just, tmp_path: Path) -> None:
    """They count, nothing is made up, and every store agrees on that."""
    path = tmp_path / "bikes.csv"
    path.write_text(
        "ride_id,rideable_type,started_at,ended_at,start_lat,start_lng\n"
        "a,classic_bike,2021-02-12 16:14:56,2021-02-12 16:21:43,42.012701,-87.666058\n"
        "b,electric_bike,2021-02-12 16:15:56,2021-02-12 16:31:43,41.94,-87.64\n"
    )
    done = replay(path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "trips without a distance: 2; without a price: 2" in done.stdout
    assert "0 differences." in done.stdout


def test_a_format_without_durations_is_refused(replay: Just, tmp_path: Path) -> None:
    """By name, and nothing is made up."""
    path = tmp_path / "cars.csv"
    path.write_text("Dispatching_base_num,Pickup_date,locationID\nB00029,2015-07-01 00:02:00,237\n")
    done = replay(path)
    assert done.returncode != 0
    assert "recognised as nyc-fhv" in done.stderr
    assert "nothing was sent" in done.stderr


def test_paths_are_relative_to_the_callers_folder(replay: Just, tmp_path: Path) -> None:
    """Also paths with a blank."""
    folder = tmp_path / "my trips"
    folder.mkdir()
    pl.read_parquet(ROOT / "data" / "trips.parquet").head(200).write_parquet(
        folder / "few trips.parquet"
    )
    done = replay("few trips.parquet", "--out", "my results", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "my results" / "redis.totals.parquet").is_file()


def test_a_missing_file_is_refused(replay: Just, tmp_path: Path) -> None:
    """The message has its name, without a traceback."""
    done = replay(tmp_path / "nothing.parquet")
    assert done.returncode != 0
    assert "nothing.parquet" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
