"""The command line of a replay, and the environment of its commands."""

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from audit import replay
from audit.replay_options import ReplayOptions, command_environ, parse_options
from mobility.settings import read_settings
from producer.formats.errors import TripsFileError
from producer.formats.join_tables import check_tables
from producer.formats.options import ReadingOptions


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths are relative to the caller's folder; tables that are not given have no default."""
    monkeypatch.chdir(tmp_path)
    words = ["my trips.parquet", "--out", "o", "--as-is", "--partitions", "12", "--drivers", "d"]
    assert parse_options(words) == ReplayOptions(
        files=(tmp_path / "my trips.parquet",),
        reading=ReadingOptions(),
        rejects=None,
        out=tmp_path / "o",
        as_is=True,
        partitions=12,
        processes=1,
        tables={"drivers": tmp_path / "d"},
    )
    assert parse_options(["x"]).tables == {}


@pytest.mark.parametrize("words", [[], ["x", "--processes", "0"], ["x", "--partitions", "four"]])
def test_a_wrong_command_line_exits_with_2(words: list[str]) -> None:
    """An invalid command line starts nothing."""
    with pytest.raises(SystemExit) as ended:
        parse_options(words)
    assert ended.value.code == 2


def test_the_environment_of_the_commands() -> None:
    """Settings that change results are passed on; tables come from the options only."""
    base = {
        "PATH": "/bin",
        "MOBILITY_WINDOW": "60",
        "MOBILITY_KAFKA": "127.0.0.1:1",
        "MOBILITY_DRIVERS": "/sample/drivers.parquet",
        "MOBILITY_READ": "forever",
        "MOBILITY_STORES": "",
    }
    options = parse_options(["x", "--locations", "/l.parquet", "--partitions", "3"])
    settings = read_settings(command_environ(base, options, Path("/scratch"), 5_000))
    assert (settings.window, settings.kafka, settings.partitions) == (60, "127.0.0.1:1", 3)
    assert (settings.drivers, settings.locations) == (None, "/l.parquet")
    assert (settings.read, settings.stores) == ("once", ("redis", "postgres"))
    assert (settings.status_dir, settings.api_port) == ("/scratch", 5_000)
    without = read_settings(command_environ({}, parse_options(["x"]), Path("/scratch"), 1))
    assert without.partitions == 4


def test_a_module_in_the_callers_folder_is_not_imported(tmp_path: Path) -> None:
    """In any folder a replay runs the project's own modules."""
    (tmp_path / "api.py").write_text("raise SystemExit('not me')")
    environ = command_environ(os.environ, parse_options(["x"]), tmp_path, 0)
    command = [sys.executable, "-c", "import api; print(api.__file__)"]
    found = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, check=True)
    assert Path(found.stdout.decode().strip()).parent.parent == Path(replay.__file__).parents[1]


def test_unreadable_tables_are_named(tmp_path: Path) -> None:
    """Each table is checked before anything starts."""
    good, bad = tmp_path / "good.parquet", tmp_path / "bad.parquet"
    pl.DataFrame({"driver_id": ["d"], "vehicle_type": ["car"]}).write_parquet(good)
    bad.write_text("no")
    check_tables(parse_options(["x", "--drivers", str(good)]).tables)
    for path in (bad, tmp_path / "none.parquet"):
        tables = parse_options(["x", "--drivers", str(good), "--locations", str(path)]).tables
        with pytest.raises(TripsFileError, match=rf"{path.name}: "):
            check_tables(tables)
