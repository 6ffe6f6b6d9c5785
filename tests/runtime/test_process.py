"""The start of a process of a flow, before anything is connected."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from queue import SimpleQueue

import pytest

from runtime import signals
from runtime.process import _option, process_number, start_process
from runtime.recovery import RecoveryInfo
from tests.waiting import DEADLINE

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "bytewax.run", "dataflows.main"],
        ["-m", "bytewax.run", "dataflows.serving"],
        ["-m", "dataflows", "-r", "never-made"],
    ],
)
def test_invalid_settings_end_the_start(command: list[str], tmp_path: Path) -> None:
    """Exit code 2, a line for each fault, no secret, and nothing is created."""
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "MOBILITY_WINDOW": "0",
        "MOBILITY_WINDOWS": "300",
        "MOBILITY_REDIS": "http://hub:s3cret@h",
    }
    run = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    for name in ("MOBILITY_WINDOW=0:", "MOBILITY_WINDOWS:", "MOBILITY_REDIS="):
        assert sum(line.startswith(name) for line in run.stderr.splitlines()) == 1
    assert "s3cret" not in run.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "environ", "number"),
    [
        ([], None, 0),
        (["-i", "2", "-a", "x"], None, 2),
        (["--process-id", "1"], None, 1),
        ([], "3", 3),
        (["-i"], None, 0),
    ],
)
def test_the_process_number_is_the_one_bytewax_was_told(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], environ: str | None, number: int
) -> None:
    """It is in the name of the status file."""
    monkeypatch.setattr(sys, "argv", ["run", *arguments])
    monkeypatch.delenv("BYTEWAX_PROCESS_ID", raising=False)
    if environ is not None:
        monkeypatch.setenv("BYTEWAX_PROCESS_ID", environ)
    assert process_number() == number


@pytest.mark.parametrize(
    ("arguments", "environ", "folder"),
    [
        (["-r", "a"], "b", "a"),
        (["-ra"], None, "a"),
        (["--recovery-directory", "a"], None, "a"),
        (["--recovery-directory=a"], None, "a"),
        ([], "b", "b"),
        (["flow", "-s", "1"], None, None),
    ],
)
def test_options_are_found_as_bytewax_finds_them(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], environ: str | None, folder: str | None
) -> None:
    """The folder that is locked must be the one that Bytewax uses."""
    monkeypatch.setattr(sys, "argv", ["run", *arguments])
    monkeypatch.delenv("BYTEWAX_RECOVERY_DIRECTORY", raising=False)
    if environ is not None:
        monkeypatch.setenv("BYTEWAX_RECOVERY_DIRECTORY", environ)
    assert _option("-r", "--recovery-directory", "BYTEWAX_RECOVERY_DIRECTORY") == folder


def test_the_end_of_the_launcher_requests_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard input ends with it; a process that does not stop then exits."""
    monkeypatch.setattr(signals, "_requested", threading.Event())
    monkeypatch.setattr(signals, "_GRACE_SECONDS", 0.0)
    alive, codes = iter([b"x", b"x"]), SimpleQueue[int]()
    signals.stop_with_launcher(lambda _fd, _size: next(alive, b""), codes.put)
    assert codes.get(timeout=DEADLINE) == 1
    assert signals.stop_requested()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_the_start_exits_without_output(
    number: signal.Signals,
) -> None:
    """Also where an exception would be discarded, as during the import of a native module."""
    script = f"""
import signal, sys
from runtime.signals import exit_on_signals
exit_on_signals()
try:
    signal.raise_signal({number:d})
finally:
    sys.exit(3)
"""
    run = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_a_reload_before_the_start_waits_for_the_launcher() -> None:
    """SIGHUP would kill a process that still imports modules or waits for the recovery folder."""
    script = """
import signal
from runtime.signals import exit_on_signals
exit_on_signals()
from runtime.launcher import Launcher
launcher = Launcher(lambda: None, check=lambda: print("reload"))
signal.raise_signal(signal.SIGHUP)
print("imported")
launcher.handle_signals()
"""
    run = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,  # without a terminal, as a service has none
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "imported\nreload\n", "")


def test_a_flow_that_is_imported_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests and tools import flows too: their signals and folders are left alone."""
    monkeypatch.setattr(sys, "argv", ["tool", "-r", "never-made"])
    context = start_process("main")
    assert context.settings.fence is None
    assert context.recovery == RecoveryInfo()
