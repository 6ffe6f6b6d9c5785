"""This system as it is measured: the complete flow, with its output compared."""

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
from benchmarks.figures import RunFigures
from benchmarks.service import messages_read
from benchmarks.tenant import empty_tenant, tenant_settings
from benchmarks.timed_command import BenchmarkError, run_timed
from benchmarks.trip_log import TripLog
from mobility.settings import Settings


@dataclass(slots=True)
class MeasuredFlow:
    """The flow with some settings and a number of processes."""

    name: str
    enriched: bool = False
    stores: bool = False
    processes: int = 1
    recovery: bool = True
    check: str = ""

    def settings(self, log: TripLog) -> Settings:
        """Return the settings of a bounded run over a log, with its own part of the stores."""
        return msgspec.structs.replace(
            tenant_settings(log.settings, _tenant_of(log)),
            read="once",
            enriched=("driver", "passenger", "vehicle_type", "h3") if self.enriched else (),
            stores=("redis", "postgres") if self.stores else (),
            status_dir=str(log.runner.folder / "status"),
        )

    def run(self, log: TripLog, update: ShowProgress) -> RunFigures:
        """Run over the log from its beginning, after removing the output of earlier runs.

        Raises BenchmarkError if the output differs from the batch computation.
        """
        settings = self.settings(log)
        log.reset_output()
        status = Path(str(settings.status_dir))
        rmtree(status, ignore_errors=True)
        with _recovery_folder() as recovery, _empty_stores(log, self.stores):
            measured = run_timed(
                self._command(recovery, settings),
                log.runner.folder / "dataflows.log",
                environ=log.environ(settings),
                on_poll=lambda: update(f"{messages_read(status):,} messages"),
            )
            self._check_output(log, settings)
        return measured

    def _check_output(self, log: TripLog, settings: Settings) -> None:
        """Raise BenchmarkError if the output differs from the batch computation."""
        compared = list(self._comparisons(log, settings))
        differing = [each for each in compared if each.differences]
        if differing:
            found = "; ".join(
                f"{each.output}: {each.differences:,} differences" for each in differing
            )
            msg = f"{self.name} does not equal the batch computation: {found}"
            raise BenchmarkError(msg)
        rows = sum(each.expected for each in compared)
        self.check = f"equal: {rows:,} rows in {len(compared)} outputs"

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
        yield from compare_system(settings, log.messages, log.expected)
        yield compare_flow_counters(log.expected, Path(str(settings.status_dir)))


@contextmanager
def _recovery_folder() -> Iterator[Path]:
    folder = Path(mkdtemp(prefix="mobility-bench-"))
    try:
        yield folder
    finally:
        rmtree(folder)


@contextmanager
def _empty_stores(log: TripLog, needed: bool) -> Iterator[None]:
    if not needed:
        yield
        return
    with empty_tenant(log.settings, _tenant_of(log)):
        yield


def _tenant_of(log: TripLog) -> str:
    return re.sub(r"\W", "_", log.settings.topic_prefix.lower())
