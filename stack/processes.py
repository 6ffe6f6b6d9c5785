"""Processes that may outlive their parent: started in their own session, recorded, and found again.

A process is identified by its id together with the boot and the time it started (field 22 of
`/proc/<pid>/stat`, see proc(5)): ids are reused, this pair is not.
"""

import asyncio
import json
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final

from mobility.files import write_atomically

SystemUser = pwd.struct_passwd

_STATE: Final = 0  # fields of /proc/<pid>/stat after the name, which may have blanks
_THREADS: Final = 17
_START_TIME: Final = 19
_POLL_SECONDS: Final = 0.05
_NO_INPUT: Final = Path(os.devnull)
_KILL_SECONDS: Final = 5.0

_children: Final[dict[int, subprocess.Popen[bytes]]] = {}
"""Children of this process, which it has to reap, and whose exit codes it knows."""


@dataclass(frozen=True, slots=True)
class RecordedProcess:
    """A process as it is recorded; `stop_signal` requests a graceful end.

    Fields are named as in the record.
    """

    pid: int
    started: str
    stop_signal: int = signal.SIGTERM

    @property
    def is_alive(self) -> bool:
        """Whether this process still runs; a zombie does not."""
        child = _children.get(self.pid)
        return _start_of(self.pid) == self.started if child is None else child.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs, or if it is not a child."""
        child = _children.get(self.pid)
        return None if child is None else child.poll()

    def send(self, number: int) -> None:
        """Send a signal, unless the process has ended and its id may belong to another."""
        if self.is_alive:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return

    def kill(self) -> None:
        """Kill the process, and its group if it is the leader."""
        if self.is_alive:
            try:
                is_leader = os.getpgid(self.pid) == self.pid
                (os.killpg if is_leader else os.kill)(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                return

    async def stop(self, grace: float) -> bool:
        """Send the stop signal, and kill the process after `grace` seconds.

        Returns whether it ended without being killed.
        """
        self.send(self.stop_signal)
        if await self.wait_for_exit(grace):
            return True
        self.kill()
        await self.wait_for_exit(_KILL_SECONDS)
        return False

    async def wait_for_exit(self, limit: float) -> bool:
        """Wait up to `limit` seconds for the end of the process; return whether it has ended."""
        deadline = time.monotonic() + limit
        while self.is_alive:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_POLL_SECONDS)
        return True


def spawn(
    argv: Sequence[str | Path],
    log: Path | None,
    *,
    stop_signal: int = signal.SIGTERM,
    user: SystemUser | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: Path | None = None,
) -> RecordedProcess:
    """Start a process in its own session, with output appended to `log`, or shown if that is None.

    In its own session it does not get the Ctrl-C of the terminal, and is stopped in order. Files
    that it creates are private to its user. Raises OSError if it can't be started.
    """
    with (
        (stdin or _NO_INPUT).open("rb") as source,
        private_log(log) if log else nullcontext() as output,
    ):
        child = subprocess.Popen(  # noqa: S603 - the commands are ours
            argv,
            stdin=source,
            stdout=output,
            stderr=subprocess.STDOUT if log else None,
            start_new_session=True,
            umask=0o077,
            env=environ,
            cwd=cwd,
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            extra_groups=[] if user else None,
        )
    _children[child.pid] = child
    return replace(identify(child.pid), stop_signal=stop_signal)


async def run_to_end(
    argv: Sequence[str | Path],
    log: Path,
    limit: float,
    *,
    user: SystemUser | None = None,
    cwd: Path | None = None,
    stdin: Path | None = None,
) -> int | None:
    """Run a command until it exits, with output appended to `log`.

    Returns its exit code; None if it was killed after `limit` seconds. Cancellation kills it.
    """
    process = spawn(argv, log, user=user, cwd=cwd, stdin=stdin)
    try:
        await process.wait_for_exit(limit)
        return process.exit_code
    finally:
        process.kill()


def private_log(log: Path) -> BinaryIO:
    """Open a log for appending, readable by its owner only."""
    return open(log, "ab", opener=lambda path, flags: os.open(path, flags, 0o600))


def rotate(log: Path) -> None:
    """Start a new log; the one of the last run is renamed to `<name>.log.1`."""
    if log.exists():
        log.replace(log.with_name(f"{log.name}.1"))


def read_log_tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 16_384))
        text = file.read().decode(errors="replace")
    return "\n".join(text.splitlines()[-lines:])


def with_log_tail(what: str, log: Path) -> str:
    """Return a message with the last lines of a log and its path."""
    last = read_log_tail(log)
    lines = f"; the end of its log:\n\n{last}\n\n" if last else ".\n"
    return f"{what}{lines}The whole log: {log}"


def save_record(folder: Path, name: str, process: RecordedProcess) -> None:
    """Record a process under a name in the state folder."""
    write_atomically(_record(folder, name), json.dumps(asdict(process)))


def find_process(folder: Path, name: str) -> RecordedProcess | None:
    """Return the process recorded under a name if it still runs."""
    try:
        process = RecordedProcess(**json.loads(_record(folder, name).read_text()))
    except FileNotFoundError:
        return None
    return process if process.is_alive else None


def delete_record(folder: Path, name: str) -> None:
    """Remove the record of a process."""
    _record(folder, name).unlink(missing_ok=True)


def recorded_names(folder: Path) -> list[str]:
    """Return the names of all records, of running processes or not."""
    return sorted(path.stem for path in folder.glob("*.pid"))


def _record(folder: Path, name: str) -> Path:
    return folder / f"{name}.pid"


def identify(pid: int) -> RecordedProcess:
    """Return the process that has an id now."""
    return RecordedProcess(pid, _start_of(pid) or "ended")


def _start_of(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    # The first thread of a JVM is a zombie while the others still run.
    has_ended = fields[_STATE] in "ZX" and int(fields[_THREADS]) <= 1
    return None if has_ended else f"{boot}/{fields[_START_TIME]}"
