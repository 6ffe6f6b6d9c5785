"""The regression check: ratios only, on fewer trips."""

from dataclasses import replace
from typing import Final

from benchmarks.benchmark_run import BenchmarkRun
from benchmarks.figures import Measurement
from benchmarks.section import ratio
from benchmarks.systems import DECODE, OURS, build_entries
from benchmarks.throughput import CEILING_TARGET, NAIVE_TARGET

TRIPS: Final = 1_000_000
"""With less than half of them, what the end of a run takes is most of the time of the flow."""

REPEAT: Final = 3

_NAIVE: Final = "bytewax-fold-window"
_TOLERATED_SHARE: Final = 0.5
"""The check fails below this share of a target: smaller differences may be noise."""


def check_ratios(benchmark: BenchmarkRun) -> tuple[str, bool]:
    """Measure; return the last line to print, and whether no ratio is below half of its target."""
    # Once: it takes more than a minute, so other load on the machine averages out.
    naive = replace(benchmark, repeat=1)
    measured = naive.measure_in_turn(build_entries(naive, [_NAIVE]))
    return summarize(
        [*benchmark.measure_in_turn(build_entries(benchmark, [OURS, DECODE])), *measured]
    )


def summarize(measured: list[Measurement]) -> tuple[str, bool]:
    """Return the line with the ratios, and whether they pass."""
    naive = ratio(measured, OURS, _NAIVE) or 0.0
    ceiling = ratio(measured, OURS, DECODE) or 0.0
    passes = (
        naive >= _TOLERATED_SHARE * NAIVE_TARGET and ceiling >= _TOLERATED_SHARE * CEILING_TARGET
    )
    return f"naive={naive:.1f} ceiling={ceiling:.2f}", passes
