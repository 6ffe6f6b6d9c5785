"""The flow as a person starts it, and every way to end it."""

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
from stack.processes import read_log_tail
from tests.chaos.waiting import until

ROOT: Final = Path(__file__).parents[2]

_END: Final = 60.0


class Flow:
    """`python -m dataflows` on one recovery folder: never two at a time.

    What the processes say is in `log`, one run after the other.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.status = folder / "status"
        self.settings = msgspec.structs.replace(settings, status_dir=str(self.status))
        self.recovery = folder / "recovery"
        self.log = folder / "flow.log"
        self._launcher: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str, **replaced: object) -> None:
        """Start it, with these settings replaced; it runs until it is ended."""
        self.end()
        for told in self.status.glob("flow-*.json"):
            told.unlink()
        settings = msgspec.structs.replace(self.settings, **replaced)
        others = {k: v for k, v in os.environ.items() if not k.startswith("MOBILITY_")}
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

    def finish(self, *arguments: str, seconds: float = 300, **replaced: object) -> None:
        """Run it over what the log holds now, to its end, and see that it ended well."""
        self.start(*arguments, **({"read": "once"} | replaced))
        assert self.wait(seconds) == 0, read_log_tail(self.log, 40)

    @property
    def running(self) -> bool:
        """Whether the launcher has not ended."""
        return self._launcher is not None and self._launcher.poll() is None

    def wait(self, seconds: float = _END) -> int:
        """Return the launcher's exit code once it has ended by itself."""
        assert self._launcher is not None, "it was never started"
        return self._launcher.wait(seconds)

    def counters(self) -> dict[str, int]:
        """Return what this run has counted so far, told once a second; empty before that."""
        return read_flow_counters(self.status)

    def told(self) -> list[dict[str, Any]]:
        """Return what each process of this run has last told of itself."""
        return [json.loads(path.read_bytes()) for path in self.status.glob("flow-*.json")]

    def wait_until_read(self, messages: int) -> None:
        """Return when this run has read so many messages."""

        def enough() -> bool:
            assert self.running, f"the flow ended by itself:\n{read_log_tail(self.log, 40)}"
            return self.counters().get("read", 0) >= messages

        until(enough, f"{messages} messages read; the flow's log: {self.log}")

    def workers(self) -> list[int]:
        """Return the process ids of the cluster, the launcher left out.

        Known by the status folder in their environment, so that nothing else is ever killed.
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

    def kill_one(self, draw: random.Random) -> None:
        """Kill one process; return when the launcher has replaced the whole cluster."""
        before = self.workers()
        kill(draw.choice(before), signal.SIGKILL)

        def replaced() -> bool:
            assert self.running, f"the launcher gave up:\n{read_log_tail(self.log, 40)}"
            told = {each["pid"] for each in self.told()}
            return bool(told) and told.isdisjoint(before)

        until(replaced, f"other processes than {before}, one of which was killed")

    def kill(self) -> None:
        """Kill everything at once, as a power cut does."""
        if self._launcher is not None:
            self._launcher.kill()  # first: it would restart the others
            self._launcher.wait()
        while workers := self.workers():
            for worker in workers:
                kill(worker, signal.SIGKILL)
            time.sleep(0.01)

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Ask it to end; return its exit code, and the seconds that it took."""
        assert self._launcher is not None, "it was never started"
        asked = time.monotonic()
        self._launcher.send_signal(number)
        code = self.wait()
        return code, time.monotonic() - asked

    def end(self) -> None:
        """See that nothing of it runs any more."""
        if self.running or self.workers():
            self.kill()


def kill(pid: int, number: int) -> None:
    """Send a signal to a process, which may have ended already."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
