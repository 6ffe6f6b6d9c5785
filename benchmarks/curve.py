"""How run time grows with the length of the log."""

from collections.abc import Sequence
from typing import Final

from benchmarks.benchmark_run import BenchmarkRun
from benchmarks.figures import Measurement
from benchmarks.measured_flow import MeasuredFlow
from benchmarks.section import Section, Target
from benchmarks.workload import Workload

_SHARES: Final = (0.1, 1, 5)
_MAX_DEVIATION: Final = 0.10

_TEXT: Final = (
    "Logs of a tenth, the whole and five times the workload: time grows linearly with the trips."
)


def measure(benchmark: BenchmarkRun) -> Section:
    """Run the flow over logs of three lengths in turn."""
    rows = [round(benchmark.trips * share) for share in _SHARES]
    entries = [
        (MeasuredFlow(f"{each:,} trips"), benchmark.log(Workload(each)), "") for each in rows
    ]
    measured = benchmark.measure_in_turn(entries)
    target = Target(
        "largest deviation of a rate from that of the middle length",
        deviation(measured),
        _MAX_DEVIATION,
        most=True,
    )
    return Section("curve", "Length of the log", _TEXT, tuple(measured), targets=(target,))


def deviation(measured: Sequence[Measurement]) -> float:
    """Return the largest deviation of a rate from that of the middle length, as a share of it."""
    middle = measured[len(measured) // 2].rate
    return max(abs(each.rate / middle - 1) for each in measured)
