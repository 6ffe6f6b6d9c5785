"""What more processes cost: CPU and memory of one, two and three."""

from typing import Final

from benchmarks.bench import Bench
from benchmarks.flow import Flow
from benchmarks.section import Section, Target
from benchmarks.workload import Load

_COUNTS: Final = (1, 2, 3)
_MOST: Final = 1.2

_TEXT: Final = (
    "The same log in one, two and three processes. Where there are no cores for them, CPU a trip "
    "is what tells how it would scale."
)


def measure(bench: Bench) -> Section:
    """Run the flow in one, two and three processes in turn."""
    log = bench.log(Load(bench.trips))
    flows = [Flow(f"{count} process{'es' * (count > 1)}", processes=count) for count in _COUNTS]
    measured = bench.in_turn([(flow, log, "") for flow in flows])
    one = measured[0].cpu_a_trip
    targets = [
        Target(f"CPU a trip, {each.system} / 1", each.cpu_a_trip / one, _MOST, most=True)
        for each in measured[1:]
    ]
    return Section("processes", "Processes", _TEXT, tuple(measured), targets=tuple(targets))
