"""Processes, identified by id and start time."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stack.checkout import module_environ
from stack.processes import (
    RecordedProcess,
    delete_record,
    find_process,
    identify,
    read_log_tail,
    recorded_names,
    rotate,
    run_to_end,
    save_record,
    spawn,
    with_log_tail,
)
from tests.waiting import DEADLINE, until

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True)"
)


def python(script: str, log: Path) -> RecordedProcess:
    """Start a script."""
    return spawn([sys.executable, "-c", script], log)


def sleeper(log: Path) -> RecordedProcess:
    """Start a process that sleeps for a minute."""
    return python("import time; time.sleep(60)", log)


def stop(process: RecordedProcess, grace: float = DEADLINE) -> bool:
    """Stop a process; return whether it ended without being killed."""
    return asyncio.run(process.stop(grace))


def test_a_reused_id_is_another_process(tmp_path: Path) -> None:
    """A record with another start time is not alive, and no signal is sent."""
    process = sleeper(tmp_path / "log")
    save_record(tmp_path, "sleeper", replace(process, started="an earlier boot/1"))
    # In another process, which does not have it as a child and knows only the record.
    finder = (
        "import json, sys; from pathlib import Path;"
        "from stack.processes import RecordedProcess, find_process;"
        "folder = Path(sys.argv[1]); assert find_process(folder, 'sleeper') is None;"
        "stale = RecordedProcess(**json.loads((folder / 'sleeper.pid').read_text()));"
        "stale.send(9); stale.kill()"
    )
    subprocess.run([sys.executable, "-c", finder, tmp_path], env=module_environ(), check=True)
    assert process.is_alive
    assert stop(process)


def test_a_record_finds_the_process_again(tmp_path: Path) -> None:
    """A recorded process is found while it runs, and not afterwards."""
    process = sleeper(tmp_path / "log")
    save_record(tmp_path, "sleeper", process)
    assert find_process(tmp_path, "sleeper") == process
    assert recorded_names(tmp_path) == ["sleeper"]
    assert stop(process)
    assert find_process(tmp_path, "sleeper") is None
    delete_record(tmp_path, "sleeper")
    assert recorded_names(tmp_path) == []
    assert find_process(tmp_path, "never") is None


def test_a_process_can_identify_itself() -> None:
    """It is alive."""
    assert identify(os.getpid()).pid == os.getpid()
    assert identify(os.getpid()).is_alive


def test_a_zombie_is_not_alive() -> None:
    """A process that has ended is not alive, also if its parent has not reaped it."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    script = f"from stack.processes import _start_of; print(_start_of({child.pid}))"

    def seen() -> str:
        return subprocess.check_output(
            [sys.executable, "-c", script], env=module_environ(), text=True
        ).strip()

    assert seen() != "None"
    assert child.stdin is not None
    child.stdin.close()
    until(seen, "the end of the process", lambda start: start == "None")
    child.wait()


def test_a_process_that_ignores_its_stop_signal_is_killed(tmp_path: Path) -> None:
    """After the grace period it is killed, and the result says so."""
    log = tmp_path / "log"
    process = python(f"{STUBBORN}; time.sleep(60)", log)
    until(lambda: read_log_tail(log), "the start of the process")
    assert not stop(process, grace=0.2)
    assert process.exit_code == -signal.SIGKILL


def test_a_process_has_its_own_session(tmp_path: Path) -> None:
    """It does not get the Ctrl-C of the terminal."""
    process = sleeper(tmp_path / "log")
    assert os.getsid(process.pid) == process.pid != os.getsid(0)
    assert stop(process)


def test_output_and_exit_code_are_kept(tmp_path: Path) -> None:
    """Output is in a private log, and the parent knows the exit code."""
    log = tmp_path / "log"
    code = asyncio.run(
        run_to_end(
            [sys.executable, "-c", "print('said'); import sys; sys.exit('why')"], log, DEADLINE
        )
    )
    assert code == 1
    assert read_log_tail(log).split() == ["said", "why"]
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_a_command_that_takes_too_long_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no exit code, and does not run any more."""
    started: list[RecordedProcess] = []

    def spawn_and_keep(*arguments: Any, **options: Any) -> RecordedProcess:  # noqa: ANN401
        started.append(spawn(*arguments, **options))
        return started[-1]

    monkeypatch.setattr("stack.processes.spawn", spawn_and_keep)
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    assert asyncio.run(run_to_end(command, tmp_path / "log", 0.2)) is None
    (process,) = started
    assert until(lambda: process.exit_code, "the end of the command") == -signal.SIGKILL


def test_the_log_of_the_last_run_stays(tmp_path: Path) -> None:
    """A new run starts a new log and keeps the last one."""
    log = tmp_path / "flow.log"
    rotate(log)
    log.write_text("first")
    rotate(log)
    assert not log.exists()
    assert (tmp_path / "flow.log.1").read_text() == "first"


def test_a_message_ends_with_the_path_of_the_log(tmp_path: Path) -> None:
    """It has the last lines of the log, not the first."""
    log = tmp_path / "flow.log"
    assert with_log_tail("flow ended", log) == f"flow ended.\nThe whole log: {log}"
    log.write_text("".join(f"line {n}\n" for n in range(100_000)))
    message = with_log_tail("flow ended", log)
    assert "line 99999\n" in message
    assert "line 99000\n" not in message
    assert message.endswith(f"The whole log: {log}")
