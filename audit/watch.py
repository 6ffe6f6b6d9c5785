"""`python -m audit.watch`: the audit of a running system, at low priority, until it is stopped.

It recomputes a few windows of each entity once they are complete, and reports differences: in its
log, as metrics (MOBILITY_AUDIT_PORT), in `audit.json` next to the flow's status files, and in the
stores for the API.
"""

import argparse
import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from audit.backfill_records import RECORDS_FOLDER, open_records
from audit.continuous_audit import BackfillAppliedError, ContinuousAudit, RulesChangedError
from audit.counters import AuditCounters
from audit.incremental_topic_reader import TopicChangedError
from audit.metrics import AuditMetrics
from audit.report import format_examples
from audit.rounds import CheckResult
from audit.sampling import FAILURES, configured_follower, configured_stores
from broker.errors import AccessError, DeletedOffsetsError, MissingTopicError, RegistryError
from mobility.rules_journal import NOT_KNOWN
from mobility.settings import Settings, SettingsError, read_settings
from mobility.status import AUDIT
from postgres.server_check import UnsuitableServerError
from sinks.status import StatusPublisher

_LOWEST_PRIORITY: Final = 19
_RETRY_SECONDS: Final = 5.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Audit until SIGTERM or SIGINT; return 0, or 2 if settings or Postgres can't be used."""
    records = _parse_options(arguments)
    console = Console(soft_wrap=True, markup=False, highlight=False)
    try:
        settings = read_settings(os.environ)
    except SettingsError as error:
        console.print(str(error))
        return 2
    os.nice(_LOWEST_PRIORITY)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    metrics = AuditMetrics()
    if settings.audit_port:
        metrics.serve(settings.audit_port)
    loop = AuditLoop(settings, records, metrics, console.print, stop)
    publisher = StatusPublisher(settings, AUDIT, loop.counters.status_record)
    publisher.start()
    try:
        loop.run(secrets.randbelow(1_000_000))
    except UnsuitableServerError as error:
        console.print(str(error))
        return 2
    finally:
        publisher.close()
    return 0


class AuditLoop:
    """Runs a round every `audit_every` seconds; services may be unavailable for some time."""

    def __init__(
        self,
        settings: Settings,
        records: Path,
        metrics: AuditMetrics,
        write_line: Callable[[str], None],
        stop: threading.Event,
    ) -> None:
        self.counters = AuditCounters()
        self._settings = settings
        self._records = records
        self._metrics = metrics
        self._write_line = write_line
        self._stop = stop
        self._audit: ContinuousAudit | None = None

    def run(self, seed: int) -> None:
        """Run rounds until `stop` is set."""
        self._write_line(f"seed {seed}")
        if self._settings.recovery_dir is None:
            self._write_line(NOT_KNOWN)
        try:
            while not self._stop.is_set():
                wait = float(self._settings.audit_every)
                try:
                    self._run_round(seed)
                except RulesChangedError:
                    self._write_line("other tables or rules are in force: reading again")
                    self._close()
                    continue
                except BackfillAppliedError:
                    self._write_line("a backfill was applied: reading again")
                    self._close()
                    continue
                except FAILURES as error:
                    wait = min(wait, _RETRY_SECONDS)
                    self._on_failure(error)
                    if isinstance(error, RegistryError | AccessError):
                        self._close()  # messages were read that could not be decoded
                self._stop.wait(wait)
        finally:
            self._close()

    def _run_round(self, seed: int) -> None:
        if self._audit is None:
            stores = configured_stores(self._settings)
            follower = configured_follower(self._settings)
            records = open_records(self._records, self._settings)
            self._audit = ContinuousAudit(self._settings, stores, records, seed, follower)
        results = self._audit.run_round(self._stop.wait)
        if results is None:
            return
        self.counters.add_round(results, self._audit.behind)
        self._metrics.add_round(results, self.counters)
        self._write_status()
        self._report(results)

    def _report(self, results: list[CheckResult]) -> None:
        for reason in dict.fromkeys(each for result in results for each in result.left_out):
            self._write_line(f"not compared, because {reason}")
        for result in results:
            for line in format_examples(result.comparison):
                self._write_line(line)
            if result.is_recurring and result.pending:
                output = result.comparison.output
                self._write_line(f"{output}: {result.pending:,} ids not compared, Redis is behind")
        compared = sum(result.comparison.expected for result in results)
        if compared:
            drift = self.counters.drift
            self._write_line(f"{compared:,} compared, {drift:,} differences since the start")

    def _on_failure(self, error: Exception) -> None:
        self._write_line(f"round failed: {error}")
        self.counters.failures += 1
        self._metrics.add_failure()
        self._write_status()
        # After these errors the positions are not valid any more; after others they are.
        if isinstance(error, DeletedOffsetsError | MissingTopicError | TopicChangedError):
            self._close()

    def _write_status(self) -> None:
        if self._settings.status_dir is not None:
            self.counters.write(Path(self._settings.status_dir))

    def _close(self) -> None:
        if self._audit is not None:
            self._audit.close()
            self._audit = None


def _parse_options(arguments: Sequence[str] | None) -> Path:
    """Return the folder of the records of backfills."""
    parser = argparse.ArgumentParser(prog="python -m audit.watch", description=__doc__)
    parser.add_argument(
        "--records",
        metavar="DIR",
        type=Path,
        default=RECORDS_FOLDER,
        help="the folder of the records of backfills (%(default)s)",
    )
    records: Path = parser.parse_args(arguments).records
    return records


if __name__ == "__main__":
    sys.exit(main())
