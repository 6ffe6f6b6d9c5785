"""The launcher: starts a cluster and restarts it when it fails, up to a limit."""

import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from types import FrameType
from typing import Final, Protocol

from runtime.failures import EXIT_REFUSED, RefusalError, StartError

RESTARTS: Final = 10
"""Restarts within `_RECENT_SECONDS` before the launcher gives up.

With their pauses they take over a minute, in which a service can come back; a failure that lasts
longer is for a person, or for the supervisor that runs the launcher.
"""

_RECENT_SECONDS: Final = 300.0
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 15.0


class Cluster(Protocol):
    """A running cluster, as `runtime.process_group.ProcessGroup` is one."""

    def stop(self) -> None:
        """Ask every process to end with a final snapshot."""
        ...

    def wait(self) -> int:
        """Wait until all have ended; return 0, or the exit code of a failure."""
        ...


@dataclass(frozen=True, slots=True)
class Failure:
    """The time (monotonic seconds) and exit code of a failed attempt."""

    at: float
    code: int


class Launcher:
    """Starts a cluster with `start`, and again when it fails, until it ends or is asked to stop.

    `start` raises StartError where it can't start one. `check` raises RefusalError where a start
    would be refused: then a cluster is not stopped to be started again. `pause` waits so many
    seconds, or less when a stop is asked for. `restarts` is the limit within five minutes.
    """

    def __init__(
        self,
        start: Callable[[], Cluster],
        restarts: int = RESTARTS,
        *,
        check: Callable[[], None] = lambda: None,
        pause: Callable[[float], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._start = start
        self._restarts = restarts
        self._check = check
        self._stop_requested = Event()
        self._reload_requested = False
        self._terminal = _has_terminal()
        self._pause = pause or self._stop_requested.wait
        self._clock = clock
        self._cluster: Cluster | None = None
        self._failures: deque[Failure] = deque()

    def run(self) -> int:
        """Return the exit code: 0 at the end of the input and after a stop."""
        while True:
            code = self._attempt()
            if code == 0 and self._reload_requested and not self._stop_requested.is_set():
                continue
            if code == 0 or self._stop_requested.is_set():
                return code
            if code == EXIT_REFUSED:
                return code
            if (wait := self._record_failure(code)) is None:
                return code
            self._pause(wait)
            if self._stop_requested.is_set():
                return 0

    def stop_requested(self) -> bool:
        """Tell whether a stop was requested."""
        return self._stop_requested.is_set()

    def stop(self) -> None:
        """Ask the cluster to end with a final snapshot, or let it not be started again."""
        self._stop_requested.set()
        if self._cluster is not None:
            self._cluster.stop()

    def reload(self) -> None:
        """Stop the cluster with a final snapshot and start it again, unless it would be refused."""
        try:
            self._check()
        except RefusalError as error:
            _print(f"goes on as it is: {error}")
            return
        self._reload_requested = True
        if self._cluster is not None:
            self._cluster.stop()

    def handle_signals(self) -> None:
        """Let SIGTERM and SIGINT ask for a graceful stop, SIGHUP for that and another start.

        A terminal that is closed sends SIGHUP too: then nothing is started again.
        """

        def handle(number: int, frame: FrameType | None) -> None:
            del frame
            is_closed = self._terminal and not _has_terminal()
            if number == signal.SIGHUP and not is_closed:
                self.reload()
            else:
                self.stop()

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, handle)
        # One that has come earlier has waited for its handler.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])

    def _attempt(self) -> int:
        if self._stop_requested.is_set():
            return 0
        self._reload_requested = False
        try:
            self._cluster = self._start()
        except StartError as error:
            _print(f"could not start: {error}")
            return 1
        except RefusalError as error:
            _print(f"may not start: {error}")
            return EXIT_REFUSED
        if self._stop_requested.is_set() or self._reload_requested:
            # The signal came while the processes were being started.
            self._cluster.stop()
        try:
            return self._cluster.wait()
        finally:
            self._cluster = None

    def _record_failure(self, code: int) -> float | None:
        """Record a failure; return the pause before the next attempt, None to give up."""
        now = self._clock()
        while self._failures and now - self._failures[0].at > _RECENT_SECONDS:
            self._failures.popleft()
        self._failures.append(Failure(now, code))
        again = len(self._failures)
        if again > self._restarts:
            if self._restarts:
                _print(f"failed with exit code {code}, {again} times in 5 minutes: giving up")
            return None
        wait = min(_FIRST_PAUSE * float(2 ** (again - 1)), _LONGEST_PAUSE)
        _print(
            f"failed with exit code {code}; all processes were stopped. "
            f"Restart {again} of {self._restarts} in {wait:g} s, from the last snapshot"
        )
        return wait


def _has_terminal() -> bool:
    """Tell whether this process has a controlling terminal, which is gone once it is closed."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _print(what: str) -> None:
    sys.stderr.write(f"launcher: the flow {what}\n")
    sys.stderr.flush()
