"""Sending the files of an import: by the producer at full speed, resumed where it was."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from backfill.trip_log import find_first_offsets
from backfill.window_range import WindowRange
from mobility.event_time import LatenessRules
from mobility.settings import Settings
from mobility.topics import trips_topic
from mobility.trip_files import TripFileSet
from producer.__main__ import replay
from producer.identify import file_options
from producer.options import ProducerOptions
from producer.schedule import Clock
from producer.trips_file import TripsFile


@dataclass(frozen=True, slots=True)
class FileSender:
    """Sends files with the options `found` of the command line.

    With `is_final` every partition is punctuated after them: nobody else sends trips.
    """

    settings: Settings
    found: argparse.Namespace
    console: Console
    clock: Clock
    is_final: bool

    def send(self, files: TripFileSet, state: Path) -> str:
        """Send what is not in the log yet; return a summary in lines.

        Raises BackfillError, before anything is sent, where the log lacks a part of their time;
        TripsFileError, BrokerError, DeliveryError, ReplayStateError or OSError.
        """
        options = ProducerOptions(
            files=tuple(Path(each.path) for each in files.files),
            reading=file_options(self.found),
            speed=None,
            loop=False,
            rebase=False,
            density=1,
            as_is=self.found.as_is,
            final=self.is_final,
            state=state,
            rejects=self.found.rejects,
        )
        return replay(options, self.settings, self.console, self.clock, self._check)

    def is_complete(self, last: int) -> bool:
        """Tell whether the window of the last trip (epoch ms) is complete, or is by others."""
        needed = LatenessRules.of(self.settings).completes(last)
        return not self.is_final or needed <= self.clock.now() * 1_000

    def _check(self, file: TripsFile) -> None:
        """Raise BackfillError where windows of the trips could not be recounted from the log."""
        times, window = file.runs.event_times, self.settings.window_ms
        first, last = (int(each) // window * window for each in (times.min(), times.max()))  # type: ignore[arg-type]
        window_range = WindowRange(first, last + window)
        find_first_offsets(self.settings, trips_topic(self.settings), window_range)
