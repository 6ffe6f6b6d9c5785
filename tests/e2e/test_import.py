"""`just import FILE` beside a workspace: files in any order, doubled, overlapping, killed amid."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from audit.measures import measures_of_parts
from audit.oracle import aggregate_windows
from audit.stores import read_postgres_totals, read_postgres_windows, read_redis_totals
from audit.topics import read_windows
from audit.trips_file import read_own_trips
from imports.command import main
from mobility.measures import MEASURE_SCHEMA
from mobility.settings import Settings, read_settings
from stack.import_folder import ImportFolder, imports_folder
from stack.with_settings import running_settings
from stack.workspace import workspace_folder
from tests.e2e.conftest import ROOT, Just, own_environment
from tests.waiting import DEADLINE, until

pytestmark = pytest.mark.e2e

SAMPLE = ROOT / "data" / "trips.parquet"
WINDOW_KEY = ("entity", "id", "window_start")


class City:
    """A running workspace, and the days of its trips in files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.workspace = workspace_folder(self.state, "city")
        self.trips = four_days()

    @property
    def settings(self) -> Settings:
        """The settings of the running system."""
        return read_settings(running_settings(self.workspace))

    def file(self, name: str, first: int, last: int) -> Path:
        """Write the trips from noon of a day to noon of another one; return the file."""
        noon = pl.datetime(2025, 6, 2, 12, time_zone="UTC")
        begin, end = (noon + pl.duration(days=day) for day in (first, last))
        path = self.folder / f"{name}.parquet"
        held = self.trips.filter(pl.col("start_time").is_between(begin, end, closed="left"))
        held.sample(fraction=1.0, shuffle=True, seed=last).write_parquet(path)
        return path

    def command(self, recipe: str, *arguments: object) -> list[str]:
        """Return a recipe's command on the state folder of the test."""
        justfile = ("just", "--justfile", str(ROOT / "justfile"))
        return [*justfile, recipe, "--folder", str(self.state), *map(str, arguments)]

    def run(self, *files: Path) -> int:
        """Import files to the end; return the exit code."""
        return main(self.arguments(*files))

    def arguments(self, *files: Path) -> list[str]:
        """Return the arguments of an import."""
        return ["--folder", str(self.state), "--name", "city", *map(str, files)]

    def run_until(self, is_reached: Callable[[], object], *files: Path) -> int:
        """Import files, and kill the import with SIGKILL at a moment; return its exit code."""
        process = subprocess.Popen(
            [sys.executable, "-m", "imports", *self.arguments(*files)],
            cwd=ROOT,
            env=own_environment(),
            stderr=subprocess.DEVNULL,
        )
        until(lambda: is_reached() or process.poll() is not None, "the moment of the kill")
        process.kill()
        return process.wait(DEADLINE)


def four_days() -> pl.DataFrame:
    """Return trips of four days, from noon to noon, with ids that tell them apart."""
    hours = pl.col("start_time").dt.hour().is_between(6, 17)
    sample = pl.read_parquet(SAMPLE).filter(hours).gather_every(60)
    return pl.concat(
        sample.with_columns(
            (pl.col("trip_id") + f"-{day}").alias("trip_id"),
            pl.col("start_time", "end_time") + pl.duration(days=day),
        )
        for day in range(5)
    )


@pytest.fixture
def city(just: Just, tmp_path: Path) -> Iterator[City]:
    """Return a running workspace of the third day; it is stopped in the end."""
    del just
    city = City(tmp_path)
    log = tmp_path / "log"
    with log.open("wb") as output:
        up = subprocess.Popen(
            city.command("up", city.file("third", 2, 3), "--name", "city"),
            # An import waits for a snapshot of the flow.
            env=own_environment() | {"MOBILITY_SNAPSHOT_INTERVAL": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def is_loaded() -> bool:
        assert up.poll() is None, log.read_text()
        return "of them counted" in log.read_text()

    try:
        until(is_loaded, "the third day", seconds=3 * DEADLINE)
        yield city
    finally:
        os.killpg(up.pid, signal.SIGINT)
        up.wait(DEADLINE)
        down = city.command("down", "--name", "city")
        subprocess.run(down, env=own_environment(), check=False, capture_output=True)


def assert_all_at_once(city: City, file: Path) -> None:
    """Assert that topics and stores have what one batch computation over a file gives."""
    settings = city.settings
    starts = pl.col("start_time") // settings.window_ms * settings.window_ms
    trips = read_own_trips(file).with_columns(window_start=starts)
    windows = aggregate_windows(trips, settings)
    columns = [*WINDOW_KEY, *MEASURE_SCHEMA]
    expected = windows.select(columns).sort(WINDOW_KEY)
    for found in (read_windows(settings, lambda _: None), read_postgres_windows(settings)):
        filled = found.filter(pl.col("trip_count") > 0)
        assert_frame_equal(filled.select(columns).sort(WINDOW_KEY), expected)
    totals = windows.group_by("entity", "id").agg(measures_of_parts())
    key = ["entity", "id"]
    sums = totals.select(*key, *MEASURE_SCHEMA).sort(key)
    found = read_postgres_totals(settings).select(sums.columns).sort(key)
    assert_frame_equal(found, sums)
    until(
        lambda: read_redis_totals(settings).select(sums.columns).sort(key),
        "the totals in Redis",
        sums.equals,
    )


def numbers(report: str, pattern: str) -> list[int]:
    """Return the numbers in the line of a report that begins like a pattern, N for each."""
    found = re.search("^" + pattern.replace("N", r"([\d,]+)"), report, re.MULTILINE)
    assert found is not None, report
    return [int(each.replace(",", "")) for each in found.groups()]


def assert_adds_up(report: str) -> None:
    """Assert that rows are trips, and that these came in time or late, some of each."""
    read, trips, left_out = numbers(report, r"N rows read = N trips \+ N left out")
    sent, in_time, late = numbers(report, r"N trips = N in time \+ N late")
    assert (read, sent) == (trips + left_out, trips)
    assert trips == in_time + late
    assert min(in_time, late) > 0


def test_files_in_any_order_are_all_of_them_at_once(
    city: City, capsys: pytest.CaptureFixture[str]
) -> None:
    """The days before and after, overlapping and doubled; killed while sending and writing."""
    imports = imports_folder(city.state / "workspaces" / "city")
    second = city.file("second", 1, 3)  # with all of the third one
    backfills = city.workspace / "backfills"
    first = ImportFolder(imports / "0001")
    killed = city.run_until(first.state_file.exists, second)  # while it sends trips
    assert (killed, first.record.is_done) == (-signal.SIGKILL, False)
    city.run_until(lambda: list(backfills.glob("*/record.json")), second)  # while it writes windows
    assert city.run(second) == 0
    assert first.record.is_done
    capsys.readouterr()

    copy = city.folder / "copy.parquet"
    copy.write_bytes(second.read_bytes())
    assert city.run(city.file("fourth", 3, 4), copy, city.file("first", 0, 2)) == 0
    printed = capsys.readouterr()
    assert_adds_up(printed.out)
    assert f"in the log already, and not sent again: {copy}" in printed.err
    assert city.run(copy) == 0
    assert "nothing is sent: the log has all of these files" in capsys.readouterr().err
    assert_all_at_once(city, city.file("all", 0, 4))
