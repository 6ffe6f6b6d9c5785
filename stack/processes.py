"""Processes that outlive their parent: started apart, written down, and found again safely.

A process is known by its id together with the boot and the time it started (field 22 of
`/proc/<pid>/stat`, see proc(5)): ids are recycled, this pair is not.
"""

import asyncio
import json
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final

Account = pwd.struct_passwd

_STATE: Final = 0  # fields of /proc/<pid>/stat after the name, which may hold blanks itself
_THREADS: Final = 17
_START_TIME: Final = 19
_PAUSE: Final = 0.05
_NOTHING: Final = Path(os.devnull)
_KILL_GRACE: Final = 5.0

_children: Final[dict[int, subprocess.Popen[bytes]]] = {}
"""This process's own children: kept so that they are reaped and their exit codes known."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process as it was written down; `stop_signal` asks it to end in good order."""

    pid: int
    started: str
    stop_signal: int = signal.SIGTERM

    @property
    def alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        child = _children.get(self.pid)
        return _start_of(self.pid) == self.started if child is None else child.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs, or for no child of ours."""
        child = _children.get(self.pid)
        return None if child is None else child.poll()

    def send(self, number: int) -> None:
        """Send a signal, unless the process has ended, whoever has its id now."""
        if self.alive:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return

    def kill(self) -> None:
        """Kill the process, and with it the group that it leads."""
        if self.alive:
            try:
                leads = os.getpgid(self.pid) == self.pid
                (os.killpg if leads else os.kill)(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                return

    async def stop(self, grace: float) -> bool:
        """Ask the process to end, and kill it after `grace` seconds.

        Returns whether it ended without being killed.
        """
        self.send(self.stop_signal)
        if await self.ended(grace):
            return True
        self.kill()
        await self.ended(_KILL_GRACE)
        return False

    async def ended(self, limit: float) -> bool:
        """Wait up to `limit` seconds for the end; return whether it came."""
        deadline = time.monotonic() + limit
        while self.alive:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_PAUSE)
        return True


def spawn(
    argv: Sequence[str | Path],
    log: Path,
    *,
    stop_signal: int = signal.SIGTERM,
    account: Account | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: Path | None = None,
) -> Process:
    """Start a process in a session of its own, its output appended to `log`.

    Its own session: a Ctrl-C at the terminal is ours to pass on, in the right order. What it
    creates is private to its user. Raises OSError where it can't be started.
    """
    with (stdin or _NOTHING).open("rb") as given, private_log(log) as output:
        child = subprocess.Popen(  # noqa: S603 - the commands are ours
            argv,
            stdin=given,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o077,
            env=environ,
            cwd=cwd,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
        )
    _children[child.pid] = child
    return replace(identify(child.pid), stop_signal=stop_signal)


async def finish(
    argv: Sequence[str | Path],
    log: Path,
    limit: float,
    *,
    account: Account | None = None,
    cwd: Path | None = None,
    stdin: Path | None = None,
) -> int | None:
    """Run a command to its end, its output appended to `log`.

    Returns its exit code; None where it was killed after `limit` seconds. Cancelled, it kills.
    """
    process = spawn(argv, log, account=account, cwd=cwd, stdin=stdin)
    try:
        await process.ended(limit)
        return process.exit_code
    finally:
        process.kill()


def private_log(log: Path) -> BinaryIO:
    """Open a log to append to, readable by its owner only."""
    return open(log, "ab", opener=lambda path, flags: os.open(path, flags, 0o600))


def rotate(log: Path) -> None:
    """Begin a new log; the one of the last run stays beside it as `<name>.log.1`."""
    if log.exists():
        log.replace(log.with_name(f"{log.name}.1"))


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 16_384))
        text = file.read().decode(errors="replace")
    return "\n".join(text.splitlines()[-lines:])


def with_log(what: str, log: Path) -> str:
    """Return the message that says what happened, with the end of the log and where it is."""
    last = tail(log)
    shown = f"; the end of its log:\n\n{last}\n\n" if last else ".\n"
    return f"{what}{shown}The whole log: {log}"


def write_down(folder: Path, name: str, process: Process) -> None:
    """Record a process under a name in the state folder."""
    draft = folder / f"{name}.pid.new"
    draft.write_text(json.dumps(asdict(process)))
    draft.replace(_record(folder, name))


def find(folder: Path, name: str) -> Process | None:
    """Return the process recorded under a name if it still runs."""
    try:
        process = Process(**json.loads(_record(folder, name).read_text()))
    except FileNotFoundError:
        return None
    return process if process.alive else None


def forget(folder: Path, name: str) -> None:
    """Remove the record of a process."""
    _record(folder, name).unlink(missing_ok=True)


def recorded(folder: Path) -> list[str]:
    """Return the names that have a record, running or not."""
    return sorted(path.stem for path in folder.glob("*.pid"))


def _record(folder: Path, name: str) -> Path:
    return folder / f"{name}.pid"


def identify(pid: int) -> Process:
    """Return the process that has an id now, to be written down."""
    return Process(pid, _start_of(pid) or "ended")


def _start_of(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    # A JVM's first thread is a zombie while the others still tidy up.
    gone = fields[_STATE] in "ZX" and int(fields[_THREADS]) <= 1
    return None if gone else f"{boot}/{fields[_START_TIME]}"
