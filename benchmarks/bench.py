"""A run of measurements: the logs they share, and systems run in turn."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from rich.console import Console

from audit.command_runner import CommandRunner, ShowProgress
from benchmarks.figures import Measured, Run
from benchmarks.log import TripLog
from benchmarks.workload import Load
from mobility.settings import Settings

FEW: Final = 1_000
"""Trips of the log that shows what a start costs: what a run over it takes is left out."""


class System(Protocol):
    """Something that can be run over a log of trips to its end."""

    @property
    def name(self) -> str:
        """How it is called in tables."""

    @property
    def check(self) -> str:
        """What the last run's output was found to be."""

    def run(self, log: TripLog, update: ShowProgress) -> Run:
        """Run once; raise BenchmarkError where it fails or its output is wrong."""


@dataclass(slots=True)
class Bench:
    """What all measurements of a run share."""

    settings: Settings
    commands: CommandRunner
    trips: int
    repeat: int
    systems: tuple[str, ...]
    _logs: dict[Load, TripLog] = field(default_factory=dict)

    @property
    def console(self) -> Console:
        """Where people watch."""
        return self.commands.console

    def log(self, load: Load) -> TripLog:
        """Return the log of a load, written when first asked for."""
        if load not in self._logs:
            log = TripLog.of(self.settings, load, self.commands)
            log.fill()
            self._logs[load] = log
        return self._logs[load]

    def in_turn(self, entries: Sequence[tuple[System, TripLog, str]]) -> list[Measured]:
        """Run each system over its log, one after the other, and all of that again and again.

        Systems come with a note for the table. In turn, so that what else the machine does meets
        all of them.
        """
        few = self.log(Load(FEW))
        starts: list[list[Run]] = [[] for _ in entries]
        runs: list[list[Run]] = [[] for _ in entries]
        for number in range(1, self.repeat + 1):
            for place, (system, log, _) in enumerate(entries):
                which = f"{number} of {self.repeat}"
                starts[place].append(self._once(system, few, which))
                runs[place].append(self._once(system, log, which))
        return [
            Measured(system.name, log.rows, tuple(r), few.rows, tuple(s), system.check, note)
            for (system, log, note), r, s in zip(entries, runs, starts, strict=True)
        ]

    def _once(self, system: System, log: TripLog, which: str) -> Run:
        log.answer  # noqa: B018 - worked out before anything is timed
        with self.commands.step(f"{system.name}, {log.rows:,} trips, {which}") as update:
            run = system.run(log, update)
        figures = f"{run.seconds:.1f} s, {run.cpu_seconds:.1f} s of CPU, {run.peak_mb:.0f} MiB"
        self.console.print(f"  {figures}  {system.check}", markup=False, highlight=False)
        return run
