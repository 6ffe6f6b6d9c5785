"""How long a store is waited for that is away: restarting, loading its data, cut off, or locked.

What was being written waits meanwhile, so the lag rises and then drains.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from sinks.store import StoreError

Wait = Callable[[float], object]
"""Waits some seconds; tests pass one that returns at once."""

Stopping = Callable[[], bool]
"""Tells whether somebody asked this process to stop."""

pause: Final[Wait] = threading.Event().wait

SECONDS: Final = 120.0
"""How long a store that has answered before may be away."""

START_SECONDS: Final = 15.0
"""How long the first answer may take: at a start a wrong address is likelier than a restart."""

_FIRST_DELAY: Final = 0.1
_LONGEST_DELAY: Final = 1.0

T = TypeVar("T")

_log: Final = logging.getLogger(__name__)


def never() -> bool:
    """Return False: nobody asks to stop."""
    return False


class Patience:
    """Tries again while a store is away.

    `advice` judges an error: a remedy where the next attempt may succeed, None where it would not.
    """

    def __init__(
        self,
        store: str,
        advice: Callable[[Exception], str | None],
        *,
        wait: Wait = pause,
        stopping: Stopping = never,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._advice = advice
        self._wait = wait
        self._stopping = stopping
        self._clock = clock

    def run(self, attempt: Callable[[], T], seconds: float = SECONDS) -> T:
        """Return what `attempt` returns, which must be harmless twice.

        Says in the log what is waited for, when that begins and when it ends. Raises StoreError
        after `seconds`, counted from the first failure, and at once where a stop is asked for: what
        the store has not taken is sent again at the next start. Errors that no other attempt would
        change are the caller's.
        """
        since: float | None = None
        waited, delay = 0.0, _FIRST_DELAY
        while True:
            try:
                answer = attempt()
            except Exception as error:
                advice = self._advice(error)
                if advice is None:
                    raise
                now = self._clock()
                away = None if since is None else max(waited, now - since)
                since = now if since is None else since
                self._go_on_or_raise(error, advice, away, seconds)
            else:
                if since is not None:
                    _log.warning("%s answers again", self._store)
                return answer
            self._wait(delay)
            waited += delay
            delay = min(2 * delay, _LONGEST_DELAY)

    def _go_on_or_raise(
        self, error: Exception, advice: str, away: float | None, seconds: float
    ) -> None:
        """Raise StoreError if the waiting ends; `away` is None where it would only begin."""
        reason = " ".join(str(error).split()) or type(error).__name__
        if self._stopping():
            msg = (
                f"{self._store} does not answer, and a stop was asked for: {reason}\n"
                "What it has not taken is sent again at the next start."
            )
            raise StoreError(msg) from error
        if (away or 0) >= seconds:
            msg = f"{self._store} does not answer: {reason}\n{advice}"
            raise StoreError(msg) from error
        if away is None:
            _log.warning("Waiting up to %.0f seconds for %s: %s", seconds, self._store, reason)
