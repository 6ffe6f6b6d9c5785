"""The highest event time of each partition of the trips topic, read from the log itself.

A trip is late by the highest event time before it in its own partition, so the log is read, and
not a store, which may be behind. A trip is at most the future tolerance ahead of its log-append
time, else it is a dead letter; so a message that was appended more than the tolerance before some
event time can't have a higher one. The end of a partition gives such an event time, and from there
the partition is read: minutes of a live feed, all of replayed history.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl
from confluent_kafka import Message

from broker.topic_reader import OnProgress, TopicReader
from mobility.event_time import LatenessRules, apply_time_rules
from mobility.records import MAX_EVENT_TIME
from mobility.settings import Settings
from mobility.topics import trips_topic
from mobility.trips import decode_trips
from mobility.validation import TripRules
from mobility.values import ValueFormat

_TAIL_MESSAGES: Final = 10_000
_MAX_MARGIN_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class MaxEventTimes:
    """The highest event time (epoch ms) of each partition, None where it has none."""

    by_partition: dict[int, int | None]
    rules: LatenessRules

    @property
    def highest(self) -> int | None:
        """The highest event time of all partitions."""
        return max((each for each in self.by_partition.values() if each is not None), default=None)

    @property
    def complete_until(self) -> int | None:
        """The window end (epoch ms) up to which windows are complete, None where it is unknown."""
        known = [each for each in self.by_partition.values() if each is not None]
        if len(known) < len(self.by_partition):
            return None
        return min(known) - self.rules.out_of_orderness - self.rules.allowed_lateness

    def accepts(self, partition: int, window_start: int) -> bool:
        """Return whether a trip of this window would not be late if it were appended now.

        A margin covers what the partition receives meanwhile: a tenth of the time for which a
        window accepts trips, at most a minute.
        """
        latest = self.by_partition[partition]
        open_for = self.rules.window + self.rules.allowed_lateness + self.rules.out_of_orderness
        margin = min(_MAX_MARGIN_MS, open_for // 10)
        return latest is None or window_start + open_for - margin >= latest


def read_max_event_times(
    settings: Settings, form: ValueFormat, on_progress: OnProgress
) -> MaxEventTimes:
    """Read the highest event time of every partition. Raises BrokerError."""
    with TopicReader(settings, trips_topic(settings)) as reader:
        found = {
            partition: _read_partition(reader, partition, settings, form, on_progress)
            for partition in reader.partitions
        }
    return MaxEventTimes(found, LatenessRules.of(settings))


def event_times(messages: Sequence[Message], settings: Settings, form: ValueFormat) -> pl.Series:
    """Return the event times of trips and punctuations; dead letters have none."""
    values = [message.value() for message in messages]
    decoded = decode_trips(values, TripRules.of(settings), form)
    timed = apply_time_rules(
        decoded,
        headers=lambda row: messages[row].headers(),
        timestamps=lambda: [message.timestamp()[1] for message in messages],
        tolerance=settings.future_tolerance * 1_000,
    )
    return pl.concat([timed.trips["event_time"], timed.punctuations["event_time"]])


def _read_partition(
    reader: TopicReader,
    partition: int,
    settings: Settings,
    form: ValueFormat,
    on_progress: OnProgress,
) -> int | None:
    tolerance = settings.future_tolerance * 1_000
    low, high = reader.bounds(partition)
    tail = max(low, high - _TAIL_MESSAGES)
    latest = _read_from(reader, partition, tail, settings, form, on_progress)
    if tail == low:
        start = low
    else:
        bounds_event_times = latest is not None and settings.timestamp == "log_append"
        start = (
            reader.offset_for_time(partition, (latest or 0) - tolerance)
            if bounds_event_times
            else low
        )
        if start < tail:
            latest = _read_from(reader, partition, start, settings, form, on_progress)
    if start == low > 0 and settings.timestamp == "create":
        # Messages that retention has removed can have had any event time.
        return MAX_EVENT_TIME
    if start == low > 0:
        # Messages that retention has removed can have had event times up to this one.
        latest = max(latest or 0, _first_append_time(reader, partition, low) + tolerance)
    return latest


def _read_from(
    reader: TopicReader,
    partition: int,
    start: int,
    settings: Settings,
    form: ValueFormat,
    on_progress: OnProgress,
) -> int | None:
    highest = None
    for batch in reader.read({partition: start}, on_progress=on_progress):
        found = event_times(batch, settings, form).max()
        if isinstance(found, int):
            highest = found if highest is None else max(highest, found)
    return highest


def _first_append_time(reader: TopicReader, partition: int, low: int) -> int:
    for batch in reader.read({partition: low}, batch_size=1):
        for message in batch:
            return message.timestamp()[1]
    return 0
