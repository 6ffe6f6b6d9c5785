"""The regression guard: ratios alone, on few trips, in under three minutes."""

from typing import Final

from benchmarks.bench import Bench
from benchmarks.figures import Measured
from benchmarks.section import ratio
from benchmarks.systems import DECODE, OURS, entries
from benchmarks.throughput import CEILING_TARGET, NAIVE_TARGET
from benchmarks.workload import Load

TRIPS: Final = 400_000
NAIVE_TRIPS: Final = 20_000
"""Enough for the rate that it keeps: while it knows few ids, a trip costs a sixth of that."""

REPEAT: Final = 3

_NAIVE: Final = "bytewax-fold-window"
_TOLERATED: Final = 0.5
"""The share of a target below which the guard fails: less would be noise."""


def guard(bench: Bench) -> tuple[str, bool]:
    """Measure; return the last line to print, and whether no ratio is below half of its target."""
    found = entries(bench, [OURS, DECODE, _NAIVE])
    system, _, note = found[-1]
    measured = bench.in_turn([*found[:-1], (system, bench.log(Load(NAIVE_TRIPS)), note)])
    return verdict(measured)


def verdict(measured: list[Measured]) -> tuple[str, bool]:
    """Return the line with the ratios, and whether they will do."""
    naive = ratio(measured, OURS, _NAIVE) or 0.0
    ceiling = ratio(measured, OURS, DECODE) or 0.0
    passes = naive >= _TOLERATED * NAIVE_TARGET and ceiling >= _TOLERATED * CEILING_TARGET
    return f"naive={naive:.1f} ceiling={ceiling:.2f}", passes
