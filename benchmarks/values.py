"""What reading a trip costs in each format of messages (MOBILITY_VALUE)."""

import time
from collections.abc import Sequence
from statistics import median
from typing import Final

from benchmarks.benchmark_run import BenchmarkRun
from benchmarks.odd_messages import records
from benchmarks.section import Section
from benchmarks.timed_command import BenchmarkError
from benchmarks.wrapped_messages import Wrapping, wrappings
from mobility.trips import decode_trips
from mobility.validation import TripRules

_MESSAGES: Final = 20_000
_PAIRS: Final = 5
"""Pairs of batches a repetition: one takes a tenth of a second."""

_RULES: Final = TripRules()

_TEXT: Final = (
    f"CPU time of decoding a batch of {_MESSAGES:,} messages that hold the same trips, by that of "
    "plain JSON: the median of pairs, one after the other. Envelopes as connectors write them are "
    "taken off by columns, others one by one; values in frames are read one by one."
)


def measure(benchmark: BenchmarkRun) -> Section:
    """Decode batches of each format in turn with plain JSON."""
    trips = records(_MESSAGES)
    json, *others = wrappings(trips[0])
    plain = [json.make(trip) for trip in trips]
    rows = [_row(json, plain, [1.0], [_seconds(json, plain)])]
    for each in others:
        with benchmark.runner.step(f"values: {each.name}"):
            values = [each.make(trip) for trip in trips]
            _check(each, values)
            pairs = [
                (_seconds(each, values), _seconds(json, plain))
                for _ in range(benchmark.repeat * _PAIRS)
            ]
            ratios = [own / ordinary for own, ordinary in pairs]
            rows.append(_row(each, values, ratios, [own for own, _ in pairs]))
    headings = ("messages", "bytes each", "CPU each, µs", "/ json")
    return Section("values", "Formats of messages", _TEXT, headings=headings, rows=tuple(rows))


def _row(
    each: Wrapping, values: Sequence[bytes], ratios: Sequence[float], seconds: Sequence[float]
) -> tuple[str, ...]:
    size = sum(map(len, values)) / len(values)
    micros = median(seconds) / len(values) * 1e6
    return each.name, f"{size:,.0f}", f"{micros:.1f}", f"{median(ratios):.2f}"


def _seconds(each: Wrapping, values: Sequence[bytes]) -> float:
    """Return the CPU seconds of all threads that decode a batch."""
    began = time.process_time()
    decode_trips(values, _RULES, each.form)
    return time.process_time() - began


def _check(each: Wrapping, values: Sequence[bytes]) -> None:
    """Raise BenchmarkError where not all messages are trips."""
    rejected = decode_trips(values, _RULES, each.form).rejected
    if rejected.height:
        msg = f"values: {each.name}: {rejected.height} dead letters, as {rejected.row(0)}"
        raise BenchmarkError(msg)
