"""What many partitions cost a process: threads, descriptors, CPU time at rest, memory, CPU a trip.

CPU time of this process alone, so the figures depend little on what else the machine does.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from benchmarks.benchmark_log import BenchmarkLog
from benchmarks.benchmark_run import START_TRIPS, BenchmarkRun
from benchmarks.measured_flow import MeasuredFlow
from benchmarks.section import Section, Target
from benchmarks.service import messages_read, run_service, wait_until
from benchmarks.timed_command import cpu_seconds_of
from benchmarks.workload import Workload

_FEW: Final = 4
_MANY: Final = 200
_SECONDS: Final = 30.0
_SETTLE_SECONDS: Final = 15.0
"""After the log is read: partitions become idle, and the first epoch ends."""

_TIMEOUT: Final = 300.0
_MAX_THREADS: Final = 60
_MAX_DESCRIPTORS: Final = 300
_MAX_IDLE_PERCENT: Final = 5.0
_MAX_RATIO: Final = 1.3

_TEXT: Final = (
    f"One process that reads a log of {_FEW} or {_MANY} partitions, with the default memory for "
    "fetched messages. At rest it has read everything and nothing arrives: threads, open "
    f"descriptors, and CPU time over {_SECONDS:.0f} s as a share of one core."
)


@dataclass(frozen=True, slots=True)
class AtRest:
    """A process that has nothing to do; `percent` is its CPU time as a share of one core."""

    threads: int
    descriptors: int
    percent: float


def measure(benchmark: BenchmarkRun) -> Section:
    """Run the flow over two logs in turn, then let it wait at the end of each of two short ones."""
    entries = [
        (
            MeasuredFlow(f"{count} partitions"),
            benchmark.log(Workload(benchmark.trips, partitions=count)),
            "",
        )
        for count in (_FEW, _MANY)
    ]
    few, many = benchmark.measure_in_turn(entries)
    at_rest = {
        count: _measure_at_rest(
            benchmark, benchmark.log(Workload(START_TRIPS, partitions=count)), count
        )
        for count in (_FEW, _MANY)
    }
    rows = tuple(
        (f"{count}", f"{each.threads}", f"{each.descriptors}", f"{each.percent:.1f}")
        for count, each in at_rest.items()
    )
    widest = at_rest[_MANY]
    targets = (
        Target(f"threads at {_MANY} partitions", widest.threads, _MAX_THREADS, most=True),
        Target(
            f"descriptors at {_MANY} partitions", widest.descriptors, _MAX_DESCRIPTORS, most=True
        ),
        Target(
            f"CPU at rest at {_MANY} partitions, %", widest.percent, _MAX_IDLE_PERCENT, most=True
        ),
        Target(
            f"CPU per trip, {_MANY} partitions / {_FEW}",
            many.cpu_a_trip / few.cpu_a_trip,
            _MAX_RATIO,
            most=True,
        ),
    )
    return Section(
        "partitions",
        "Partitions",
        _TEXT,
        (few, many),
        headings=("partitions at rest", "threads", "descriptors", "CPU %"),
        rows=rows,
        targets=targets,
    )


def _measure_at_rest(benchmark: BenchmarkRun, log: BenchmarkLog, count: int) -> AtRest:
    with (
        benchmark.runner.step(f"{count} partitions at rest, {_SECONDS:.0f} s"),
        _running_flow(benchmark, log) as process,
    ):
        time.sleep(_SETTLE_SECONDS)
        own = Path(f"/proc/{process}")
        cpu, began = cpu_seconds_of(process), time.monotonic()
        time.sleep(_SECONDS)
        used = cpu_seconds_of(process) - cpu
        return AtRest(
            len(list((own / "task").iterdir())),
            len(list((own / "fd").iterdir())),
            100 * used / (time.monotonic() - began),
        )


@contextmanager
def _running_flow(benchmark: BenchmarkRun, log: BenchmarkLog) -> Iterator[int]:
    """Yield the process id of a flow that has read a log and waits for more."""
    log.reset_output()
    with TemporaryDirectory(prefix="mobility-bench-") as folder:
        status = Path(folder) / "status"
        settings = msgspec.structs.replace(
            log.settings, read="forever", stores=(), status_dir=str(status)
        )
        interval = str(settings.snapshot_interval)
        flow = ("bytewax.run", "dataflows.main", "-r", folder, "-s", interval, "-b", "0")
        with run_service(benchmark.runner, settings, *flow) as process:
            wait_until(
                lambda: messages_read(status) == log.rows, "the flow has read its log", _TIMEOUT
            )
            yield process
