"""How far event time has got in each partition of the trips topic, from the log itself.

Lateness follows from the greatest event time before an offset, so the log is asked and not a
store, which may be behind. A trip is at most a tolerance ahead of its log-append time, else it is
dead; so no message that was appended more than the tolerance before some event time can hold a
greater one. The end of a partition gives such an event time, and from there it is read: minutes of
a live feed, all of it where history was replayed.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl
from confluent_kafka import Message

from corrections.reading import Show, TopicReader
from mobility.lateness import LatenessRules
from mobility.settings import Settings
from mobility.topics import WATERMARK_HEADER, trips_topic
from mobility.trips import decode_trips
from mobility.validation import TripRules

_TAIL: Final = 10_000
_EPOCH_MS: Final = re.compile(rb"-?[0-9]{1,15}")
_MOST_MARGIN: Final = 60_000


@dataclass(frozen=True, slots=True)
class Frontier:
    """The greatest event time (epoch ms) of each partition, None where nothing has one."""

    latest: dict[int, int | None]
    rules: LatenessRules

    @property
    def greatest(self) -> int | None:
        """The greatest event time of all."""
        return max((each for each in self.latest.values() if each is not None), default=None)

    @property
    def complete_until(self) -> int | None:
        """The window end (epoch ms) up to which windows are complete; None where none is known."""
        known = [each for each in self.latest.values() if each is not None]
        if len(known) < len(self.latest):
            return None
        return min(known) - self.rules.out_of_orderness - self.rules.allowed_lateness

    def takes(self, partition: int, window_start: int) -> bool:
        """Return whether a trip appended to the partition now would still be in time.

        With a margin for what the partition takes meanwhile: a tenth of the time a window stays
        open, at most a minute.
        """
        latest = self.latest[partition]
        stays = self.rules.window + self.rules.allowed_lateness + self.rules.out_of_orderness
        margin = min(_MOST_MARGIN, stays // 10)
        return latest is None or window_start + stays - margin >= latest


def read_frontier(settings: Settings, show: Show) -> Frontier:
    """Find the greatest event time of every partition. Raises LogError."""
    with TopicReader(settings.kafka, trips_topic(settings)) as reader:
        latest = {each: _latest(reader, each, settings, show) for each in reader.partitions}
    return Frontier(latest, LatenessRules.of(settings))


def _latest(reader: TopicReader, partition: int, settings: Settings, show: Show) -> int | None:
    tolerance = settings.future_tolerance * 1_000
    low, high = reader.bounds(partition)
    tail = max(low, high - _TAIL)
    latest = _greatest(reader, partition, tail, settings, show)
    if tail == low:
        start = low
    else:
        start = low if latest is None else reader.offset_at(partition, latest - tolerance)
        if start < tail:
            latest = _greatest(reader, partition, start, settings, show)
    if start == low > 0:
        # What retention has removed may have held as much as its own stamps allow.
        latest = max(latest or 0, _first_stamp(reader, partition, low) + tolerance)
    return latest


def _greatest(
    reader: TopicReader, partition: int, start: int, settings: Settings, show: Show
) -> int | None:
    greatest = None
    for batch in reader.read({partition: start}, show):
        found = event_times(batch, settings).max()
        if isinstance(found, int):
            greatest = found if greatest is None else max(greatest, found)
    return greatest


def _first_stamp(reader: TopicReader, partition: int, low: int) -> int:
    for batch in reader.read({partition: low}, lambda _done, _total: None):
        for message in batch:
            return message.timestamp()[1]
    return 0


def event_times(messages: Sequence[Message], settings: Settings) -> pl.Series:
    """Return the event times of trips and punctuations; dead letters have none."""
    rules = TripRules.of(settings)
    trips = decode_trips([message.value() for message in messages], rules).trips
    spoken = [
        (row, int(text))
        for row, message in enumerate(messages)
        if message.value() is None and (text := _punctuation(message)) is not None
    ]
    schema = {"row": pl.Int64, "event_time": pl.Int64}
    times = pl.concat(
        [trips.select("row", "event_time"), pl.DataFrame(spoken, schema=schema, orient="row")]
    )
    stamps = [messages[row].timestamp()[1] for row in times["row"]]
    stamped = times.with_columns(pl.Series("stamp", stamps, dtype=pl.Int64))
    tolerance = settings.future_tolerance * 1_000
    return stamped.filter(pl.col("event_time") - pl.col("stamp") <= tolerance)["event_time"]


def _punctuation(message: Message) -> bytes | None:
    text = dict(message.headers() or ()).get(WATERMARK_HEADER)
    return text if isinstance(text, bytes) and _EPOCH_MS.fullmatch(text) else None
