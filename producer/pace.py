"""How event time runs in a replay, and the clock that it runs by."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Protocol

from mobility.records import MAX_EVENT_TIME


class Clock(Protocol):
    """Time as the replay knows it; tests move it."""

    def now(self) -> float:
        """Return epoch seconds."""

    def sleep(self, seconds: float) -> None:
        """Let time pass."""


class SystemClock:
    """The machine's time."""

    def now(self) -> float:
        """Return epoch seconds."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Block for so many seconds."""
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Pace:
    """Event time as a function of the clock; a `speed` of None is as fast as it goes.

    Where the clock shows `clock` (epoch seconds), event time is `event` (epoch ms), and it runs
    `speed` event seconds a second.
    """

    speed: float | None
    event: int = 0
    clock: float = 0.0

    def reached(self, now: float) -> int:
        """Return the event time, in epoch ms, up to which trips are due."""
        if self.speed is None:
            return MAX_EVENT_TIME
        return self.event + int((now - self.clock) * 1_000 * self.speed)

    def seconds_until(self, event: int, now: float) -> float:
        """Return how long it takes until a trip of this event time (epoch ms) is due."""
        if self.speed is None:
            return 0.0
        return self.clock + (event - self.event) / 1_000 / self.speed - now


LIVE = Pace(speed=1.0)
"""Event time is the time on the clock."""


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether SIGINT or SIGTERM has come.

    A second signal does what it would have done without this.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    stopped = False

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True
        restore()

    for number in before:
        signal.signal(number, stop)
    try:
        yield lambda: stopped
    finally:
        restore()
