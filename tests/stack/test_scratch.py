"""`python -m stack run`: one command with external services, of which nothing is left."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stack.checkout import clean_environ, module_environ
from stack.processes import identify
from tests.waiting import DEADLINE, until

EXTERNAL = {
    "MOBILITY_KAFKA": "127.0.0.1:1",
    "MOBILITY_REDIS": "redis://127.0.0.1:1/0",
    "MOBILITY_POSTGRES": "postgresql://m:secret@127.0.0.1:1/m",
}


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def stack_run(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts `stack run` with its temporary folder in `tmp_path`."""
    started: list[subprocess.Popen[str]] = []

    def start(*command: str, **variables: str) -> subprocess.Popen[str]:
        started.append(launch(tmp_path, *command, **variables))
        return started[-1]

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
            process.communicate()


def launch(tmp_path: Path, *command: str, **variables: str) -> subprocess.Popen[str]:
    """Start `stack run` with external services."""
    clean = clean_environ()
    return subprocess.Popen(
        [sys.executable, "-m", "stack", "run", "--", *command],
        env=module_environ({**clean, **EXTERNAL, "TMPDIR": str(tmp_path), **variables}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )


def result(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for the exit; return exit code, output and errors."""
    output, errors = process.communicate(timeout=DEADLINE)
    return process.returncode, output, errors


def python(script: str) -> tuple[str, ...]:
    """Return the command that runs a script."""
    return (sys.executable, "-u", "-c", script)


def test_the_command_has_the_external_services(tmp_path: Path, stack_run: Start) -> None:
    """Services with a URL in the environment are not started, and the command gets the URL."""
    script = "import os; print(*(os.environ[f'MOBILITY_{n}'] for n in ('KAFKA', 'REDIS')))"
    code, output, _ = result(stack_run(*python(script)))
    assert (code, output) == (0, "127.0.0.1:1 redis://127.0.0.1:1/0\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("script", "code"),
    [("import sys; sys.exit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 128 + 9)],
)
def test_the_exit_code_is_that_of_the_command(stack_run: Start, script: str, code: int) -> None:
    """As in a shell: 128 plus the signal that ended the command."""
    assert result(stack_run(*python(script)))[0] == code


def test_a_command_that_does_not_exist(tmp_path: Path, stack_run: Start) -> None:
    """Exit code 127 and its name, and no folder is left."""
    code, _, errors = result(stack_run("no-such-command"))
    assert code == 127
    assert "no-such-command can't be run" in errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_are_forwarded_to_the_command(
    tmp_path: Path, stack_run: Start, number: signal.Signals
) -> None:
    """The command gets the signal exactly once, and decides when and how it exits."""
    script = f"""
import signal, sys, time
received = []
signal.signal({number:d}, lambda *_: received.append(1))
print("ready")
while not received: time.sleep(0.01)
time.sleep(0.5)
sys.exit(10 + len(received))
"""
    process = stack_run(*python(script))
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert result(process)[0] == 11
    assert list(tmp_path.iterdir()) == []


DAEMON = """
import subprocess, sys, time
script = "import time; time.sleep(600)"
daemon = [sys.executable, "-c", script]
outputs = {name: subprocess.DEVNULL for name in ("stdout", "stderr")}
print(subprocess.Popen(daemon, start_new_session=True, **outputs).pid)
time.sleep(WAIT)
"""


@pytest.mark.parametrize("end", ["by itself", signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_processes_that_the_command_leaves_are_stopped(
    tmp_path: Path, stack_run: Start, end: str | signal.Signals
) -> None:
    """As the flow of a test that is interrupted; also those in sessions of their own."""
    process = stack_run(*python(DAEMON.replace("WAIT", "0.5" if end == "by itself" else "60")))
    assert process.stdout is not None
    daemon = identify(int(process.stdout.readline()))
    assert daemon.is_alive
    if isinstance(end, signal.Signals):
        process.send_signal(end)
    process.communicate(timeout=DEADLINE)
    if end == signal.SIGKILL:  # the cleanup process stops it
        until(lambda: [*tmp_path.iterdir()], "no folder", lambda left: not left)
    assert not daemon.is_alive


AT_TERMINAL = """
import os, sys
os.open(os.ttyname(0), os.O_RDWR)  # it becomes the terminal of this session
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_a_ctrl_c_at_a_terminal_leaves_no_process(tmp_path: Path) -> None:
    """The command gets it once, from the terminal; what it has left is stopped."""
    ours, theirs = pty.openpty()
    run = [sys.executable, "-m", "stack", "run", "--", *python(DAEMON.replace("WAIT", "60"))]
    with (
        os.fdopen(ours, "wb") as keyboard,
        subprocess.Popen(
            [sys.executable, "-c", AT_TERMINAL, *run],
            env=module_environ({**clean_environ(), **EXTERNAL, "TMPDIR": str(tmp_path)}),
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        os.close(theirs)
        assert process.stdout is not None
        daemon = identify(int(process.stdout.readline()))
        assert daemon.is_alive
        keyboard.write(b"\x03")
        keyboard.flush()
        _, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == 128 + signal.SIGINT
    assert errors.count("KeyboardInterrupt") == 1
    assert list(tmp_path.iterdir()) == []
    assert not daemon.is_alive


def test_invalid_settings_exit_with_2(stack_run: Start) -> None:
    """The message names the setting and hides its password."""
    bad = stack_run("true", MOBILITY_POSTGRES="mysql://m:secret@host/m")
    code, _, errors = result(bad)
    assert code == 2
    assert "MOBILITY_POSTGRES=mysql://m:***@host/m" in errors
    assert "secret" not in errors


def test_the_scratch_folder_is_removed_also_after_kill_9(tmp_path: Path, stack_run: Start) -> None:
    """The cleanup process stops the command and removes the folder."""
    process = stack_run(*python("import os, time; print(os.getpid()); time.sleep(60)"))
    assert process.stdout is not None
    command = identify(int(process.stdout.readline()))
    assert command.is_alive
    process.kill()
    process.communicate()
    until(lambda: list(tmp_path.iterdir()), "no folder", lambda left: not left)
    assert not command.is_alive
