"""Memory as a function of the number of ids."""

from typing import Final

from benchmarks.benchmark_run import BenchmarkRun
from benchmarks.measured_flow import MeasuredFlow
from benchmarks.section import Section, Target
from benchmarks.throughput import MAX_MIB
from benchmarks.workload import PASSENGERS, Workload

_PASSENGERS: Final = (10_000, 100_000, 1_000_000)

_TEXT: Final = (
    "Peak memory of the flow with ten thousand, a hundred thousand and a million passengers: it "
    "grows with the number of open windows only."
)


def measure(benchmark: BenchmarkRun) -> Section:
    """Run the flow over three logs that differ in the number of passengers."""
    loads = [Workload(benchmark.trips, passengers) for passengers in _PASSENGERS]
    entries = [
        (MeasuredFlow(f"{each.passengers:,} passengers"), benchmark.log(each), "") for each in loads
    ]
    measured = benchmark.measure_in_turn(entries)
    usual = measured[_PASSENGERS.index(PASSENGERS)]
    target = Target(f"peak MiB with {usual.system}", usual.peak_mb, MAX_MIB, most=True)
    return Section("memory", "Memory", _TEXT, tuple(measured), targets=(target,))
