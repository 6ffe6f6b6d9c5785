"""Memory over the number of ids."""

from typing import Final

from benchmarks.bench import Bench
from benchmarks.flow import Flow
from benchmarks.section import Section, Target
from benchmarks.throughput import MOST_MIB
from benchmarks.workload import PASSENGERS, Load

_PASSENGERS: Final = (10_000, 100_000, 1_000_000)

_TEXT: Final = (
    "Peak memory of the flow with ten thousand, a hundred thousand and a million passengers: it "
    "grows with the windows that are open, and with nothing else."
)


def measure(bench: Bench) -> Section:
    """Run the flow over three logs that differ in the number of passengers."""
    loads = [Load(bench.trips, passengers) for passengers in _PASSENGERS]
    entries = [(Flow(f"{each.passengers:,} passengers"), bench.log(each), "") for each in loads]
    measured = bench.in_turn(entries)
    usual = measured[_PASSENGERS.index(PASSENGERS)]
    target = Target(f"peak MiB with {usual.system}", usual.peak_mb, MOST_MIB, most=True)
    return Section("memory", "Memory", _TEXT, tuple(measured), targets=(target,))
