"""Trips a second from Kafka to Kafka and to the stores, beside the peers and the ceilings."""

from collections.abc import Sequence
from typing import Final

from benchmarks.bench import Bench
from benchmarks.figures import Measured
from benchmarks.section import Section, Target, ratio
from benchmarks.systems import DECODE, ENRICHED, OURS, STORES, TWO, entries

_TEXT: Final = (
    "Five-minute windows for all four entities over the same log. Rates leave out what the same "
    "command takes over 1,000 trips (the start); `whole` does not."
)
MOST_MIB: Final = 572.0
"""The flow's peak memory is to stay below this: 600 MB."""

NAIVE_TARGET: Final = 200.0
CEILING_TARGET: Final = 0.4

_TARGETS: Final = (
    (OURS, "flink-tuned", 3.0),
    (TWO, "flink-tuned", 3.0),
    (OURS, "bytewax-fold-window", NAIVE_TARGET),
    (OURS, DECODE, CEILING_TARGET),
    (ENRICHED, "flink-tuned", 1.0),
    (STORES, "flink-documented", 1.0),
)


def measure(bench: Bench) -> Section:
    """Run the systems in turn."""
    measured = bench.in_turn(entries(bench, bench.systems))
    return Section("throughput", "Throughput", _TEXT, tuple(measured), targets=_targets(measured))


def _targets(measured: Sequence[Measured]) -> tuple[Target, ...]:
    targets = [
        Target(f"{system} / {other}", found, bound)
        for system, other, bound in _TARGETS
        if (found := ratio(measured, system, other)) is not None
    ]
    targets += [
        Target(f"{OURS}: peak memory, MiB", each.peak_mb, MOST_MIB, most=True)
        for each in measured
        if each.system == OURS
    ]
    return tuple(targets)
