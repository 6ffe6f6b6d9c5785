"""The systems of the throughput table by name: this one, upper bounds and peers."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from audit.command_runner import ShowProgress
from benchmarks.benchmark_run import BenchmarkRun, MeasuredSystem
from benchmarks.figures import RunFigures
from benchmarks.measured_flow import MeasuredFlow
from benchmarks.peers import table
from benchmarks.peers.run import PeerRunner
from benchmarks.timed_command import BenchmarkError, run_timed
from benchmarks.trip_log import TripLog
from benchmarks.workload import Workload


@dataclass(slots=True)
class Ceiling:
    """An upper bound: a process that consumes the log, may decode it, and writes nothing."""

    name: str
    decode: bool
    check: str = ""

    def run(self, log: TripLog, update: ShowProgress) -> RunFigures:
        """Read the log; raise BenchmarkError if trips are missing."""
        update("reading")
        output = log.runner.folder / "ceiling.log"
        flag = ["--decode"] if self.decode else []
        run = run_timed(
            [sys.executable, "-m", "benchmarks.ceiling", *flag],
            output,
            environ=log.environ(log.settings),
        )
        if output.read_text().split() != [str(log.rows)]:
            msg = f"{self.name} read {output.read_text().strip()} trips of {log.rows:,}"
            raise BenchmarkError(msg)
        self.check = "every trip read"
        return run


OURS: Final = "mobility-hub"
TWO: Final = "mobility-hub-two-processes"
ENRICHED: Final = "mobility-hub-enriched"
STORES: Final = "mobility-hub-stores"
DECODE: Final = "consume-and-decode"

_NOTES: Final = {
    OURS: "Kafka to four `aggregated.*` topics, with all semantics",
    TWO: "the same with `--processes 2`, as Flink has parallelism 2",
    ENRICHED: "the first, and four `enriched.*` topics",
    STORES: "the first, and all rows in Redis and Postgres",
    "consume": "upper bound: one process only reads",
    DECODE: "upper bound: one process only reads and decodes",
}

NAMES: Final = (*_NOTES, *table.BY_NAME)


def build_entries(
    benchmark: BenchmarkRun, names: Sequence[str]
) -> list[tuple[MeasuredSystem, TripLog, str]]:
    """Return systems with logs and notes; a peer that can't run here is reported and skipped."""
    found: list[tuple[MeasuredSystem, TripLog, str]] = []
    for name in names:
        if name in _NOTES:
            found.append(
                (_own_system(name), benchmark.log(Workload(benchmark.trips)), _NOTES[name])
            )
            continue
        peer = table.BY_NAME[name]
        try:
            with benchmark.runner.step(f"{name}: its environment"):
                runner = PeerRunner.ready(peer)
        except BenchmarkError as error:
            benchmark.console.print(str(error), style="yellow", markup=False)
            continue
        rows = min(benchmark.trips, peer.most_trips or benchmark.trips)
        found.append((runner, benchmark.log(Workload(rows)), peer.note))
    return found


def _own_system(name: str) -> MeasuredSystem:
    match name:
        case "mobility-hub-two-processes":
            return MeasuredFlow(name, processes=2)
        case "mobility-hub-enriched":
            return MeasuredFlow(name, enriched=True)
        case "mobility-hub-stores":
            return MeasuredFlow(name, stores=True)
        case "consume" | "consume-and-decode":
            return Ceiling(name, decode=name == DECODE)
    return MeasuredFlow(name)
