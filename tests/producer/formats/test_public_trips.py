"""Real files of public data (`--public-trips`): each is recognised, and its report adds up."""

from pathlib import Path

import pytest

from producer.formats.options import ReadingOptions
from producer.formats.trip_reader import open_trip_files
from tests.producer.formats.reading import read

FILES = {
    "nyc_yellow_2025/yellow_tripdata_sample.parquet": ("nyc-yellow", 10_000, 0),
    "nyc_fhvhv/yellowtripdata.csv": ("nyc-yellow", 1_000, 13),
    "nyc_fhvhv/fhvhv_tripdata.csv": ("nyc-hvfhv", 1_000, 0),
    "divvy/202102-divvy-tripdata.csv.gz": ("bikeshare", 49_622, 0),
    "austin_dockless/1000_trips.csv": ("austin-dockless", 999, 1),
    "louisville_scooters/Louisville-Dockless-Trips.csv": ("louisville-dockless", 32_962, 0),
    "louisville_scooters/DocklessOpenData-Sample-Aug2019-Louisville.csv": (
        "louisville-dockless",
        1_000,
        0,
    ),
    "porto_taxi/test.csv": ("porto-taxi", 320, 0),
    "mds_examples/spuun_trips.ndjson": ("mds-1", 5, 0),
}


@pytest.mark.parametrize("name", FILES)
def test_a_real_file(public_trips: Path, name: str) -> None:
    """Rows read are trips and what is left out; their number is that of the file."""
    name_of_format, rows, left_out = FILES[name]
    with open_trip_files([public_trips / name], ReadingOptions()) as reader:
        reader.check_amounts()
    found = read(public_trips / name)
    assert f": {name_of_format} (" in found.lines[0]
    assert (found.report.read, found.report.left_out.total()) == (rows, left_out)
    assert found.trips.height == rows - left_out
    assert found.trips["start_time"].null_count() == 0
