"""What files are, before anything is started."""

import hashlib
from pathlib import Path

import msgspec
import polars as pl
import pytest

from mobility.trip_files import TripFileSet
from producer.identify import main
from tests.producer.formats.reading import write_csv
from tests.producer.formats.test_known_formats import CASES

TRIP = {"start_time": ["2025-06-02"], "duration_min": [1.0], "distance_km": [1.0], "price": [2.0]}


@pytest.fixture
def trips(tmp_path: Path) -> Path:
    """Return a file with one trip."""
    path = tmp_path / "trips.parquet"
    pl.DataFrame(TRIP).write_parquet(path)
    return path


def identified(capsys: pytest.CaptureFixture[str], *arguments: object) -> TripFileSet:
    """Return what is printed."""
    assert main([*map(str, arguments)]) == 0
    return msgspec.json.decode(capsys.readouterr().out, type=TripFileSet)


def test_files_options_and_tables(
    trips: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths are absolute, and what changes the trips is said apart from where rejects go."""
    folder = trips.parent
    monkeypatch.chdir(folder)
    (folder / "drivers.csv").write_text("driver_id,vehicle_type\nd,car\n")
    arguments = ("trips.parquet", "--as-is", "--rejects", "out", "--drivers", "drivers.csv")
    assert identified(capsys, *arguments) == TripFileSet(
        given=(str(trips),),
        files=identified(capsys, trips).files,
        options=("--as-is",),
        tables={"drivers": str(folder / "drivers.csv")},
        rejects=str(folder / "out"),
        timezones=("UTC",),
    )


def test_a_folder_stands_for_its_files(trips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its size and its content."""
    found = identified(capsys, trips.parent)
    content = trips.read_bytes()
    assert found.given == (str(trips.parent),)
    (file,) = found.files
    assert (file.path, file.size) == (str(trips), len(content))
    assert file.sha256 == hashlib.sha256(content).hexdigest()


def test_time_zones_are_those_of_the_formats(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each once, unless an option names one for all; several are none for all together."""
    for city in ("nyc-yellow", "nyc-green", "chicago-taxi"):
        write_csv(tmp_path / f"{city}.csv", *CASES[city][:2])
    new_york = identified(capsys, tmp_path / "nyc-yellow.csv", tmp_path / "nyc-green.csv")
    assert (new_york.timezones, new_york.timezone) == (("America/New_York",), "America/New_York")
    both = identified(capsys, tmp_path)
    assert (both.timezones, both.timezone) == (("America/Chicago", "America/New_York"), "UTC")
    named = identified(capsys, tmp_path, "--timezone", "Europe/Berlin")
    assert named.timezone == "Europe/Berlin"


def test_trips_without_price_and_distance_are_trips(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever a format lacks of them."""
    for name in ("nyc-fhv", "bikeshare", "divvy", "austin-dockless", "porto-taxi"):
        write_csv(tmp_path / f"{name}.csv", *CASES[name][:2])
    assert len(identified(capsys, tmp_path).files) == 5


def test_a_mapping_that_is_edited_is_another_way_to_read(
    trips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The files are the same, and become other trips."""
    mapping = tmp_path / "mapping.toml"
    columns = "".join(f'{name} = "{name}"\n' for name in TRIP)
    mapping.write_text(f"[columns]\n{columns}")
    before = identified(capsys, trips, "--columns", mapping)
    mapping.write_text(f'distance_unit = "mi"\n[columns]\n{columns}')
    after = identified(capsys, trips, "--columns", mapping)
    assert before.has_files_of(after)
    assert not before.is_read_as(after)


def test_what_is_no_file_of_trips_exits_with_2(
    tmp_path: Path, trips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the message of the reader, and nothing on stdout."""
    table = tmp_path / "table.txt"
    table.write_text("no table")
    starts = write_csv(tmp_path / "starts.csv", *CASES["nyc-fhv of 2015"][:2])
    for arguments, message in (
        ([tmp_path / "none.csv"], "none.csv: no such file"),
        ([starts], "nyc-fhv (NYC TLC for-hire vehicle trip records), which has neither durations"),
        ([trips, "--locations", table], "table.txt: the file has no rows"),
    ):
        assert main([*map(str, arguments)]) == 2
        found = capsys.readouterr()
        assert found.out == ""
        assert message in found.err


def test_options_that_would_send_trips_otherwise_are_refused(
    trips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A workspace has each trip once, at its own time."""
    with pytest.raises(SystemExit) as stopped:
        main([str(trips), "--loop"])
    assert stopped.value.code == 2
    assert "just up: error: unrecognized arguments: --loop" in capsys.readouterr().err
