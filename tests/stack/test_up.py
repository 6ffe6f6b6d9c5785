"""`just up` and `just down`, with fake components and external services."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.checkout import ROOT, clean_environ, module_environ
from tests.waiting import DEADLINE, until

HERE = Path(__file__).parent
STARTED = ["started topics", "started flow", "started api", "started producer"]
STOPPED = ["stopped producer", "stopped flow", "stopped api"]


class StateFolder:
    """A state folder, with the commands on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.events = folder.parent / "events"
        self.events.touch()
        self.running: list[subprocess.Popen[str]] = []

    def up(self, *flow_exit: str) -> subprocess.Popen[str]:
        """Run `just up` with fakes; see `fake_up` for `flow_exit`."""
        given = {
            "MOBILITY_KAFKA": "127.0.0.1:1",
            "MOBILITY_REDIS": "redis://127.0.0.1:1/0",
            "MOBILITY_POSTGRES": "postgresql://m:secret@127.0.0.1:1/m",
        }
        clean = clean_environ()
        path = {"PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}", "FAKE_EVENTS": str(self.events)}
        process = subprocess.Popen(
            [sys.executable, "-m", "fake_up", self.folder, *flow_exit],
            env={**clean, **given, **path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.running.append(process)
        return process

    def down(self) -> str:
        """Run `just down`; return its output."""
        return subprocess.check_output(
            [sys.executable, "-m", "stack.up", "down", "--folder", self.folder],
            # Without a PATH no Docker is found, whose containers must not be stopped by a test.
            env=module_environ({**os.environ, "PATH": ""}),
            text=True,
        )

    def read_events(self) -> list[str]:
        """Return the events so far."""
        return self.events.read_text().splitlines()

    def wait_for(self, *events: str) -> None:
        """Wait until exactly these events have happened."""
        until(self.read_events, f"the events {events}", lambda seen: seen == list(events))

    def kill(self, process: subprocess.Popen[str]) -> None:
        """Kill a `just up` with SIGKILL."""
        process.kill()
        process.communicate()


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateFolder]:
    """Return a state folder; all its processes are stopped in the end."""
    state = StateFolder(tmp_path / "state")
    yield state
    for process in state.running:
        if process.returncode is None:
            state.kill(process)
    if state.folder.exists():
        state.down()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_in_order(state: StateFolder, number: signal.Signals) -> None:
    """Ctrl-C or SIGTERM: producer, flow, API, exit code 0, and no record is left."""
    up = state.up()
    state.wait_for(*STARTED)
    up.send_signal(number)
    output, _ = up.communicate(timeout=DEADLINE)
    assert up.returncode == 0, output
    assert state.read_events() == [*STARTED, *STOPPED]
    assert list(state.folder.glob("*.pid")) == []
    assert "postgresql://m:***@" in output
    assert "secret" not in output


def test_if_a_component_ends_the_others_are_stopped(state: StateFolder) -> None:
    """The message says which one ended, how, and where its log is; others stop in order."""
    up = state.up("started producer", "7")
    output, _ = up.communicate(timeout=DEADLINE)
    assert up.returncode == 1
    assert "flow ended with exit code 7" in output
    assert "what went wrong" in output
    assert f"The whole log: {state.folder / 'flow.log'}" in output
    assert state.read_events()[-2:] == ["stopped producer", "stopped api"]
    assert list(state.folder.glob("*.pid")) == []


def test_a_second_up_reports_the_running_one(state: StateFolder) -> None:
    """It prints process and API, starts nothing, and does not affect the first one."""
    first = state.up()
    state.wait_for(*STARTED)
    second = state.up()
    output, _ = second.communicate(timeout=DEADLINE)
    assert second.returncode == 0
    assert f"running already, process {first.pid}, API at http://127.0.0.1:1" in output
    assert state.read_events() == STARTED
    assert first.poll() is None


def test_down_ends_a_running_up_in_order(state: StateFolder) -> None:
    """`just down` has the same effect as Ctrl-C."""
    up = state.up()
    state.wait_for(*STARTED)
    state.down()
    up.communicate(timeout=DEADLINE)
    assert up.returncode == 0
    assert state.read_events() == [*STARTED, *STOPPED]


def test_down_stops_the_components_of_a_killed_up(state: StateFolder) -> None:
    """After kill -9 the components still run; `just down` finds them by their records."""
    up = state.up()
    state.wait_for(*STARTED)
    state.kill(up)
    assert state.down() == "stopped: producer, flow, api\n"
    assert state.read_events() == [*STARTED, *STOPPED]
    assert state.down() == "stopped: nothing was running\n"


def test_up_after_a_killed_up_stops_its_components_first(state: StateFolder) -> None:
    """The lock of a killed process is free, and new components start after that."""
    up = state.up()
    state.wait_for(*STARTED)
    state.kill(up)
    again = state.up()
    state.wait_for(*STARTED, *STOPPED, *STARTED)
    again.terminate()
    output, _ = again.communicate(timeout=DEADLINE)
    assert "stopped components of an earlier run: producer, flow, api" in output


def test_down_does_not_signal_a_reused_process_id(state: StateFolder) -> None:
    """The process that has it now is not the recorded one."""
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    state.folder.mkdir()
    record = {"pid": bystander.pid, "started": "boot/1", "stop_signal": signal.SIGTERM}
    (state.folder / "flow.pid").write_text(json.dumps(record))
    assert state.down() == "stopped: nothing was running\n"
    assert bystander.poll() is None
    bystander.communicate()
    assert bystander.returncode != -signal.SIGTERM


def test_invalid_settings_exit_with_2(tmp_path: Path) -> None:
    """Every error at once, and nothing is started."""
    bad = {"MOBILITY_WINDOW": "0", "MOBILITY_NONSENSE": "1"}
    up = subprocess.run(
        [sys.executable, "-m", "stack.up", "native", "--folder", tmp_path / "state"],
        env=module_environ({**os.environ, **bad}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert up.returncode == 2
    assert "MOBILITY_WINDOW" in up.stderr
    assert "MOBILITY_NONSENSE: no such setting" in up.stderr
    assert list(tmp_path.iterdir()) == []
