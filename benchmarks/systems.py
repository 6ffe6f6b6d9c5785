"""The systems of the throughput table by name: this one, the ceilings and the peers."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from audit.command_runner import ShowProgress
from benchmarks.bench import Bench, System
from benchmarks.figures import Run
from benchmarks.flow import Flow
from benchmarks.log import TripLog
from benchmarks.peers import table
from benchmarks.peers.run import PeerRunner
from benchmarks.running import BenchmarkError, timed
from benchmarks.workload import Load


@dataclass(slots=True)
class Ceiling:
    """A process that consumes the log, with or without decoding it, and writes nothing."""

    name: str
    decode: bool
    check: str = ""

    def run(self, log: TripLog, update: ShowProgress) -> Run:
        """Read the log; raise BenchmarkError where trips are missing."""
        update("reading")
        output = log.commands.folder / "ceiling.log"
        place = ["--brokers", log.settings.kafka, "--topic", log.topic]
        flag = ["--decode"] if self.decode else []
        run = timed(
            [sys.executable, "-m", "benchmarks.ceiling", *place, *flag],
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
    OURS: "Kafka to four `aggregated.*` topics, all semantics on",
    TWO: "the same with `--processes 2`, as Flink has parallelism 2",
    ENRICHED: "the first and four `enriched.*` topics",
    STORES: "the same as the first, and Redis and Postgres to the last row",
    "consume": "ceiling: one process reads, no more",
    DECODE: "ceiling: one process reads and decodes, no more",
}

NAMES: Final = (*_NOTES, *table.BY_NAME)


def entries(bench: Bench, names: Sequence[str]) -> list[tuple[System, TripLog, str]]:
    """Return systems with their logs and notes; one that can't run here is told of and left out."""
    found: list[tuple[System, TripLog, str]] = []
    for name in names:
        if name in _NOTES:
            found.append((_own(name), bench.log(Load(bench.trips)), _NOTES[name]))
            continue
        peer = table.BY_NAME[name]
        try:
            with bench.commands.step(f"{name}: its environment"):
                runner = PeerRunner.ready(peer)
        except BenchmarkError as error:
            bench.console.print(str(error), style="yellow", markup=False)
            continue
        rows = min(bench.trips, peer.most_trips or bench.trips)
        found.append((runner, bench.log(Load(rows)), peer.note))
    return found


def _own(name: str) -> System:
    match name:
        case "mobility-hub-two-processes":
            return Flow(name, processes=2)
        case "mobility-hub-enriched":
            return Flow(name, enriched=True)
        case "mobility-hub-stores":
            return Flow(name, stores=True)
        case "consume" | "consume-and-decode":
            return Ceiling(name, decode=name == DECODE)
    return Flow(name)
