"""The schedule of a replay: which event time is due at which time on the clock."""

import time
from dataclasses import dataclass
from typing import Final, Protocol

from mobility.records import MAX_EVENT_TIME


class Clock(Protocol):
    """The clock of a replay; tests use their own."""

    def now(self) -> float:
        """Return epoch seconds."""

    def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""


class SystemClock:
    """The clock of the machine."""

    def now(self) -> float:
        """Return epoch seconds."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Block for so many seconds."""
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class EventTimeSchedule:
    """Event time as a function of the clock; a `speed` of None means as fast as possible.

    At the clock time `clock` (epoch seconds), event time is `event` (epoch ms); it advances by
    `speed` seconds per second.
    """

    speed: float | None
    event: int = 0
    clock: float = 0.0

    def event_time_at(self, now: float) -> int:
        """Return the event time (epoch ms) up to which trips are due."""
        if self.speed is None:
            return MAX_EVENT_TIME
        return self.event + int((now - self.clock) * 1_000 * self.speed)

    def seconds_until(self, event: int, now: float) -> float:
        """Return the seconds until a trip of this event time (epoch ms) is due."""
        if self.speed is None:
            return 0.0
        return self.clock + (event - self.event) / 1_000 / self.speed - now


REAL_TIME: Final = EventTimeSchedule(speed=1.0)
"""Event time equals the time on the clock."""
