"""Processes: known by id and start, never mistaken for another."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from stack.checkout import module_environ
from stack.processes import (
    Process,
    find,
    finish,
    forget,
    identify,
    recorded,
    rotate,
    spawn,
    tail,
    with_log,
    write_down,
)

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True)"
)


def python(script: str, log: Path) -> Process:
    """Run a script apart."""
    return spawn([sys.executable, "-c", script], log)


def sleeper(log: Path) -> Process:
    """Run what does nothing for a minute."""
    return python("import time; time.sleep(60)", log)


def stop(process: Process, grace: float = 5) -> bool:
    """Stop a process; tell whether it was in order."""
    return asyncio.run(process.stop(grace))


def test_a_recycled_id_is_another_process(tmp_path: Path) -> None:
    """A record whose start differs names nobody: it is not alive, and a signal goes nowhere."""
    process = sleeper(tmp_path / "log")
    write_down(tmp_path, "sleeper", replace(process, started="an earlier boot/1"))
    # As a stranger would see it: the children table knows no better than the record.
    finder = (
        "import json, sys; from pathlib import Path; from stack.processes import Process, find;"
        "folder = Path(sys.argv[1]); assert find(folder, 'sleeper') is None;"
        "stale = Process(**json.loads((folder / 'sleeper.pid').read_text()));"
        "stale.send(9); stale.kill()"
    )
    subprocess.run([sys.executable, "-c", finder, tmp_path], env=module_environ(), check=True)
    assert process.alive
    assert stop(process)


def test_a_record_finds_the_process_again(tmp_path: Path) -> None:
    """What was written down is found while it runs, and not afterwards."""
    process = sleeper(tmp_path / "log")
    write_down(tmp_path, "sleeper", process)
    assert find(tmp_path, "sleeper") == process
    assert recorded(tmp_path) == ["sleeper"]
    assert stop(process)
    assert find(tmp_path, "sleeper") is None
    forget(tmp_path, "sleeper")
    assert recorded(tmp_path) == []
    assert find(tmp_path, "never") is None


def test_a_process_knows_itself() -> None:
    """The process that asks is alive under its own record."""
    assert identify(os.getpid()).pid == os.getpid()
    assert identify(os.getpid()).alive


def test_a_zombie_is_not_alive() -> None:
    """A process that ended counts as ended although nobody has reaped it."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    script = f"from stack.processes import _start_of; print(_start_of({child.pid}))"

    def seen() -> str:
        return subprocess.check_output(
            [sys.executable, "-c", script], env=module_environ(), text=True
        ).strip()

    assert seen() != "None"
    assert child.stdin is not None
    child.stdin.close()
    deadline = time.monotonic() + 10
    while seen() != "None":
        assert time.monotonic() < deadline
    child.wait()


def test_a_process_that_ignores_its_stop_signal_is_killed(tmp_path: Path) -> None:
    """After the grace period the process is killed, and the caller is told."""
    log = tmp_path / "log"
    process = python(f"{STUBBORN}; time.sleep(60)", log)
    while not tail(log):
        time.sleep(0.01)
    assert not stop(process, grace=0.2)
    assert process.exit_code == -signal.SIGKILL


def test_a_process_has_a_session_of_its_own(tmp_path: Path) -> None:
    """A Ctrl-C at our terminal does not reach it."""
    process = sleeper(tmp_path / "log")
    assert os.getsid(process.pid) == process.pid != os.getsid(0)
    assert stop(process)


def test_output_and_exit_code_are_kept(tmp_path: Path) -> None:
    """What a process says is in its private log; its exit code is known to its parent."""
    log = tmp_path / "log"
    code = asyncio.run(
        finish([sys.executable, "-c", "print('said'); import sys; sys.exit('why')"], log, 10)
    )
    assert code == 1
    assert tail(log).split() == ["said", "why"]
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_a_command_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    """A bounded command returns no exit code when its time is over, and does not go on."""
    script = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    log = tmp_path / "log"
    assert asyncio.run(finish([sys.executable, "-c", script], log, 1.5)) is None
    pid = int(tail(log))
    os.waitpid(pid, 0)


def test_the_log_of_the_last_run_stays(tmp_path: Path) -> None:
    """A new run begins a new log beside the last one."""
    log = tmp_path / "flow.log"
    rotate(log)
    log.write_text("first")
    rotate(log)
    assert not log.exists()
    assert (tmp_path / "flow.log.1").read_text() == "first"


def test_a_message_ends_with_where_the_log_is(tmp_path: Path) -> None:
    """An error shows the last lines of the log, not the first, and its place."""
    log = tmp_path / "flow.log"
    assert with_log("flow ended", log) == f"flow ended.\nThe whole log: {log}"
    log.write_text("".join(f"line {n}\n" for n in range(100_000)))
    message = with_log("flow ended", log)
    assert "line 99999\n" in message
    assert "line 99000\n" not in message
    assert message.endswith(f"The whole log: {log}")
