"""The regression guard: ratios alone, on few trips, in under three minutes."""

from dataclasses import replace
from typing import Final

from benchmarks.bench import Bench
from benchmarks.figures import Measured
from benchmarks.section import ratio
from benchmarks.systems import DECODE, OURS, entries
from benchmarks.throughput import CEILING_TARGET, NAIVE_TARGET

TRIPS: Final = 400_000
REPEAT: Final = 3

_NAIVE: Final = "bytewax-fold-window"
_TOLERATED: Final = 0.5
"""The share of a target below which the guard fails: less would be noise."""


def guard(bench: Bench) -> tuple[str, bool]:
    """Measure; return the last line to print, and whether no ratio is below half of its target."""
    # Once: it takes more than a minute, in which what else the machine does evens out.
    naive = replace(bench, repeat=1)
    measured = naive.in_turn(entries(naive, [_NAIVE]))
    return verdict([*bench.in_turn(entries(bench, [OURS, DECODE])), *measured])


def verdict(measured: list[Measured]) -> tuple[str, bool]:
    """Return the line with the ratios, and whether they will do."""
    naive = ratio(measured, OURS, _NAIVE) or 0.0
    ceiling = ratio(measured, OURS, DECODE) or 0.0
    passes = naive >= _TOLERATED * NAIVE_TARGET and ceiling >= _TOLERATED * CEILING_TARGET
    return f"naive={naive:.1f} ceiling={ceiling:.2f}", passes
