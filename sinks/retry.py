"""Retries with exponential backoff, for a store that restarts, loads its data or is unreachable.

The batch that was being written waits during the retries, so the consumer lag rises and is worked
off afterwards.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from sinks.store import StoreError

Sleep = Callable[[float], object]
"""Sleeps for some seconds; tests pass one that returns at once."""

StopRequested = Callable[[], bool]
"""Returns whether this process was asked to stop."""

RETRY_SECONDS: Final = 120.0
"""How long a store that has answered before is retried."""

START_RETRY_SECONDS: Final = 15.0
"""How long the first connection is retried: at a start a wrong address is the likelier cause."""

_FIRST_DELAY: Final = 0.1
_MAX_DELAY: Final = 1.0

T = TypeVar("T")

_log: Final = logging.getLogger(__name__)


def no_stop() -> bool:
    """Return False: nothing asks this process to stop."""
    return False


class RetryPolicy:
    """Repeats a call while the store is unavailable, waiting 0.1 s, then twice as long, up to 1 s.

    `remedy` classifies an error: it returns a hint for the operator where another attempt may
    succeed, None where it would not.
    """

    def __init__(
        self,
        store: str,
        remedy: Callable[[Exception], str | None],
        *,
        sleep: Sleep = time.sleep,
        stop_requested: StopRequested = no_stop,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._remedy = remedy
        self._sleep = sleep
        self._stop_requested = stop_requested
        self._clock = clock
        self._failures: dict[int, str] = {}

    @property
    def failure(self) -> str | None:
        """Why a call is being repeated; None where none is."""
        return next(iter(list(self._failures.values())), None)

    def run(self, attempt: Callable[[], T], seconds: float = RETRY_SECONDS) -> T:
        """Return what `attempt` returns, which must be idempotent.

        Logs the first failure and the recovery. Raises StoreError when the store has been
        unavailable for `seconds`, counted from the first failure, and at the first failure after a
        stop was requested: what is not written yet is written again after the next start. An error
        that no retry would fix is raised as it is.
        """
        try:
            return self._repeat(attempt, seconds)
        finally:
            self._failures.pop(threading.get_ident(), None)

    def _repeat(self, attempt: Callable[[], T], seconds: float) -> T:
        since: float | None = None
        slept, delay = 0.0, _FIRST_DELAY
        while True:
            try:
                answer = attempt()
            except Exception as error:
                remedy = self._remedy(error)
                if remedy is None:
                    raise
                now = self._clock()
                outage = None if since is None else max(slept, now - since)
                since = now if since is None else since
                self._continue_or_raise(error, remedy, outage, seconds)
            else:
                if since is not None:
                    _log.warning("%s answers again", self._store)
                return answer
            self._sleep(delay)
            slept += delay
            delay = min(2 * delay, _MAX_DELAY)

    def _continue_or_raise(
        self, error: Exception, remedy: str, outage: float | None, seconds: float
    ) -> None:
        """Raise StoreError if no retry follows; `outage` is in seconds, None after one failure."""
        reason = " ".join(str(error).split()) or type(error).__name__
        self._failures[threading.get_ident()] = reason
        if self._stop_requested():
            msg = (
                f"{self._store} is not available, and a stop was requested: {reason}\n"
                "What is not written yet is written again after the next start."
            )
            raise StoreError(msg) from error
        if (outage or 0) >= seconds:
            msg = f"{self._store} is not available: {reason}\n{remedy}"
            raise StoreError(msg) from error
        if outage is None:
            _log.warning("Waiting up to %.0f seconds for %s: %s", seconds, self._store, reason)
