"""Figures of measured runs: medians, spread and rates. Pure.

Names of fields are those of `results.json`.
"""

from dataclasses import dataclass
from statistics import median
from typing import Final

_MIN_WORK_SHARE: Final = 0.25


@dataclass(frozen=True, slots=True)
class RunFigures:
    """One run of a command: wall seconds, CPU seconds and peak memory (MiB) of its processes."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """A system's runs over `trips` trips, and over `few_trips`, which measure its start.

    `check` is the result of comparing its output; `note` explains the system in the table.
    """

    system: str
    trips: int
    runs: tuple[RunFigures, ...]
    few_trips: int
    starts: tuple[RunFigures, ...]
    check: str = ""
    note: str = ""

    @property
    def rates(self) -> list[float]:
        """Trips per second of each run, without its start.

        At least a quarter of a run counts as work, so that a slow start, subtracted from a run,
        can't give a meaningless rate.
        """
        trips = self.trips - self.few_trips
        start = median(run.seconds for run in self.starts)
        work = [max(run.seconds - start, run.seconds * _MIN_WORK_SHARE) for run in self.runs]
        return [trips / seconds for seconds in work]

    @property
    def rate(self) -> float:
        """The median of trips per second."""
        return median(self.rates)

    @property
    def whole_rate(self) -> float:
        """The median of trips per second with the start, from the command to its exit."""
        return median(self.trips / run.seconds for run in self.runs)

    @property
    def cpu_a_trip(self) -> float:
        """The median of CPU microseconds per trip, without the start."""
        runs, starts = ([run.cpu_seconds for run in each] for each in (self.runs, self.starts))
        return (median(runs) - median(starts)) / (self.trips - self.few_trips) * 1e6

    @property
    def peak_mb(self) -> float:
        """The highest peak memory of all runs, in MiB."""
        return max(run.peak_mb for run in self.runs)

    @property
    def spread(self) -> float:
        """The difference between the fastest and the slowest run, as a share of the median."""
        return (max(self.rates) - min(self.rates)) / self.rate


def percentile(values: list[float], share: float) -> float:
    """Return the value that `share` of the values do not exceed (nearest rank).

    >>> percentile([4.0, 1.0, 3.0, 2.0], 0.5)
    2.0
    """
    ordered = sorted(values)
    rank = -(-len(ordered) * share // 1)
    return ordered[max(0, int(rank) - 1)]
