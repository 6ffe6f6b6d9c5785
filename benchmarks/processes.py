"""The cost of more processes: CPU and memory of one, two and three."""

from typing import Final

from benchmarks.benchmark_run import BenchmarkRun
from benchmarks.measured_flow import MeasuredFlow
from benchmarks.section import Section, Target
from benchmarks.workload import Workload

_COUNTS: Final = (1, 2, 3)
_MAX_RATIO: Final = 1.2

_TEXT: Final = (
    "The same log in one, two and three processes. On a machine without enough cores, CPU per trip "
    "shows how the flow would scale."
)


def measure(benchmark: BenchmarkRun) -> Section:
    """Run the flow in one, two and three processes in turn."""
    log = benchmark.log(Workload(benchmark.trips))
    flows = [
        MeasuredFlow(f"{count} process{'es' * (count > 1)}", processes=count) for count in _COUNTS
    ]
    measured = benchmark.measure_in_turn([(flow, log, "") for flow in flows])
    one = measured[0].cpu_a_trip
    targets = [
        Target(f"CPU per trip, {each.system} / 1", each.cpu_a_trip / one, _MAX_RATIO, most=True)
        for each in measured[1:]
    ]
    return Section("processes", "Processes", _TEXT, tuple(measured), targets=tuple(targets))
