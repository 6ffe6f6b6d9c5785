"""Runs a command to its end and measures its time, CPU and memory."""

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from audit.command_runner import CommandRunner, describe_failure
from benchmarks.figures import RunFigures
from mobility.settings import Settings, to_environ
from stack.checkout import clean_environ

_SAMPLE_SECONDS: Final = 0.1
_KIB_A_MIB: Final = 1024
_EXIT_SECONDS: Final = 20.0
_USER_TICKS: Final = 11  # in /proc/<pid>/stat after the name; system ticks follow (proc(5))


class BenchmarkError(RuntimeError):
    """A measurement that failed; the message says which one and why."""


def run_timed(
    argv: Sequence[str | Path],
    log: Path,
    *,
    environ: dict[str, str],
    on_poll: Callable[[], None] = lambda: None,
    limit: float = 3_600.0,
) -> RunFigures:
    """Run a command to its end and return its figures, descendants included.

    `on_poll` is called ten times a second. Raises BenchmarkError if the command fails or takes more
    than `limit` seconds.
    """
    with log.open("wb") as output:
        began = time.monotonic()
        process = subprocess.Popen(  # noqa: S603 - the commands are ours
            argv, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        tree = ProcessTree(process.pid)
        try:
            while True:
                tree.sample()
                ended, status, usage = os.wait4(process.pid, os.WNOHANG)
                seconds = time.monotonic() - began
                if ended:
                    break
                if seconds > limit:
                    raise command_error(argv, f"took more than {limit:.0f} s", log)
                on_poll()
                time.sleep(_SAMPLE_SECONDS)
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            if process.returncode is None:
                process.kill()
                process.wait()
            tree.wait_for_exit()
    if process.returncode != 0:
        raise command_error(argv, f"ended with exit code {process.returncode}", log)
    # wait4 includes only children that the command has waited for, and so not a JVM that it left.
    cpu_seconds = max(usage.ru_utime + usage.ru_stime, tree.cpu_seconds)
    return RunFigures(seconds, cpu_seconds, tree.peak_mb)


def environ_for(runner: CommandRunner, settings: Settings) -> dict[str, str]:
    """Return the environment of a command with exactly these settings."""
    return clean_environ(runner.environ) | to_environ(settings)


def command_error(argv: Sequence[str | Path], what: str, log: Path) -> BenchmarkError:
    """Return the error with a command, what failed, and the last lines of its output."""
    return BenchmarkError(describe_failure(list(map(str, argv)), what, log))


def cpu_seconds_of(process: int) -> float:
    """Return the CPU time of all threads of a process so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[_USER_TICKS]) + int(fields[_USER_TICKS + 1])) / os.sysconf("SC_CLK_TCK")


class ProcessTree:
    """The CPU time and memory of a process and its descendants, as of the last sample."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peaks: dict[int, int] = {}
        self._ticks: dict[int, int] = {}

    @property
    def peak_mb(self) -> float:
        """The sum of the peak resident sizes, in MiB."""
        return sum(self._peaks.values()) / _KIB_A_MIB

    @property
    def cpu_seconds(self) -> float:
        """The sum of the CPU times."""
        return sum(self._ticks.values()) / os.sysconf("SC_CLK_TCK")

    def sample(self) -> None:
        """Read what each process has used so far."""
        for pid in _descendants(self._pid):
            try:
                status = Path(f"/proc/{pid}/status").read_text()
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            self._ticks[pid] = int(fields[_USER_TICKS]) + int(fields[_USER_TICKS + 1])
            for line in status.splitlines():
                if line.startswith("VmHWM:"):
                    self._peaks[pid] = int(line.split()[1])

    def wait_for_exit(self) -> None:
        """Wait for descendants that run longer, so that the next run is not disturbed."""
        deadline = time.monotonic() + _EXIT_SECONDS
        while time.monotonic() < deadline and any(map(_is_running, self._peaks)):
            time.sleep(_SAMPLE_SECONDS)


def _descendants(pid: int) -> list[int]:
    """Return a process and its present descendants."""
    found = [pid]
    for parent in found:
        try:
            tasks = list(Path(f"/proc/{parent}/task").iterdir())
            found += [int(c) for task in tasks for c in (task / "children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
