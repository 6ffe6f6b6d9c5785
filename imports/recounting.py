"""The recount of the windows of late trips: backfills, each of one range, without corrections."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

from backfill.errors import IncompleteRangeError
from backfill.journal import Journal
from backfill.run import BackfillRun, Recounted
from backfill.window_range import WindowRange
from broker.topics import log_name
from mobility.settings import Settings
from mobility.times import iso_time

_FOLDER: Final = "backfills"
_PAUSE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class LateRecount:
    """Recounts windows of the system whose state folder is `state`."""

    settings: Settings
    state: Path
    console: Console

    def run(self, ranges: Sequence[WindowRange]) -> Recounted:
        """Recount all windows of these ranges; wait for those that are not complete yet.

        Doing it again changes nothing. Raises BackfillError, BrokerError, DeliveryError,
        StoreError.
        """
        journal = Journal(self.state / _FOLDER, log_name(self.settings), self.settings)
        backfill = BackfillRun(
            self.settings,
            journal,
            self.console,
            apply=True,
            allow_unrecorded=False,
            shows_changes=False,
        )
        found = [
            *self._finish_interrupted(backfill, journal, ranges),
            *(self._recount(backfill, each) for each in ranges),
        ]
        return Recounted(sum(each.windows for each in found), sum(each.refused for each in found))

    def _finish_interrupted(
        self, backfill: BackfillRun, journal: Journal, ranges: Sequence[WindowRange]
    ) -> list[Recounted]:
        """Finish recounts that a crash has interrupted: until then others there are refused."""
        interrupted = {
            record.id: record
            for window_range in ranges
            for record in journal.overlapping(window_range)
            if record.status == "applying" and record.reverts is None and not record.inputs
        }
        return [backfill.recount(each.start, each.end, ()) for each in interrupted.values()]

    def _recount(self, backfill: BackfillRun, window_range: WindowRange) -> Recounted:
        self.console.print(f"recounting the windows of late trips from {window_range}")
        start, end = iso_time(window_range.start), iso_time(window_range.end)
        told = False
        while True:
            try:
                return backfill.recount(start, end, ())
            except IncompleteRangeError as error:
                if not told:
                    self.console.print(f"{error}\nWaiting for that; the same command waits again")
                told = True
            time.sleep(_PAUSE_SECONDS)
