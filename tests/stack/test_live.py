"""`just up` and `just down`, with fake components and services that are given."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.checkout import ROOT, module_environ

HERE = Path(__file__).parent
STARTED = ["started topics", "started flow", "started api", "started producer"]
STOPPED = ["stopped producer", "stopped flow", "stopped api"]


class Place:
    """A state folder, and the ways to run on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.events = folder.parent / "events"
        self.events.touch()
        self.running: list[subprocess.Popen[str]] = []

    def up(self, *death: str) -> subprocess.Popen[str]:
        """Run `just up` with fakes; see `fake_live` for `death`."""
        given = {
            "MOBILITY_KAFKA": "127.0.0.1:1",
            "MOBILITY_REDIS": "redis://127.0.0.1:1/0",
            "MOBILITY_POSTGRES": "postgresql://m:secret@127.0.0.1:1/m",
        }
        clean = {k: v for k, v in os.environ.items() if not k.startswith("MOBILITY_")}
        path = {"PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}", "FAKE_EVENTS": str(self.events)}
        process = subprocess.Popen(
            [sys.executable, "-m", "fake_live", self.folder, *death],
            env={**clean, **given, **path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.running.append(process)
        return process

    def down(self) -> str:
        """Run `just down`; return what it says."""
        return subprocess.check_output(
            [sys.executable, "-m", "stack.live", "down", "--folder", self.folder],
            # Without a PATH there is no Docker, whose containers are none of a test's business.
            env=module_environ({**os.environ, "PATH": ""}),
            text=True,
        )

    def said(self) -> list[str]:
        """Return the events so far."""
        return self.events.read_text().splitlines()

    def until(self, *events: str) -> None:
        """Wait until exactly these events have been."""
        deadline = time.monotonic() + 30
        while self.said() != list(events):
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.02)

    def kill(self, process: subprocess.Popen[str]) -> None:
        """Kill a `just up` as nothing can be prevented from."""
        process.kill()
        process.communicate()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Return a place of which nothing is left running."""
    place = Place(tmp_path / "state")
    yield place
    for process in place.running:
        if process.returncode is None:
            place.kill(process)
    if place.folder.exists():
        place.down()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_in_order(place: Place, number: signal.Signals) -> None:
    """Ctrl-C or SIGTERM: producer, flow, API, exit code 0, and nothing is left recorded."""
    up = place.up()
    place.until(*STARTED)
    up.send_signal(number)
    output, _ = up.communicate(timeout=30)
    assert up.returncode == 0, output
    assert place.said() == [*STARTED, *STOPPED]
    assert list(place.folder.glob("*.pid")) == []
    assert "postgresql://m:***@" in output
    assert "secret" not in output


def test_a_component_that_dies_takes_the_others_down(place: Place) -> None:
    """The message says which died, how, and where its log is; the others stop in order."""
    up = place.up("1", "7")
    output, _ = up.communicate(timeout=30)
    assert up.returncode == 1
    assert "flow ended with exit code 7" in output
    assert "what went wrong" in output
    assert f"The whole log: {place.folder / 'flow.log'}" in output
    assert place.said()[-2:] == ["stopped producer", "stopped api"]
    assert list(place.folder.glob("*.pid")) == []


def test_a_second_up_says_that_it_runs_and_where(place: Place) -> None:
    """It names process and API, starts nothing, and leaves the first alone."""
    first = place.up()
    place.until(*STARTED)
    second = place.up()
    output, _ = second.communicate(timeout=30)
    assert second.returncode == 0
    assert f"running already, process {first.pid}, API at http://127.0.0.1:1" in output
    assert place.said() == STARTED
    assert first.poll() is None


def test_down_ends_a_running_up_in_order(place: Place) -> None:
    """`just down` beside a live `just up` is its Ctrl-C."""
    up = place.up()
    place.until(*STARTED)
    place.down()
    up.communicate(timeout=30)
    assert up.returncode == 0
    assert place.said() == [*STARTED, *STOPPED]


def test_down_stops_what_a_killed_up_left(place: Place) -> None:
    """After kill -9 the components run on; `just down` finds them by their records."""
    up = place.up()
    place.until(*STARTED)
    place.kill(up)
    assert place.down() == "stopped: producer, flow, api\n"
    assert place.said() == [*STARTED, *STOPPED]
    assert place.down() == "stopped: nothing was running\n"


def test_up_after_a_killed_up_begins_with_what_is_left(place: Place) -> None:
    """The lock of a killed process is free; its components are stopped before new ones start."""
    up = place.up()
    place.until(*STARTED)
    place.kill(up)
    again = place.up()
    place.until(*STARTED, *STOPPED, *STARTED)
    again.terminate()
    output, _ = again.communicate(timeout=30)
    assert "stopped what an earlier run left: producer, flow, api" in output


def test_down_spares_whoever_has_the_process_id_now(place: Place) -> None:
    """A recorded id that was recycled is not signalled."""
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    place.folder.mkdir()
    record = {"pid": bystander.pid, "started": "boot/1", "stop_signal": signal.SIGTERM}
    (place.folder / "flow.pid").write_text(json.dumps(record))
    assert place.down() == "stopped: nothing was running\n"
    assert bystander.poll() is None
    bystander.communicate()
    assert bystander.returncode != -signal.SIGTERM


def test_settings_that_cannot_be_used_end_the_start(tmp_path: Path) -> None:
    """Every fault at once, exit code 2, nothing started."""
    bad = {"MOBILITY_WINDOW": "0", "MOBILITY_NONSENSE": "1"}
    up = subprocess.run(
        [sys.executable, "-m", "stack.live", "native", "--folder", tmp_path / "state"],
        env=module_environ({**os.environ, **bad}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert up.returncode == 2
    assert "MOBILITY_WINDOW" in up.stderr
    assert "MOBILITY_NONSENSE: no such setting" in up.stderr
    assert list(tmp_path.iterdir()) == []
