"""The trips of the workload."""

import polars as pl
from polars.testing import assert_frame_equal

from benchmarks.workload import DRIVERS, LOCATIONS, Workload, make_trips
from mobility.times import iso_text


def test_messages_have_232_bytes() -> None:
    """On average, to the byte."""
    frame = make_trips(Workload(20_000)).with_columns(iso_text(pl.col("start_time").dt.epoch("ms")))
    length = frame.select(pl.struct(pl.all()).struct.json_encode().str.len_bytes().mean()).item()
    assert abs(length - 232) < 1


def test_fewer_trips_are_the_first_of_more() -> None:
    """So that logs of different lengths can be compared."""
    assert_frame_equal(make_trips(Workload(1_000)), make_trips(Workload(5_000)).head(1_000))


def test_a_hundred_trips_start_each_second_of_event_time() -> None:
    """In order, and as many as the workload says."""
    for per_second in (100, 4_000):
        starts = make_trips(Workload(3 * per_second, per_second=per_second))["start_time"]
        assert starts.is_sorted()
        assert set(starts.dt.truncate("1s").value_counts()["count"]) == {per_second}


def test_ids_are_as_many_as_described() -> None:
    """Nearly all drivers and all locations appear, and a driver keeps to a vehicle type."""
    frame = make_trips(Workload(100_000))
    assert DRIVERS * 0.99 < frame["driver_id"].n_unique() <= DRIVERS
    assert frame["start_location_id"].n_unique() == LOCATIONS
    assert frame["trip_id"].n_unique() == frame.height
    assert (
        frame.group_by("driver_id").agg(pl.col("vehicle_type").n_unique())["vehicle_type"].max()
        == 1
    )
