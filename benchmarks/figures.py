"""What the measured runs come to: medians, spread and rates. Pure."""

from dataclasses import dataclass
from statistics import median
from typing import Final

_LEAST_WORK: Final = 0.25


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a command: wall seconds, CPU seconds and peak memory (MiB) of its processes."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


@dataclass(frozen=True, slots=True)
class Measured:
    """A system's runs over `trips` trips, and over few, which show what a start costs.

    `check` says what its output was compared with, and what came out; `note` what a reader of the
    table must know.
    """

    system: str
    trips: int
    runs: tuple[Run, ...]
    few_trips: int
    starts: tuple[Run, ...]
    check: str = ""
    note: str = ""

    @property
    def rates(self) -> list[float]:
        """Trips a second of each run, its start left out.

        At least a quarter of a run counts as work, so that a start that something else slowed down
        can't make a rate out of nothing.
        """
        trips = self.trips - self.few_trips
        start = median(run.seconds for run in self.starts)
        work = [max(run.seconds - start, run.seconds * _LEAST_WORK) for run in self.runs]
        return [trips / seconds for seconds in work]

    @property
    def rate(self) -> float:
        """The median of trips a second."""
        return median(self.rates)

    @property
    def whole_rate(self) -> float:
        """The median of trips a second with the start, from the command to its exit."""
        return median(self.trips / run.seconds for run in self.runs)

    @property
    def cpu_a_trip(self) -> float:
        """The median of CPU microseconds a trip, the start left out."""
        runs, starts = ([run.cpu_seconds for run in each] for each in (self.runs, self.starts))
        return (median(runs) - median(starts)) / (self.trips - self.few_trips) * 1e6

    @property
    def peak_mb(self) -> float:
        """The highest peak memory of all runs, in MiB."""
        return max(run.peak_mb for run in self.runs)

    @property
    def spread(self) -> float:
        """The distance between the fastest and the slowest run as a share of the median."""
        return (max(self.rates) - min(self.rates)) / self.rate


def percentile(values: list[float], share: float) -> float:
    """Return the value that `share` of the values do not exceed (nearest rank).

    >>> percentile([4.0, 1.0, 3.0, 2.0], 0.5)
    2.0
    """
    ordered = sorted(values)
    rank = -(-len(ordered) * share // 1)
    return ordered[max(0, int(rank) - 1)]
