"""How cost grows with the length of the log."""

from collections.abc import Sequence
from typing import Final

from benchmarks.bench import Bench
from benchmarks.figures import Measured
from benchmarks.flow import Flow
from benchmarks.section import Section, Target
from benchmarks.workload import Load

_SHARES: Final = (0.1, 1, 5)
_MOST: Final = 0.10

_TEXT: Final = (
    "Logs of a tenth, the whole and five times the workload: time grows as the number of trips."
)


def measure(bench: Bench) -> Section:
    """Run the flow over logs of three lengths in turn."""
    rows = [round(bench.trips * share) for share in _SHARES]
    entries = [(Flow(f"{each:,} trips"), bench.log(Load(each)), "") for each in rows]
    measured = bench.in_turn(entries)
    target = Target(
        "largest deviation of a rate from that in the middle", deviation(measured), _MOST, most=True
    )
    return Section("curve", "Length of the log", _TEXT, tuple(measured), targets=(target,))


def deviation(measured: Sequence[Measured]) -> float:
    """Return how far rates are from the middle one's at most, as a share of it."""
    middle = measured[len(measured) // 2].rate
    return max(abs(each.rate / middle - 1) for each in measured)
