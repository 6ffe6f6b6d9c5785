"""The status of the flow, from the files that its processes write every second."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

_MAX_AGE_MS: Final = 10_000
_OLD_SECONDS: Final = 2 * 86_400


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """The status of one process of the flow: counters since its start, times in epoch ms.

    Fields are named as in the file.
    """

    pid: int
    at: int
    read: int
    windows_out: int
    late: int
    dead: int
    watermark: int | None
    lag: int


@dataclass(frozen=True, slots=True)
class FlowSummary:
    """The status of the whole flow: rates per second, the watermark and its lag in seconds.

    `drift` is the number of differences that the running audit found, None before its first round.
    """

    trips: float
    windows: float
    late: int
    dead: int
    watermark: datetime | None
    watermark_lag: float | None
    log_lag: int
    drift: int | None = None

    def _watermark(self) -> str:
        """Return the lag for people; behind an old file, the time that it has reached instead."""
        if self.watermark is None or self.watermark_lag is None:
            return "watermark unknown"
        if self.watermark_lag < _OLD_SECONDS:
            return f"watermark lag {self.watermark_lag:,.0f} s"
        return f"watermark {self.watermark:%Y-%m-%d %H:%M} UTC"

    def __str__(self) -> str:
        """Return the status line."""
        drift = "" if self.drift is None else f"  drift {self.drift:,}"
        return (
            f"in {self.trips:,.0f} trips/s  out {self.windows:,.0f} windows/s  "
            f"{self._watermark()}  log lag {self.log_lag:,}  "
            f"late {self.late:,}  dead {self.dead:,}{drift}"
        )


class FlowStatusReader:
    """Reads the status files in a folder; `clock` gives epoch seconds."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock
        self._audit = folder / "audit.json"
        self._last: dict[int, ProcessStatus] = {}
        self._rates: dict[int, tuple[float, float]] = {}

    def clear(self) -> None:
        """Create the folder if it does not exist; remove the files of an earlier flow."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in self._folder.glob("flow-*.json"):
            path.unlink()
        self._audit.unlink(missing_ok=True)

    def statuses(self) -> list[ProcessStatus]:
        """Return the statuses that are at most ten seconds old."""
        oldest = self._clock() * 1_000 - _MAX_AGE_MS
        found = (_parse(path) for path in sorted(self._folder.glob("flow-*.json")))
        return [status for status in found if status is not None and status.at >= oldest]

    def read(self) -> FlowSummary | None:
        """Return the status with rates since the last call; None without a recent status."""
        statuses = self.statuses()
        if not statuses:
            return None
        for status in statuses:
            self._update_rates(status)
        rates = [self._rates[status.pid] for status in statuses]
        watermarks = [status.watermark for status in statuses if status.watermark is not None]
        # If one process has no watermark yet, the flow has none.
        seconds = min(watermarks) / 1_000 if len(watermarks) == len(statuses) else None
        return FlowSummary(
            trips=sum(trips for trips, _ in rates),
            windows=sum(windows for _, windows in rates),
            late=sum(status.late for status in statuses),
            dead=sum(status.dead for status in statuses),
            watermark=None if seconds is None else datetime.fromtimestamp(seconds, UTC),
            watermark_lag=None if seconds is None else self._clock() - seconds,
            log_lag=sum(status.lag for status in statuses),
            drift=self._read_drift(),
        )

    def _read_drift(self) -> int | None:
        try:
            return int(json.loads(self._audit.read_text())["drift"])
        except FileNotFoundError:
            return None

    def _update_rates(self, status: ProcessStatus) -> None:
        last = self._last.get(status.pid)
        if last is None:
            self._rates[status.pid] = (0.0, 0.0)
        elif status.at > last.at:  # otherwise the file has not changed
            seconds = (status.at - last.at) / 1_000
            self._rates[status.pid] = (
                (status.read - last.read) / seconds,
                (status.windows_out - last.windows_out) / seconds,
            )
        self._last[status.pid] = status


def _parse(path: Path) -> ProcessStatus | None:
    try:
        record = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return ProcessStatus(**{name: record[name] for name in ProcessStatus.__slots__})
