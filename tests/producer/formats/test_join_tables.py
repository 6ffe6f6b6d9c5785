"""Tables that are joined to trips, in the files that people have."""

import gzip
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from producer.formats.errors import TripsFileError
from producer.formats.join_tables import (
    check_tables,
    is_prepared_as,
    prepare_tables,
    read_table,
)

PLACES = pl.DataFrame({"location_id": ["1", "02"], "lat": [40.5, -1.25], "lng": [-74.0, 36.5]})


@pytest.mark.parametrize(
    "text",
    [
        "LocationID,Zone,latitude,Longitude\n1,a,40.5,-74\n02,b,-1.25,36.5\n",
        "\ufefflocation id;lat;lon;Zone\r\n1;40,5;-74,0;a\r\n02;-1,25;36,5;b\r\n",
        "Zone\tzone_id\tLAT\tLONG\na\t1\t40.5\t-74.0\nb\t02\t-1.25\t36.5\n",
        'id,lat,lng,Zone\n1,"40.5",-74,a\n02,-1.25,36.5,b\n',
        (
            '{"id": "1", "Zone": "a", "lat": 40.5, "lng": -74}\n'
            '{"id": "02", "Zone": "b", "lat": -1.25, "lng": 36.5}\n'
        ),
    ],
    ids=["csv", "semicolons and commas", "tabs", "quoted", "ndjson"],
)
def test_a_table_is_read_whatever_its_columns_are_called(tmp_path: Path, text: str) -> None:
    """Case, blanks and signs of names do not matter; ids keep their zeros; further columns stay."""
    file = tmp_path / "places"
    file.write_bytes(text.encode())
    with_zone = PLACES.with_columns(Zone=pl.Series(["a", "b"]))
    assert_frame_equal(read_table("locations", file), with_zone)
    file.write_bytes(gzip.compress(text.encode()))
    assert_frame_equal(read_table("locations", file), with_zone)


def test_places_that_are_not_known_have_no_coordinates(tmp_path: Path) -> None:
    """As the zone Unknown of taxi trips: N/A, or nothing."""
    file = tmp_path / "places.csv"
    file.write_text("LocationID,lat,lon\n1.0,40.5,-74\n264,,\n265,N/A,N/A\n")
    table = read_table("locations", file)
    assert table["location_id"].to_list() == ["1", "264", "265"]
    assert table["lat"].to_list() == [40.5, None, None]


def test_drivers_and_passengers(tmp_path: Path) -> None:
    """Integers as text, as the ids of trips are compared."""
    drivers = tmp_path / "drivers.parquet"
    pl.DataFrame({"Driver ID": [7, 8], "Vehicle Type": ["car", None]}).write_parquet(drivers)
    assert_frame_equal(
        read_table("drivers", drivers),
        pl.DataFrame({"driver_id": ["7", "8"], "vehicle_type": ["car", None]}),
    )
    passengers = tmp_path / "passengers.csv"
    passengers.write_text("PassengerId,name\n007,x\n")
    assert read_table("passengers", passengers).rows() == [("007", "x")]


@pytest.mark.parametrize("name", ["places [1].parquet", "places.csv"])
def test_prepared_tables_outlast_their_files(tmp_path: Path, name: str) -> None:
    """The folder has them as the flow reads them; a file that has changed is written again."""
    file, folder = tmp_path / name, tmp_path / "new"

    def write(places: pl.DataFrame) -> None:
        if name.endswith("csv"):
            places.rename({"lng": "lon"}).write_csv(file)
        else:
            places.write_parquet(file)

    write(PLACES)
    prepared = prepare_tables({"locations": file}, folder)
    assert prepared == {"locations": folder / "locations.parquet"}
    assert_frame_equal(pl.read_parquet(prepared["locations"]), PLACES)
    assert is_prepared_as("locations", file, prepared["locations"])
    write(PLACES.head(1))
    assert not is_prepared_as("locations", file, prepared["locations"])
    prepare_tables({"locations": file}, folder)
    file.unlink()
    assert prepare_tables({"locations": file}, folder) == prepared
    assert_frame_equal(pl.read_parquet(prepared["locations"]), PLACES.head(1))
    with pytest.raises(TripsFileError, match="no such file"):
        prepare_tables({"locations": file}, tmp_path / "other")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("LocationID,lat,Zone\n1,2,a\n", "has no lng .*lng, lon, long, longitude.*LocationID, lat"),
        ("LocationID,lat,lon\n1,2,3\n2,north,3\n", "row 2: lat is 'north', expected degrees"),
        ("LocationID,lat,lon\n", "the file has no rows"),
        ("", "the file is empty"),
        ("LocationID,lat,lon\n1,2,3,4,5\n", "row 1: "),
    ],
)
def test_a_table_that_can_not_be_joined_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """With its file, and what is wrong."""
    file = tmp_path / "places.csv"
    file.write_text(text)
    with pytest.raises(TripsFileError, match=f"places.csv: .*{message}"):
        check_tables({"locations": file})
