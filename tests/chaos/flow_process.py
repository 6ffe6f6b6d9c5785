"""The flow as a process, with all ways to end it."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import msgspec

from audit.output_comparisons import read_flow_counters
from mobility.settings import Settings, to_environ
from stack.checkout import clean_environ
from stack.processes import read_log_tail
from tests.waiting import until

ROOT: Final = Path(__file__).parents[2]

_END: Final = 60.0

_STUCK: Final = 300.0
"""After so many seconds without a change a flow will not end: no retry lasts that long."""

_PAUSE: Final = 0.1


class FlowProcess:
    """`python -m dataflows` with one recovery folder, one run at a time.

    Output is appended to `log`, run after run.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.status = folder / "status"
        self.settings = msgspec.structs.replace(settings, status_dir=str(self.status))
        self.recovery = folder / "recovery"
        self.log = folder / "flow.log"
        self._launcher: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str, **replaced: object) -> None:
        """Start the flow, with some settings replaced."""
        self.ensure_stopped()
        for statuses in self.status.glob("flow-*.json"):
            statuses.unlink()
        settings = msgspec.structs.replace(self.settings, **replaced)
        others = clean_environ()
        with self.log.open("ab") as log:
            self._launcher = subprocess.Popen(
                [sys.executable, "-m", "dataflows", "-r", str(self.recovery), *arguments],
                cwd=ROOT,
                env=others | to_environ(settings) | {"PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def run_to_end(self, *arguments: str, **replaced: object) -> None:
        """Run the flow to the present end of the log, and check that it exits with 0.

        How long that takes depends on how much was sent: it fails once nothing has moved for long.
        """
        self.start(*arguments, **({"read": "once"} | replaced))
        counters, moved = self.counters(), time.monotonic()
        while self.running:
            if counters != (now := self.counters()):
                counters, moved = now, time.monotonic()
            stuck = time.monotonic() - moved
            assert stuck < _STUCK, f"{counters} for {stuck:.0f} s\n{read_log_tail(self.log, 40)}"
            time.sleep(_PAUSE)
        assert self.wait() == 0, read_log_tail(self.log, 40)

    @property
    def running(self) -> bool:
        """Whether the launcher runs."""
        return self._launcher is not None and self._launcher.poll() is None

    def wait(self, seconds: float = _END) -> int:
        """Wait for the launcher to exit; return its exit code."""
        assert self._launcher is not None, "it was never started"
        return self._launcher.wait(seconds)

    def counters(self) -> dict[str, int]:
        """Return the counters of this run, updated every second; empty before the first update."""
        return read_flow_counters(self.status)

    def statuses(self) -> list[dict[str, Any]]:
        """Return the last status of each process of this run."""
        return [json.loads(path.read_bytes()) for path in self.status.glob("flow-*.json")]

    def wait_until_read(self, messages: int) -> None:
        """Wait until this run has read so many messages."""

        def enough() -> bool:
            assert self.running, f"the flow has exited:\n{read_log_tail(self.log, 40)}"
            return self.counters().get("read", 0) >= messages

        until(enough, f"{messages} messages read; the flow's log: {self.log}")

    def workers(self) -> list[int]:
        """Return the process ids of the cluster, without the launcher.

        They are found by the status folder in their environment: no other process is killed.
        """
        mark = f"MOBILITY_STATUS_DIR={self.status}\0".encode()
        launcher = None if self._launcher is None else self._launcher.pid
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                environ = path.read_bytes()
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            if mark in environ and int(path.parent.name) != launcher:
                found.append(int(path.parent.name))
        return sorted(found)

    def kill_one_worker(self, rng: random.Random) -> None:
        """Kill one process; wait until the launcher has restarted the whole cluster."""
        before = self.workers()
        kill(rng.choice(before), signal.SIGKILL)

        def replaced() -> bool:
            assert self.running, f"the launcher has exited:\n{read_log_tail(self.log, 40)}"
            statuses = {each["pid"] for each in self.statuses()}
            return bool(statuses) and statuses.isdisjoint(before)

        until(replaced, f"other processes than {before}")

    def kill(self) -> None:
        """Kill all processes at once, as a power failure does."""
        if self._launcher is not None:
            self._launcher.kill()  # first, as it would restart the others
            self._launcher.wait()
        while workers := self.workers():
            for worker in workers:
                kill(worker, signal.SIGKILL)
            time.sleep(0.01)

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Send the stop signal; return the exit code, and the seconds that the stop took."""
        assert self._launcher is not None, "it was never started"
        asked = time.monotonic()
        self._launcher.send_signal(number)
        code = self.wait()
        return code, time.monotonic() - asked

    def ensure_stopped(self) -> None:
        """Kill all processes that still run."""
        if self.running or self.workers():
            self.kill()


def kill(pid: int, number: int) -> None:
    """Send a signal to a process, unless it has ended."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
