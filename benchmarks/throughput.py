"""Trips per second from Kafka to Kafka and to the stores, compared with peers and upper bounds."""

from collections.abc import Sequence
from typing import Final

from benchmarks.benchmark_run import BenchmarkRun
from benchmarks.figures import Measurement
from benchmarks.section import Section, Target, ratio
from benchmarks.systems import DECODE, ENRICHED, OURS, STORES, TWO, build_entries

_TEXT: Final = (
    "Five-minute windows of all four entities over the same log. Rates exclude the time of the "
    "same command over 1,000 trips (the start); `whole` includes it."
)
MAX_MIB: Final = 572.0
"""The limit of the flow's peak memory: 600 MB."""

NAIVE_TARGET: Final = 200.0
CEILING_TARGET: Final = 0.4

_TARGETS: Final = (
    (OURS, "flink-tuned", 3.0),
    (TWO, "flink-tuned", 3.0),
    (OURS, "bytewax-fold-window", NAIVE_TARGET),
    (OURS, DECODE, CEILING_TARGET),
    (ENRICHED, "flink-tuned", 1.0),
    (STORES, "flink-documented", 1.0),
    (STORES, "flink-jdbc", 0.6),
)


def measure(benchmark: BenchmarkRun) -> Section:
    """Run the systems in turn."""
    measured = benchmark.measure_in_turn(build_entries(benchmark, benchmark.systems))
    return Section("throughput", "Throughput", _TEXT, tuple(measured), targets=_targets(measured))


def _targets(measured: Sequence[Measurement]) -> tuple[Target, ...]:
    targets = [
        Target(f"{system} / {other}", found, bound)
        for system, other, bound in _TARGETS
        if (found := ratio(measured, system, other)) is not None
    ]
    targets += [
        Target(f"{OURS}: peak memory, MiB", each.peak_mb, MAX_MIB, most=True)
        for each in measured
        if each.system == OURS
    ]
    return tuple(targets)
