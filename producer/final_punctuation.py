"""The punctuation of `--final`: it completes every window of the files."""

from dataclasses import dataclass

import polars as pl

from mobility.event_time import LatenessRules
from mobility.settings import Settings
from mobility.times import iso_time
from producer.trip_writer import TripWriter


@dataclass(frozen=True, slots=True)
class FinalPunctuation:
    """An event time that is announced to every partition after the last trip (epoch ms).

    `needed` completes the window of the latest trip. Where that lies ahead of the clock,
    `event_time` is the time on the clock: the flow would reject one that is too far ahead, and
    trips that others send now are not late.
    """

    event_time: int
    needed: int

    @classmethod
    def of(cls, event_times: pl.Series, settings: Settings, now: int) -> "FinalPunctuation":
        """Return the punctuation for trips with these event times; `now` is in epoch ms.

        Trips that the flow rejects because they lie in the future have no window.
        """
        latest_allowed = now + settings.future_tolerance * 1_000
        latest = event_times.filter(event_times <= latest_allowed).max()
        if not isinstance(latest, int):
            return cls(now, now)
        needed = LatenessRules.of(settings).completes(latest)
        return cls(min(needed, now), needed)

    def send(self, writer: TripWriter) -> None:
        """Send it to every partition, and wait until it is delivered. Raises DeliveryError."""
        for partition in range(len(writer.delivered.trips)):
            writer.send_punctuation(partition, self.event_time)
        writer.flush()

    def describe(self) -> str:
        """Return for people which windows are complete."""
        line = f"every partition is punctuated at {iso_time(self.event_time)}: "
        if self.event_time == self.needed:
            return line + "every window of the files is complete"
        return line + (
            "the last windows of the files are not complete yet; with --state, the same command "
            f"completes them after {iso_time(self.needed)}"
        )
