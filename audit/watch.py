"""`python -m audit.watch`: the audit of a running system, at low priority, until it is stopped.

Counts windows again once they are over, a few of each entity, and tells what differs: in its log,
as metrics (MOBILITY_AUDIT_PORT), in `audit.json` beside the flow's status files, and in the stores
for the API.
"""

import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaException
from rich.console import Console

from audit.checks import Check
from audit.metrics import Metrics
from audit.report import examples
from audit.sampling import FAILURES, stores
from audit.tail import TailError
from audit.tally import Tally
from audit.watching import Watch
from mobility.settings import Settings, SettingsError, read_settings
from mobility.status import AUDIT
from sinks.status import StatusPublisher

_LOWEST: Final = 19
_RETRY: Final = 5.0

Stop = threading.Event


def main() -> int:
    """Watch until SIGTERM or SIGINT; return 0, or 2 where the settings can't be used."""
    console = Console(soft_wrap=True, markup=False, highlight=False)
    try:
        settings = read_settings(os.environ)
    except SettingsError as error:
        console.print(f"The settings can't be used:\n{error}")
        return 2
    os.nice(_LOWEST)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    metrics = Metrics()
    if settings.audit_port:
        metrics.serve(settings.audit_port)
    rounds = Rounds(settings, metrics, console.print, stop)
    publisher = StatusPublisher(settings, AUDIT, rounds.tally.record)
    publisher.start()
    rounds.run(secrets.randbelow(1_000_000))
    publisher.close()
    return 0


class Rounds:
    """The rounds of a watch, `audit_every` seconds apart; services may go away and come back."""

    def __init__(
        self, settings: Settings, metrics: Metrics, say: Callable[[str], None], stop: Stop
    ) -> None:
        self.tally = Tally()
        self._settings = settings
        self._metrics = metrics
        self._say = say
        self._stop = stop
        self._watch: Watch | None = None

    def run(self, seed: int) -> None:
        """Go round until told to stop."""
        self._say(f"seed {seed}")
        try:
            while not self._stop.is_set():
                wait = float(self._settings.audit_every)
                try:
                    self._round(seed)
                except FAILURES as error:
                    wait = min(wait, _RETRY)
                    self._failed(error)
                self._stop.wait(wait)
        finally:
            self._close()

    def _round(self, seed: int) -> None:
        if self._watch is None:
            self._watch = Watch(self._settings, stores(self._settings), seed)
        checks = self._watch.round(self._stop.wait)
        if checks is None:
            return
        self.tally.note(checks, self._watch.behind)
        self._metrics.note(checks, self.tally)
        self._write()
        self._tell(checks)

    def _tell(self, checks: list[Check]) -> None:
        for check in checks:
            for line in examples(check.comparison):
                self._say(line)
        compared = sum(check.comparison.expected for check in checks)
        if compared:
            self._say(f"{compared:,} compared, drift {self.tally.drift:,} since the start")

    def _failed(self, error: Exception) -> None:
        self._say(f"no result: {error}")
        self.tally.failures += 1
        self._metrics.note_failure()
        self._write()
        # The log may be another, or this position gone; a store that is away changes nothing here.
        if isinstance(error, KafkaException | TailError):
            self._close()

    def _write(self) -> None:
        if self._settings.status_dir is not None:
            self.tally.write(Path(self._settings.status_dir))

    def _close(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None


if __name__ == "__main__":
    sys.exit(main())
