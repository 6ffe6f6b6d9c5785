"""The subjects of `just bench`, by name."""

from collections.abc import Callable
from typing import Final

from benchmarks import (
    curve,
    live,
    memory,
    odd,
    partitions,
    processes,
    readers,
    recovery,
    requests,
    rollups,
    series,
    sinks,
    sketches,
    start,
    state,
    throughput,
    values,
)
from benchmarks.benchmark_run import BenchmarkRun
from benchmarks.section import Section

SUBJECTS: Final[dict[str, Callable[[BenchmarkRun], Section]]] = {
    "throughput": throughput.measure,
    "processes": processes.measure,
    "memory": memory.measure,
    "partitions": partitions.measure,
    "odd": odd.measure,
    "values": values.measure,
    "rollups": rollups.measure,
    "sketches": sketches.measure,
    "sinks": sinks.measure,
    "live": live.measure,
    "readers": readers.measure,
    "requests": requests.measure,
    "series": series.measure,
    "recovery": recovery.measure,
    "state": state.measure,
    "start": start.measure,
    "curve": curve.measure,
}
