"""A wall clock that is set ends the process: Bytewax may wait for a time that is far away.

Bytewax keeps the wall-clock time of every step's next turn, however soon it is. Set back by an
hour, the flow would do nothing for an hour. Set forward while a source says when it wants its next
turn, that turn is an hour away too, as it is compared with the time from before. In neither case
would anybody inside be asked. The next run goes on from the last snapshot, by the new time.
"""

import os
import sys
import time
from collections.abc import Callable
from threading import Event, Thread
from typing import Final

_LOOK_SECONDS: Final = 1.0

TOLERANCE: Final = 5.0
"""Seconds that are waited out: a clock that is disciplined is not set by more."""


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
        """Return by how many seconds the clock was set since the last look; back is negative."""
        before, self._offset = self._offset, self._wall() - self._steady()
        return self._offset - before


def end_when_set(
    clock: WallClock | None = None,
    end: Callable[[int], object] = os._exit,
    wait: Callable[[float], object] | None = None,
) -> Thread:
    """Look at the clock for as long as the process lives, and end it where it was set."""
    looked_at = clock or WallClock()
    pause = wait or Event().wait

    def watch() -> None:
        while abs(seconds := looked_at.moved()) <= TOLERANCE:
            pause(_LOOK_SECONDS)
        sys.stderr.write(
            f"The wall clock was set {'forward' if seconds > 0 else 'back'} by {abs(seconds):.0f} "
            "s, which the flow can't wait out. It ends here; its next run goes on from the last "
            "snapshot.\n"
        )
        sys.stderr.flush()
        end(os.EX_TEMPFAIL)

    watching = Thread(target=watch, name="wall-clock", daemon=True)
    watching.start()
    return watching
