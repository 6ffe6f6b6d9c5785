"""A benchmark run: the logs that measurements share, and systems that are measured in turn."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from rich.console import Console

from audit.command_runner import CommandRunner, ShowProgress
from benchmarks.figures import Measurement, RunFigures
from benchmarks.trip_log import TripLog
from benchmarks.workload import Workload
from mobility.settings import Settings

START_TRIPS: Final = 1_000
"""Trips of the log that measures the start: the time of a run over it is subtracted."""


class MeasuredSystem(Protocol):
    """A system that can process a log of trips to its end."""

    @property
    def name(self) -> str:
        """The name in tables."""

    @property
    def check(self) -> str:
        """The result of comparing the last run's output."""

    def run(self, log: TripLog, update: ShowProgress) -> RunFigures:
        """Run once; raise BenchmarkError if it fails or its output is wrong."""


@dataclass(slots=True)
class BenchmarkRun:
    """What all measurements of a run share: settings, options and logs of trips."""

    settings: Settings
    runner: CommandRunner
    trips: int
    repeat: int
    systems: tuple[str, ...]
    _logs: dict[Workload, TripLog] = field(default_factory=dict)

    @property
    def console(self) -> Console:
        """The console that shows progress."""
        return self.runner.console

    def log(self, load: Workload) -> TripLog:
        """Return the log of a workload; it is written at the first call."""
        if load not in self._logs:
            log = TripLog.of(self.settings, load, self.runner)
            log.fill()
            self._logs[load] = log
        return self._logs[load]

    def measure_in_turn(
        self, entries: Sequence[tuple[MeasuredSystem, TripLog, str]]
    ) -> list[Measurement]:
        """Run each system over its log, one after the other, and repeat all of them.

        An entry is a system, its log and a note for the table. Systems run in turn, so that other
        load on the machine affects all of them.
        """
        few = self.log(Workload(START_TRIPS))
        starts: list[list[RunFigures]] = [[] for _ in entries]
        runs: list[list[RunFigures]] = [[] for _ in entries]
        for number in range(1, self.repeat + 1):
            for index, (system, log, _) in enumerate(entries):
                which = f"{number} of {self.repeat}"
                starts[index].append(self._run_once(system, few, which))
                runs[index].append(self._run_once(system, log, which))
        return [
            Measurement(system.name, log.rows, tuple(r), few.rows, tuple(s), system.check, note)
            for (system, log, note), r, s in zip(entries, runs, starts, strict=True)
        ]

    def _run_once(self, system: MeasuredSystem, log: TripLog, which: str) -> RunFigures:
        log.expected  # noqa: B018 - computed before anything is timed
        with self.runner.step(f"{system.name}, {log.rows:,} trips, {which}") as update:
            run = system.run(log, update)
        figures = f"{run.seconds:.1f} s, {run.cpu_seconds:.1f} s of CPU, {run.peak_mb:.0f} MiB"
        self.console.print(f"  {figures}  {system.check}", markup=False, highlight=False)
        return run
