"""How the flow is doing, from the status files that its processes rewrite each second."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_FRESH_MS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Status:
    """What one process of the flow wrote: counts since its start, times in epoch ms."""

    pid: int
    at: int
    read: int
    windows_out: int
    late: int
    dead: int
    watermark: int | None
    lag: int


@dataclass(frozen=True, slots=True)
class Reading:
    """The flow as a whole: rates a second, the watermark's distance from now in seconds.

    `drift` is what the running audit has found to differ, None until it has said anything.
    """

    trips: float
    windows: float
    late: int
    dead: int
    behind_now: float | None
    behind_log: int
    drift: int | None = None

    def __str__(self) -> str:
        """Return the live line."""
        drift = "" if self.drift is None else f"  drift {self.drift:,}"
        behind = "unknown" if self.behind_now is None else f"{self.behind_now:,.0f} s"
        return (
            f"in {self.trips:,.0f} trips/s  out {self.windows:,.0f} windows/s  "
            f"watermark lag {behind}  log lag {self.behind_log:,}  "
            f"late {self.late:,}  dead {self.dead:,}{drift}"
        )


class Meter:
    """Reads the status files in a folder; `clock` gives epoch seconds."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock
        self._audit = folder / "audit.json"
        self._before: dict[int, Status] = {}
        self._rates: dict[int, tuple[float, float]] = {}

    def clear(self) -> None:
        """Make the folder where it is missing; remove what an earlier flow left in it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in self._folder.glob("flow-*.json"):
            path.unlink()
        self._audit.unlink(missing_ok=True)

    def statuses(self) -> list[Status]:
        """Return what the processes wrote in the last ten seconds."""
        oldest = self._clock() * 1_000 - _FRESH_MS
        found = (_parsed(path) for path in sorted(self._folder.glob("flow-*.json")))
        return [status for status in found if status is not None and status.at >= oldest]

    def read(self) -> Reading | None:
        """Return how the flow does since the last reading; None while no process says anything."""
        statuses = self.statuses()
        if not statuses:
            return None
        for status in statuses:
            self._note(status)
        rates = [self._rates[status.pid] for status in statuses]
        marks = [status.watermark for status in statuses if status.watermark is not None]
        # A process that has not heard all its partitions knows no watermark, so nobody does.
        behind = self._clock() - min(marks) / 1_000 if len(marks) == len(statuses) else None
        return Reading(
            trips=sum(trips for trips, _ in rates),
            windows=sum(windows for _, windows in rates),
            late=sum(status.late for status in statuses),
            dead=sum(status.dead for status in statuses),
            behind_now=behind,
            behind_log=sum(status.lag for status in statuses),
            drift=self._drift(),
        )

    def _drift(self) -> int | None:
        try:
            return int(json.loads(self._audit.read_text())["drift"])
        except FileNotFoundError:
            return None

    def _note(self, status: Status) -> None:
        before = self._before.get(status.pid)
        if before is None:
            self._rates[status.pid] = (0.0, 0.0)
        elif status.at > before.at:  # else it is the file that we have read already
            seconds = (status.at - before.at) / 1_000
            self._rates[status.pid] = (
                (status.read - before.read) / seconds,
                (status.windows_out - before.windows_out) / seconds,
            )
        self._before[status.pid] = status


def _parsed(path: Path) -> Status | None:
    try:
        record = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return Status(**{name: record[name] for name in Status.__slots__})
