"""This system, measured: the whole flow with all its semantics, and its output checked."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import msgspec

from audit.command_runner import ShowProgress
from audit.comparison import Comparison
from audit.output_comparisons import compare_flow_counters
from audit.system_comparison import compare_system
from benchmarks.figures import Run
from benchmarks.log import TripLog
from benchmarks.running import BenchmarkError, timed
from benchmarks.service import messages_read
from benchmarks.tenant import emptied, tenant
from mobility.settings import Settings


@dataclass(slots=True)
class Flow:
    """How the flow is run: with which settings beside the log's, and in how many processes."""

    name: str
    enriched: bool = False
    stores: bool = False
    processes: int = 1
    recovery: bool = True
    check: str = ""

    def settings(self, log: TripLog) -> Settings:
        """Return the settings of a bounded run over a log; a tenant of its own in the stores."""
        return msgspec.structs.replace(
            tenant(log.settings, _tenant_of(log)),
            read="once",
            enriched=("driver", "passenger", "vehicle_type", "h3") if self.enriched else (),
            stores=("redis", "postgres") if self.stores else (),
            status_dir=str(log.commands.folder / "status"),
        )

    def run(self, log: TripLog, update: ShowProgress) -> Run:
        """Run over the log from its beginning, with nothing left of an earlier run.

        The output is held against the batch computation; BenchmarkError where it differs.
        """
        settings = self.settings(log)
        log.forget_output()
        status = Path(str(settings.status_dir))
        rmtree(status, ignore_errors=True)
        with _recovery_folder() as recovery, _empty_stores(log, self.stores):
            measured = timed(
                self._command(recovery, settings),
                log.commands.folder / "dataflows.log",
                environ=log.environ(settings),
                watch=lambda: update(f"{messages_read(status):,} messages"),
            )
            self._hold_against(log, settings)
        return measured

    def _hold_against(self, log: TripLog, settings: Settings) -> None:
        """Hold the output against the batch computation; raise BenchmarkError where it differs."""
        compared = list(self._comparisons(log, settings))
        differing = [each for each in compared if each.differences]
        if differing:
            told = "; ".join(
                f"{each.output}: {each.differences:,} differences" for each in differing
            )
            msg = f"{self.name} does not equal the batch computation: {told}"
            raise BenchmarkError(msg)
        rows = sum(each.expected for each in compared)
        self.check = f"equal: {rows:,} rows in {len(compared)} places"

    def _command(self, recovery: Path, settings: Settings) -> list[str]:
        python = [sys.executable, "-m"]
        if self.processes > 1:
            return [*python, "dataflows", "-r", str(recovery), "--processes", str(self.processes)]
        command = [*python, "bytewax.run", "dataflows.main"]
        if not self.recovery:
            return command
        interval = str(settings.snapshot_interval)
        return [*command, "-r", str(recovery), "-s", interval, "-b", "0"]

    def _comparisons(self, log: TripLog, settings: Settings) -> Iterator[Comparison]:
        yield from compare_system(settings, log.messages, log.answer)
        yield compare_flow_counters(log.answer, Path(str(settings.status_dir)))


@contextmanager
def _recovery_folder() -> Iterator[Path]:
    folder = Path(mkdtemp(prefix="mobility-bench-"))
    try:
        yield folder
    finally:
        rmtree(folder)


@contextmanager
def _empty_stores(log: TripLog, wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    with emptied(log.settings, _tenant_of(log)):
        yield


def _tenant_of(log: TripLog) -> str:
    return re.sub(r"\W", "_", log.settings.topic_prefix.lower())
