"""The trips of a range, as the log and the topic of late trips hold them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import polars as pl
from confluent_kafka import Consumer, KafkaException, TopicPartition

from audit.log_messages import read_log_messages
from audit.oracle import assign_windows
from audit.topics import source_position
from audit.validation import TRIP_SCHEMA, LogMessage, validate_messages
from corrections.backfill_errors import BackfillError
from corrections.backfill_range import Range, shown
from mobility.records import MAX_EVENT_TIME
from mobility.settings import Settings
from mobility.topics import late_topic, trips_topic

LOGGED_SCHEMA: Final = pl.Schema(
    [
        ("partition", pl.Int32),
        ("offset", pl.Int64),
        ("window_start", pl.Int64),
        *TRIP_SCHEMA.items(),
    ]
)
"""Trips with their places in the log."""

Watch = Callable[[int], None]
"""Is told the number of messages read so far."""

_TIMEOUT: Final = 30.0


@dataclass(slots=True)
class Reading:
    """What a pass over a topic has found: the trips of a range and how far partitions have got.

    `elsewhere` are the windows of trips outside the range whose trip_id is asked for.
    """

    span: Range
    asked: pl.Series
    trips: list[pl.DataFrame] = field(default_factory=list)
    elsewhere: list[pl.DataFrame] = field(default_factory=list)
    heard: dict[int, int] = field(default_factory=dict)

    def take(self, rows: pl.DataFrame) -> None:
        """Keep of a batch (`assign_windows`) what the range needs."""
        latest = rows.group_by("partition").agg(pl.col("event_time").max()).drop_nulls()
        for partition, moment in latest.iter_rows():
            self.heard[partition] = max(moment, self.heard.get(partition, moment))
        trips = rows.filter(pl.col("reason").is_null(), pl.col("watermark").is_null())
        self.trips.append(trips.filter(self.span.holds()).select(LOGGED_SCHEMA.names()))
        outside = trips.filter(~self.span.holds(), pl.col("trip_id").is_in(self.asked.implode()))
        self.elsewhere.append(outside.select("trip_id", "window_start"))


def read_trips_log(
    settings: Settings, span: Range, asked: pl.Series, watch: Watch
) -> tuple[Reading, int | None]:
    """Read the trips of a range from `trips_stream`, late ones too, and the lowest watermark.

    The watermark is None while a partition is unheard. Raises BackfillError where the log no
    longer reaches back over the range.
    """
    topic = trips_topic(settings)
    firsts = first_offsets(settings, topic, span)
    reading = Reading(span, asked)
    for batch in _watched(read_log_messages(settings, topic, firsts), watch):
        reading.take(assign_windows(validate_messages(batch, settings), settings))
    if set(reading.heard) != set(firsts):
        return reading, None
    return reading, min(reading.heard.values()) - settings.out_of_orderness * 1_000


def read_late_trips(settings: Settings, span: Range, watch: Watch) -> pl.DataFrame:
    """Return the trips (LOGGED_SCHEMA) of a range that `trips_late` holds, at their first places.

    A message there that doesn't say which place of our log it came from is nobody's late trip.
    """
    topic = trips_topic(settings)
    reading = Reading(span, pl.Series("trip_id", [], dtype=pl.String))
    for batch in _watched(read_log_messages(settings, late_topic(settings)), watch):
        moved = [_at_source(message, topic) for message in batch]
        rows = validate_messages([message for message in moved if message is not None], settings)
        reading.take(assign_windows(rows, settings))
    return pl.concat([pl.DataFrame(schema=LOGGED_SCHEMA), *reading.trips])


def first_offsets(settings: Settings, topic: str, span: Range) -> dict[int, int]:
    """Return where in each partition the first trip of a range can stand.

    Nobody's clock may be ahead of the log's by more than the future tolerance, so whatever was
    appended earlier than that before the range is older than the range. A partition that has lost
    messages covers the range if it still holds one of that age. Raises BackfillError, naming the
    others.
    """
    since = span.start - settings.future_tolerance * 1_000
    consumer = Consumer({"bootstrap.servers": settings.kafka, "group.id": "backfill"})
    try:
        metadata = consumer.list_topics(topic, timeout=_TIMEOUT).topics[topic]
        if metadata.error is not None:
            raise KafkaException(metadata.error)
        asked = [TopicPartition(topic, each, max(since, 0)) for each in metadata.partitions]
        answers = consumer.offsets_for_times(asked, timeout=_TIMEOUT)
        firsts, short = {}, []
        for place in answers:
            low, end = consumer.get_watermark_offsets(place, timeout=_TIMEOUT)
            firsts[place.partition] = place.offset if place.offset >= 0 else end
            if 0 < low >= firsts[place.partition]:
                short.append(_beginning(consumer, TopicPartition(topic, place.partition, low), end))
    finally:
        consumer.close()
    if short:
        msg = (
            f"{topic} no longer reaches back over {span}: messages were deleted, and none is left "
            f"that was appended before {shown(since)}, so trips of the range may be missing.\n  "
            + "\n  ".join(sorted(short))
            + "\nChoose a later range."
        )
        raise BackfillError(msg)
    return firsts


def _beginning(consumer: Consumer, place: TopicPartition, end: int) -> str:
    """Return, for people, where a partition begins and when that was appended."""
    text = f"partition {place.partition} begins at offset {place.offset:,}"
    if place.offset == end:
        return f"{text}, where it ends too"
    consumer.assign([place])
    oldest = consumer.poll(_TIMEOUT)
    if oldest is None or oldest.error() is not None:
        return text
    return f"{text}, appended {shown(oldest.timestamp()[1])}"


def _at_source(message: LogMessage, topic: str) -> LogMessage | None:
    """Return a late trip as it stood in the log; None where its headers don't name a place."""
    source, partition, offset, _, value = source_position(message)
    if source != topic or partition is None or offset is None:
        return None
    # Intake has judged its time already, by the stamp that the log had given it.
    return LogMessage(partition, offset, MAX_EVENT_TIME, value)


def _watched(batches: Iterable[list[LogMessage]], watch: Watch) -> Iterator[list[LogMessage]]:
    number = 0
    for batch in batches:
        number += len(batch)
        watch(number)
        yield batch
