"""The cost of recovery with many open windows, and the time of a restart."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from audit.command_runner import ShowProgress
from benchmarks.benchmark_run import BenchmarkRun
from benchmarks.measured_flow import MeasuredFlow
from benchmarks.section import Section, Target, ratio
from benchmarks.service import messages_read, run_service, wait_until
from benchmarks.timed_command import run_timed
from benchmarks.trip_log import TripLog
from benchmarks.workload import Workload, make_trips
from broker.topic_reader import TopicReader
from mobility.entities import ENTITIES
from mobility.settings import Settings
from mobility.topics import aggregated_topic

_PASSENGERS: Final = 1_000_000
_SECONDS: Final = 500
"""Event time of the whole log: two windows, of which no state is cleaned up."""

_MIN_RATIO: Final = 0.95
_MAX_RESTART: Final = 5.0
_TIMEOUT: Final = 300.0
_NEW_TRIPS: Final = 1_000

_TEXT: Final = (
    "A log of a million passengers whose windows all stay open, with snapshots every 10 s and "
    "without; and the time from a restart of the flow with that state to its first message in "
    "`aggregated.driver`."
)


def measure(benchmark: BenchmarkRun) -> Section:
    """Measure throughput with recovery and without, and a restart."""
    load = Workload(benchmark.trips, _PASSENGERS, max(1, benchmark.trips // _SECONDS))
    log = benchmark.log(load)
    with_recovery, without = (
        MeasuredFlow("with recovery"),
        MeasuredFlow("without recovery", recovery=False),
    )
    measured = benchmark.measure_in_turn([(with_recovery, log, ""), (without, log, "")])
    windows = log.expected.windows.height
    with benchmark.runner.step(f"restart with {windows:,} open windows") as update:
        seconds = restart(log, update)
    targets = (
        Target(
            f"throughput with recovery / without, {windows:,} open windows",
            ratio(measured, with_recovery.name, without.name) or 0.0,
            _MIN_RATIO,
        ),
        Target("restart to the first output, s", seconds, _MAX_RESTART, most=True),
    )
    return Section("recovery", "Recovery", _TEXT, tuple(measured), targets=targets)


def restart(log: TripLog, update: ShowProgress) -> float:
    """Return the seconds from a restart of the flow to its first output."""
    log.reset_output()
    with TemporaryDirectory(prefix="mobility-bench-") as folder:
        status = Path(folder) / "status"
        settings = msgspec.structs.replace(log.settings, status_dir=str(status))
        command = ("dataflows", "-r", str(Path(folder) / "recovery"))
        with run_service(log.runner, settings, *command):
            update("reading the log")
            wait_until(lambda: messages_read(status) >= log.rows, "the log was read", _TIMEOUT)
        update("new trips")
        _send_new_trips(log)
        has_output = _output_check(settings)
        update("restarting")
        with run_service(log.runner, settings, *command):
            return wait_until(has_output, "the flow wrote a window", _TIMEOUT)


def _send_new_trips(log: TripLog) -> None:
    """Send the trips that follow those of the log."""
    file = log.runner.folder / "new_trips.parquet"
    longer = replace(log.workload, rows=log.rows + _NEW_TRIPS)
    make_trips(longer).tail(_NEW_TRIPS).write_parquet(file)
    command = [sys.executable, "-m", "producer", str(file), "--speed", "max"]
    run_timed(command, log.runner.folder / "producer.log", environ=log.environ(log.settings))


def _output_check(settings: Settings) -> Callable[[], bool]:
    """Return a function that tells whether the first entity's topic has new messages."""
    reader = TopicReader(settings, aggregated_topic(settings, ENTITIES[0]))
    before = reader.ends()
    return lambda: reader.ends() != before
