"""Ends the process when the wall clock is set: Bytewax could wait for a time that is far away.

Bytewax keeps the wall-clock time at which each step runs next, however soon that is. If the clock
is set back by an hour, the flow does nothing for an hour. If it is set forward while a source says
when to be polled next, that is an hour away too, as it is compared with the old time. In neither
case is any code of the flow called. The next run continues from the last snapshot.
"""

import os
import sys
import time
from collections.abc import Callable
from threading import Event, Thread
from typing import Final

_CHECK_SECONDS: Final = 1.0

TOLERANCE: Final = 5.0
"""Steps of up to so many seconds are ignored: NTP does not set a clock by more."""


class WallClock:
    """Compares the wall clock with one that is never set."""

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall = wall
        self._steady = steady
        self._offset = wall() - steady()

    def moved(self) -> float:
        """Return by how many seconds the clock was set since the last call; back is negative."""
        before, self._offset = self._offset, self._wall() - self._steady()
        return self._offset - before


def exit_when_clock_is_set(
    clock: WallClock | None = None,
    end: Callable[[int], object] = os._exit,
    wait: Callable[[float], object] | None = None,
) -> Thread:
    """Check the clock for as long as the process lives, and end the process when it was set."""
    checked = clock or WallClock()
    pause = wait or Event().wait

    def watch() -> None:
        while abs(seconds := checked.moved()) <= TOLERANCE:
            pause(_CHECK_SECONDS)
        sys.stderr.write(
            f"The wall clock was set {'forward' if seconds > 0 else 'back'} by {abs(seconds):.0f} "
            "s; the flow can't continue after such a step. It ends now; its next run continues "
            "from the last snapshot.\n"
        )
        sys.stderr.flush()
        end(os.EX_TEMPFAIL)

    thread = Thread(target=watch, name="wall-clock", daemon=True)
    thread.start()
    return thread
