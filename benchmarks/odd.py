"""What decoding costs where messages are written unlike most, beside as many ordinary ones."""

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
"""Pairs of batches a repetition: one takes a tenth of a second."""

_MOST: Final = 1.3
_RULES: Final = TripRules()

_TEXT: Final = (
    f"CPU time of decoding a batch of {_MESSAGES:,} messages in which all, one of a hundred or a "
    "single one is odd, by that of a batch of ordinary ones of the same size: the median of pairs, "
    "one after the other. Dead letters are the rows below; each is looked at by itself, as its "
    "reason is told in words."
)


def measure(benchmark: BenchmarkRun) -> Section:
    """Decode batches of each kind in turn with ordinary ones."""
    trips = records(_MESSAGES)
    found = []
    for kind in KINDS:
        with benchmark.runner.step(f"odd: {kind.name}"):
            found.append(_ratios(kind, trips, benchmark.repeat * _PAIRS))
    return section(found)


def section(found: Sequence[Sequence[float]]) -> Section:
    """Return the table of the ratios of each kind, in the order of KINDS."""
    rows = [
        (kind.name if kind.is_trip else f"dead letter: {kind.name}", *(f"{r:.2f}" for r in ratios))
        for kind, ratios in zip(KINDS, found, strict=True)
    ]
    return Section(
        "odd",
        "Odd messages",
        _TEXT,
        headings=("messages", "all", "1 in 100", f"1 in {_MESSAGES:,}"),
        rows=tuple(rows),
        targets=tuple(_targets(found)),
    )


def _targets(found: Sequence[Sequence[float]]) -> list[Target]:
    """Set a target for each kind that has one, and for the dearest of the other trips."""
    both = list(zip(KINDS, found, strict=True))
    own = [
        Target(f"{kind.name}: CPU / ordinary", max(ratios), _MOST, most=True)
        for kind, ratios in both
        if kind.target == "own"
    ]
    shared = [(kind, ratios) for kind, ratios in both if kind.target == "shared"]
    others = {kind.name: max(ratios) for kind, ratios in shared if kind.is_trip}
    dead = {kind.name: max(ratios[1:]) for kind, ratios in shared if not kind.is_trip}
    dearest, dearest_dead = max(others, key=others.__getitem__), max(dead, key=dead.__getitem__)
    return [
        *own,
        Target(f"dearest of the other trips, {dearest}", others[dearest], _MOST, most=True),
        Target(f"1 % of dead letters, {dearest_dead}", dead[dearest_dead], _MOST, most=True),
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
    """Return the CPU seconds of all threads that decode a batch."""
    began = time.process_time()
    decode_trips(values, _RULES)
    return time.process_time() - began


def _check(kind: Kind, values: Sequence[bytes], every: int) -> None:
    """Raise BenchmarkError where trips and dead letters are not what they were made as."""
    rejected = decode_trips(values, _RULES).rejected.height
    expected = 0 if kind.is_trip else len(values) // every
    if rejected != expected:
        msg = f"odd: {kind.name}: {rejected} dead letters, not {expected}"
        raise BenchmarkError(msg)
