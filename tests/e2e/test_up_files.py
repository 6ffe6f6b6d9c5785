"""`just up FILE`: files of trips in a workspace of their own, each trip counted once."""

import json
import os
import re
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stack.processes import find_process
from tests.e2e.conftest import ROOT, Just, own_environment
from tests.waiting import DEADLINE, until

pytestmark = pytest.mark.e2e

SAMPLE = ROOT / "data" / "trips.parquet"
COUNTED = re.compile(r"([\d,]+) of them counted")


class Workspace:
    """A workspace of a file, with the commands on it."""

    def __init__(self, tmp_path: Path) -> None:
        self.trips = tmp_path / "My trips.parquet"
        self.state = tmp_path / "state"
        self.folder = self.state / "workspaces" / "My-trips"
        self.logs = tmp_path / "logs"
        self.logs.mkdir()
        self.running: list[subprocess.Popen[bytes]] = []

    def up(self, *arguments: str | Path) -> Path:
        """Start `just up` in its own process group, as a terminal does; return its log."""
        log = self.logs / str(len(self.running))
        with log.open("wb") as output:
            self.running.append(
                subprocess.Popen(
                    self.command("up", *arguments),
                    env=own_environment(),
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )
        return log

    def command(self, recipe: str, *arguments: str | Path) -> list[str]:
        """Return a recipe's command on the state folder of the test."""
        justfile = str(ROOT / "justfile")
        return [
            "just",
            "--justfile",
            justfile,
            recipe,
            "--folder",
            str(self.state),
            *map(str, arguments),
        ]

    def stop(self) -> None:
        """Send Ctrl-C to the last one, and wait for its exit."""
        up = self.running[-1]
        if up.poll() is None:
            os.killpg(up.pid, signal.SIGINT)
        up.wait(DEADLINE)

    def kill(self) -> None:
        """Kill the last one and the producer with SIGKILL."""
        producer = find_process(self.folder, "producer")
        os.killpg(self.running[-1].pid, signal.SIGKILL)
        self.running[-1].wait(DEADLINE)
        assert producer is not None
        producer.kill()

    def position(self) -> int:
        """Return how many trips Kafka has confirmed, by the state file of the producer."""
        state = json.loads((self.folder / "producer.json").read_text())
        return int(state["position"]["row"])

    def log_bytes(self) -> int:
        """Return how many bytes of trips Kafka has written."""
        segments = self.folder.glob("kafka/trips_stream-*/*.log")
        return sum(segment.stat().st_size for segment in segments)


@pytest.fixture
def workspace(just: Just, tmp_path: Path) -> Iterator[Workspace]:
    """Return a workspace; all that it has started is stopped in the end."""
    del just
    workspace = Workspace(tmp_path)
    yield workspace
    for up in workspace.running:
        if up.poll() is None:
            os.killpg(up.pid, signal.SIGKILL)
            up.wait(DEADLINE)
    down = workspace.command("down", "--name", "My-trips")
    subprocess.run(down, env=own_environment(), check=False, capture_output=True)


def counted(log: Path, up: subprocess.Popen[bytes]) -> int:
    """Wait for the report; return how many trips are counted."""

    def report() -> re.Match[str] | None:
        text = log.read_text()
        assert up.poll() is None, text
        return COUNTED.search(text)

    found = until(report, "the report of the loading", seconds=3 * DEADLINE)
    assert found is not None
    return int(found[1].replace(",", ""))


def ask(log: Path, path: str) -> Any:  # noqa: ANN401 - any JSON
    """Return an answer of the API."""
    url = re.search(r"Open (http://[\d.:]+)", log.read_text())
    assert url is not None
    with urllib.request.urlopen(f"{url[1]}{path}", timeout=30) as reply:  # noqa: S310
        return json.load(reply)


def api_trips(log: Path) -> int:
    """Return how many trips the API has counted."""
    found = ask(log, "/summary/vehicle_type")
    assert found["complete"]
    return int(found["trip_count"])


def write_places(path: Path) -> int:
    """Write a table of places as spreadsheets do, and return how many there are."""
    places = pl.read_parquet(ROOT / "data" / "locations.parquet")
    degrees = [
        pl.col(name).cast(pl.String).str.replace(".", ",", literal=True) for name in ("lat", "lng")
    ]
    named = places.with_columns(degrees).rename(
        {"location_id": "LocationID", "lat": "Latitude", "lng": "Longitude"}
    )
    named.write_csv(path, separator=";", include_bom=True)
    return places.height


def test_files_are_counted_once_after_a_kill_while_they_are_loaded(workspace: Workspace) -> None:
    """Trips without ids, true dates, complete windows; started again, nothing is sent again."""
    amounts = ("start_time", "duration_min", "distance_km", "price", "vehicle_type")
    trips = pl.concat([pl.read_parquet(SAMPLE).select(*amounts, "start_location_id")] * 2)
    places = workspace.logs / "places.csv"
    cells = write_places(places)
    trips.write_parquet(workspace.trips)
    rows = trips.height
    workspace.up(workspace.trips, "--locations", places)
    until(workspace.log_bytes, "trips in the log", seconds=3 * DEADLINE)
    workspace.kill()
    assert workspace.position() < rows, "it was too late for a kill while loading"
    log = workspace.up("--name", "My-trips")
    assert counted(log, workspace.running[-1]) == api_trips(log) == rows
    text = log.read_text()
    assert "its loading goes on" in text
    assert "every window of the files is complete" in text
    again = subprocess.run(
        workspace.command("up", workspace.trips, "--locations", places),
        env=own_environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert again.returncode == 0, again.stderr
    assert "running already" in again.stdout
    workspace.stop()
    workspace.trips.rename(workspace.trips.with_name("moved.parquet"))
    places.unlink()
    log = workspace.up("--name", "My-trips")
    assert counted(log, workspace.running[-1]) == rows
    found = ask(log, f"/top/h3?limit={cells}")["items"]
    assert found
    assert all(re.fullmatch("89[0-9a-f]{13}", item["id"]) for item in found)
    assert "holds these files: nothing is sent again" in log.read_text()
    assert "starting" not in [line for line in log.read_text().splitlines() if "producer" in line]
    workspace.stop()


def test_files_that_are_no_trips_start_nothing(workspace: Workspace) -> None:
    """Exit code 2 with the message of the producer, and no folder."""
    workspace.trips.write_text("a,b\n1,2\n")
    found = subprocess.run(
        workspace.command("up", workspace.trips),
        cwd=workspace.logs,
        env=own_environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert found.returncode == 2
    assert "My trips.parquet" in found.stderr
    assert "--columns" in found.stderr
    assert not workspace.state.exists()
