"""Running a command to its end, with its time, CPU and memory."""

import os
import shlex
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from audit.command_runner import CommandRunner
from benchmarks.figures import Run
from mobility.settings import Settings, to_environ

_SAMPLE_SECONDS: Final = 0.1
_KIB_A_MIB: Final = 1024
_TAIL: Final = 30
_PATIENCE: Final = 20.0
_USER_TICKS: Final = 11  # in /proc/<pid>/stat after the name; the kernel's follow (proc(5))


class BenchmarkError(RuntimeError):
    """A measurement that can't be taken; the message says which and why."""


def timed(
    argv: Sequence[str | Path],
    log: Path,
    *,
    environ: dict[str, str],
    watch: Callable[[], None] = lambda: None,
    limit: float = 3_600.0,
) -> Run:
    """Run a command to its end and return what it took, its descendants included.

    `watch` is called ten times a second. Raises BenchmarkError, with the end of its output, where
    it fails or takes more than `limit` seconds.
    """
    with log.open("wb") as output:
        began = time.monotonic()
        process = subprocess.Popen(  # noqa: S603 - the commands are ours
            argv, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        seen = Family(process.pid)
        try:
            while True:
                seen.look()
                ended, status, usage = os.wait4(process.pid, os.WNOHANG)
                if ended:
                    break
                if time.monotonic() - began > limit:
                    raise failure(argv, f"took more than {limit:.0f} s", log)
                watch()
                time.sleep(_SAMPLE_SECONDS)
            seconds = time.monotonic() - began
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            if process.returncode is None:
                process.kill()
                process.wait()
            seen.wait()
    if process.returncode != 0:
        raise failure(argv, f"ended with exit code {process.returncode}", log)
    # wait4 tells of the children that a command has waited for; a JVM that it left is not one.
    cpu_seconds = max(usage.ru_utime + usage.ru_stime, seen.cpu_seconds)
    return Run(seconds, cpu_seconds, seen.peak_mb)


def environ_with(commands: CommandRunner, settings: Settings) -> dict[str, str]:
    """Return the environment of a command that is to have these settings and no others."""
    others = {k: v for k, v in commands.environ.items() if not k.startswith("MOBILITY_")}
    return others | to_environ(settings)


def failure(argv: Sequence[str | Path], what: str, log: Path) -> BenchmarkError:
    """Return the error that shows a command and the last lines that it wrote."""
    lines = log.read_text("utf-8", "replace").splitlines()[-_TAIL:]
    command = shlex.join(map(str, argv))
    return BenchmarkError("\n".join([f"{command} {what}. It said last:", *lines]))


class Family:
    """A process and its descendants, as they were when last looked at."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peaks: dict[int, int] = {}
        self._ticks: dict[int, int] = {}

    @property
    def peak_mb(self) -> float:
        """The sum of each one's highest resident size, in MiB."""
        return sum(self._peaks.values()) / _KIB_A_MIB

    @property
    def cpu_seconds(self) -> float:
        """The CPU time of all of them together."""
        return sum(self._ticks.values()) / os.sysconf("SC_CLK_TCK")

    def look(self) -> None:
        """Note what each has used so far."""
        for pid in _descent(self._pid):
            try:
                status = Path(f"/proc/{pid}/status").read_text()
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            self._ticks[pid] = int(fields[_USER_TICKS]) + int(fields[_USER_TICKS + 1])
            for line in status.splitlines():
                if line.startswith("VmHWM:"):
                    self._peaks[pid] = int(line.split()[1])

    def wait(self) -> None:
        """Wait for those that outlive the first, so that they don't disturb the next run."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline and any(map(_lives, self._peaks)):
            time.sleep(_SAMPLE_SECONDS)


def _descent(pid: int) -> list[int]:
    """Return a process and all its descendants, as they are now."""
    found = [pid]
    for parent in found:
        try:
            tasks = list(Path(f"/proc/{parent}/task").iterdir())
            found += [int(c) for task in tasks for c in (task / "children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
