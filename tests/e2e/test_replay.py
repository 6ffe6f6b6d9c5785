"""Replays of files through the real system, with every number compared."""

from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.e2e.conftest import ROOT, Just

# In one worker: they share the results of the demo.
pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("replay")]

KM_PER_MILE = 1.609344
TABLES = ("drivers", "passengers", "locations")


def sample_options() -> list[str]:
    """Return the options that name the sample city's tables."""
    return [
        part for table in TABLES for part in (f"--{table}", str(ROOT / f"data/{table}.parquet"))
    ]


@pytest.fixture(scope="module")
def sample_results(just: Just, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that `just demo --out` wrote."""
    out = tmp_path_factory.mktemp("demo results")
    done = just("demo", "--out", out)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 differences." in done.stdout
    return out


@pytest.fixture(scope="module")
def yellow(public_trips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return New York's yellow taxi trips as trips: zones as locations, without drivers."""
    path = tmp_path_factory.mktemp("yellow") / "trips.parquet"
    pickup, dropoff = pl.col("tpep_pickup_datetime"), pl.col("tpep_dropoff_datetime")
    pl.read_parquet(public_trips / "nyc_yellow_2025" / "yellow_tripdata_sample.parquet").select(
        start_time=pickup,
        end_time=dropoff,
        start_location_id="PULocationID",
        end_location_id="DOLocationID",
        duration_min=(dropoff - pickup).dt.total_seconds() / 60,
        distance_km=pl.col("trip_distance") * KM_PER_MILE,
        price="total_amount",
    ).write_parquet(path)
    return path


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


def test_layout_changes_no_number(just: Just, sample_results: Path, tmp_path: Path) -> None:
    """Three processes over twelve partitions store the same totals as one over four."""
    layout = ["--partitions", "12", "--processes", "3"]
    done = just("demo", *layout, "--out", tmp_path / "other layout")
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("postgres.totals", "redis.totals", "api.totals", "kafka.windows"):
        keys = ["entity", "id", *(["window_start"] if name.endswith("windows") else [])]
        one, other = (
            pl.read_parquet(folder / f"{name}.parquet").sort(keys)
            for folder in (sample_results, tmp_path / "other layout")
        )
        assert_frame_equal(one, other)


@pytest.mark.parametrize("options", [[], ["--as-is", "--partitions", "3", "--processes", "2"]])
def test_real_taxi_trips(just: Just, yellow: Path, options: list[str]) -> None:
    """10,000 real trips in any order give the oracle's result, with late trips excluded."""
    done = just("replay", yellow, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 differences." in done.stdout


def test_paths_are_relative_to_the_callers_folder(just: Just, tmp_path: Path) -> None:
    """Also paths with a blank."""
    folder = tmp_path / "my trips"
    folder.mkdir()
    pl.read_parquet(ROOT / "data" / "trips.parquet").head(200).write_parquet(
        folder / "few trips.parquet"
    )
    done = just("replay", "few trips.parquet", "--out", "my results", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "my results" / "redis.totals.parquet").is_file()


def test_a_missing_file_is_refused(just: Just, tmp_path: Path) -> None:
    """The message has its name, without a traceback."""
    done = just("replay", tmp_path / "nothing.parquet")
    assert done.returncode != 0
    assert "nothing.parquet" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
