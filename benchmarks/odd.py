"""The cost of decoding messages in unusual forms, compared with messages in the usual form."""

import time
from collections.abc import Sequence
from statistics import median
from typing import Final

from benchmarks.benchmark_run import BenchmarkRun
from benchmarks.odd_messages import KINDS, Kind, Trip, records
from benchmarks.section import Section, Target
from benchmarks.timed_command import BenchmarkError
from mobility.trips import decode_trips
from mobility.validation import TripRules

_MESSAGES: Final = 20_000
_EVERY: Final = (1, 100, _MESSAGES)
_PAIRS: Final = 5
"""Pairs of batches per repetition."""

_MOST: Final = 1.3
_RULES: Final = TripRules()

_TEXT: Final = (
    f"CPU time to decode a batch of {_MESSAGES:,} messages of which all, 1 in 100 or a single one "
    "have an unusual form, divided by the CPU time for the same messages in the usual form; the "
    "median of pairs that run in turn. Trips have no limit where there is more to parse, or where "
    "nobody writes such messages. Each dead letter is validated by itself, for a reason in words."
)


def measure(benchmark: BenchmarkRun) -> Section:
    """Decode batches with messages of each kind and batches without, in turn."""
    trips = records(_MESSAGES)
    found = []
    for kind in KINDS:
        with benchmark.runner.step(f"odd: {kind.name}"):
            found.append(_ratios(kind, trips, benchmark.repeat * _PAIRS))
    return section(found)


def section(found: Sequence[Sequence[float]]) -> Section:
    """Return the table of ratios; `found` has those of each kind, in the order of KINDS."""
    rows = [
        (kind.name if kind.is_trip else f"dead letter: {kind.name}", *(f"{r:.2f}" for r in ratios))
        for kind, ratios in zip(KINDS, found, strict=True)
    ]
    return Section(
        "odd",
        "Unusual forms",
        _TEXT,
        headings=("messages", "all", "1 in 100", f"1 in {_MESSAGES:,}"),
        rows=tuple(rows),
        targets=tuple(_targets(found)),
    )


def _targets(found: Sequence[Sequence[float]]) -> list[Target]:
    """Return targets for single kinds, and for the most expensive of the others."""
    both = list(zip(KINDS, found, strict=True))
    own = [
        Target(f"{kind.name}: CPU / usual form", max(ratios), _MOST, most=True)
        for kind, ratios in both
        if kind.target == "own"
    ]
    shared = [(kind, ratios) for kind, ratios in both if kind.target == "shared"]
    others = {kind.name: max(ratios) for kind, ratios in shared if kind.is_trip}
    dead = {kind.name: max(ratios[1:]) for kind, ratios in shared if not kind.is_trip}
    dearest, dearest_dead = max(others, key=others.__getitem__), max(dead, key=dead.__getitem__)
    return [
        *own,
        Target(f"most expensive of the other trips: {dearest}", others[dearest], _MOST, most=True),
        Target(
            f"1 % of dead letters, most expensive: {dearest_dead}",
            dead[dearest_dead],
            _MOST,
            most=True,
        ),
    ]


def _ratios(kind: Kind, trips: Sequence[Trip], pairs: int) -> list[float]:
    ordinary = [kind.ordinary(trip) for trip in trips]
    odd = [kind.make(trip) for trip in trips]
    ratios = []
    for every in _EVERY:
        mixed = [
            odd[place] if place % every == every // 2 else each
            for place, each in enumerate(ordinary)
        ]
        _check(kind, mixed, every)
        ratios.append(median(_seconds(mixed) / _seconds(ordinary) for _ in range(pairs)))
    return ratios


def _seconds(values: Sequence[bytes]) -> float:
    """Return the CPU seconds of all threads of this process to decode a batch."""
    began = time.process_time()
    decode_trips(values, _RULES)
    return time.process_time() - began


def _check(kind: Kind, values: Sequence[bytes], every: int) -> None:
    """Raise BenchmarkError if trips are rejected, or dead letters are accepted."""
    rejected = decode_trips(values, _RULES).rejected.height
    expected = 0 if kind.is_trip else len(values) // every
    if rejected != expected:
        msg = f"odd: {kind.name}: {rejected} dead letters, not {expected}"
        raise BenchmarkError(msg)
