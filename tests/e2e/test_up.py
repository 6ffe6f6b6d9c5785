"""`just up`: the system starts, answers, stops without loss and continues."""

import json
import os
import re
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, Just, own_environment
from tests.waiting import DEADLINE, until

pytestmark = pytest.mark.e2e

ROOMS = (
    *("mobility", "broker", "postgres", "redis_cluster", "data", "producer", "runtime"),
    *("dataflows", "sinks", "api", "audit", "stack"),
)
PARTS = ("justfile", *ROOMS)


@pytest.fixture
def checkout(just: Just, tmp_path: Path) -> Path:
    """Return a copy of the project in a folder with a blank in its name."""
    del just
    copy = tmp_path / "the project"
    copy.mkdir()
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, copy / part)
    return copy


def started(checkout: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start `just up` in its own process group, as a terminal does."""
    with log.open("wb") as output:
        return subprocess.Popen(
            ["just", "up", "native"],
            cwd=checkout,
            env=own_environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def scooter_trips(log: Path) -> int:
    """Return the API's count of scooter trips, 0 if there are none yet."""
    url = re.search(r"http://127\.0\.0\.1:\d+", log.read_text())
    if url is None:
        return 0
    try:
        with urllib.request.urlopen(  # noqa: S310 - our own server
            f"{url[0]}/metrics/vehicle_type/scooter", timeout=5
        ) as reply:
            return int(json.load(reply)["trip_count"])
    except (urllib.error.URLError, OSError):
        return 0


def interrupted(up: subprocess.Popen[bytes]) -> None:
    """Send Ctrl-C to the whole process group, and wait for the exit."""
    if up.poll() is None:
        os.killpg(up.pid, signal.SIGINT)
    up.wait(DEADLINE)


def processes_of(checkout: Path) -> str:
    """Return the processes with the folder in their command line."""
    found = subprocess.run(
        ["pgrep", "-fa", str(checkout)], capture_output=True, text=True, check=False
    )
    return found.stdout


def test_up_continues_where_it_stopped(checkout: Path, tmp_path: Path) -> None:
    """A second start serves at least the first one's numbers, and a stop leaves no process."""
    log, second_log = tmp_path / "first.log", tmp_path / "second.log"
    up = started(checkout, log)
    try:
        # Over a fifth of the sample's 120,000 trips are by scooter.
        first = until(lambda: max(0, scooter_trips(log) - 20_000), "over 20,000 trips by scooter")
        again = subprocess.run(
            ["just", "up", "native"],
            cwd=checkout,
            env=own_environment(),
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        assert "running already" in again.stdout + again.stderr
    finally:
        interrupted(up)
    assert processes_of(checkout) == "", log.read_text()
    up = started(checkout, second_log)
    try:
        second = until(
            lambda: max(0, scooter_trips(second_log) - 20_000), "over 20,000 trips by scooter"
        )
        assert second >= first
    finally:
        interrupted(up)
    assert processes_of(checkout) == "", second_log.read_text()
