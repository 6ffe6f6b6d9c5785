"""The trips of a range, read from `trips_stream` and `trips_late`."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import polars as pl
from confluent_kafka import Message

from backfill.callbacks import OnMessagesRead
from backfill.decoding import DecodedTrips, LogDecoder
from backfill.errors import BackfillError
from backfill.log_batch import late_batch, logged_batch
from backfill.log_read import TopicRead
from backfill.trip_files import TripFiles
from backfill.window_range import WindowRange
from broker.topic_reader import TopicReader
from mobility.enrichment import enrich
from mobility.settings import Settings
from mobility.times import iso_time
from mobility.topics import late_topic, trips_topic

_BATCH: Final = 20_000
_MEMORY_MB: Final = 128


@dataclass(slots=True)
class RangeScan:
    """A scan for the trips of a range, which go to `files`.

    `outside` (`trip_id`, `window_start`) are trips outside the range that have one of `trip_ids`.
    `max_event_times` are by partition.
    """

    settings: Settings
    window_range: WindowRange
    trip_ids: pl.Series
    files: TripFiles
    outside: list[pl.DataFrame] = field(default_factory=list)
    max_event_times: dict[int, int] = field(default_factory=dict)

    def watermark(self, partitions: Collection[int]) -> int | None:
        """Return the lowest watermark of partitions; None while one has no event time."""
        if set(self.max_event_times) != set(partitions):
            return None
        return min(self.max_event_times.values()) - self.settings.out_of_orderness * 1_000

    def outside_trips(self) -> pl.DataFrame:
        """Return the trips outside the range as one frame."""
        none = pl.DataFrame(schema={"trip_id": pl.String, "window_start": pl.Int64})
        return pl.concat([none, *self.outside])

    def add_logged(self, decoded: DecodedTrips) -> None:
        """Add trips of `trips_stream`."""
        times = [
            each.select("partition", "event_time") for each in (decoded.trips, decoded.punctuations)
        ]
        latest = pl.concat(times).group_by("partition").agg(pl.col("event_time").max())
        for partition, time in latest.iter_rows():
            self.max_event_times[partition] = max(time, self.max_event_times.get(partition, time))
        is_named = pl.col("trip_id").is_in(self.trip_ids.implode())
        outside = decoded.trips.filter(~self.window_range.contains(), is_named)
        self.outside.append(outside.select("trip_id", "window_start"))
        self.add(decoded)

    def add(self, decoded: DecodedTrips) -> None:
        """Add the trips that are in the range, enriched."""
        inside = decoded.trips.filter(self.window_range.contains())
        if inside.height:
            self.files.add(enrich(inside, decoded.tables, self.settings))


def read_logged_trips(
    scan: RangeScan, decoder: LogDecoder, on_progress: OnMessagesRead
) -> TopicRead:
    """Read the trips of `trips_stream`, late ones too; return how far it was read.

    Raises BackfillError where the log no longer covers the range.
    """
    with _open(scan.settings, trips_topic(scan.settings)) as reader:
        firsts = first_offsets(reader, scan.settings, scan.window_range)
        for batch in with_progress(reader.read(firsts, batch_size=_BATCH), on_progress):
            for decoded in decoder.decode(logged_batch(batch)):
                scan.add_logged(decoded)
        return TopicRead(reader.topic_id, dict(reader.positions))


def read_late_trips(scan: RangeScan, decoder: LogDecoder, on_progress: OnMessagesRead) -> TopicRead:
    """Read the trips of `trips_late`, at their source positions; return how far it was read.

    Messages without a source position in this log are left out.
    """
    topic = trips_topic(scan.settings)
    with _open(scan.settings, late_topic(scan.settings)) as reader:
        batches = reader.read(reader.beginnings(), batch_size=_BATCH)
        for batch in with_progress(batches, on_progress):
            for decoded in decoder.decode(late_batch(batch, topic)):
                scan.add(decoded)
        return TopicRead(reader.topic_id, dict(reader.positions))


def _open(settings: Settings, topic: str) -> TopicReader:
    return TopicReader(settings, topic, memory_mb=_MEMORY_MB)


def find_first_offsets(settings: Settings, topic: str, window_range: WindowRange) -> dict[int, int]:
    """Return `first_offsets` of a topic."""
    with TopicReader(settings, topic) as reader:
        return first_offsets(reader, settings, window_range)


def first_offsets(
    reader: TopicReader, settings: Settings, window_range: WindowRange
) -> dict[int, int]:
    """Return the offset in each partition before which no trip of a range can be.

    An event time is ahead of its append time by at most the future tolerance, so a message that
    was appended earlier than that before the range is older than the range. A partition from which
    retention has removed messages covers the range if it still holds a message of that age.
    Raises BackfillError, naming the other partitions.
    """
    since = window_range.start - settings.future_tolerance * 1_000
    firsts, short = {}, []
    for partition in reader.partitions:
        low, high = reader.bounds(partition)
        # Only log-append times bound event times: with timestamps of producers all is read.
        has_append_times = settings.timestamp == "log_append"
        firsts[partition] = reader.offset_for_time(partition, since) if has_append_times else low
        if 0 < low >= firsts[partition]:
            short.append(_describe_start(reader, partition, low, high))
    if short:
        msg = (
            f"{reader.topic} no longer covers {window_range}: messages were deleted, and none is "
            f"left that was appended before {iso_time(since)}, so trips of the range may be "
            "missing.\n  " + "\n  ".join(sorted(short)) + "\nChoose a later range."
        )
        raise BackfillError(msg)
    return firsts


def _describe_start(reader: TopicReader, partition: int, low: int, high: int) -> str:
    """Return as text where a partition begins, and when its first message was appended."""
    text = f"partition {partition} begins at offset {low:,}"
    if low == high:
        return f"{text} and is empty"
    batch = next(reader.read({partition: low}, batch_size=1), None)
    return text if batch is None else f"{text}, appended {iso_time(batch[0].timestamp()[1])}"


def with_progress(
    batches: Iterable[list[Message]], on_progress: OnMessagesRead
) -> Iterator[list[Message]]:
    """Yield the batches; after each its reader is told how many messages were read so far."""
    number = 0
    for batch in batches:
        number += len(batch)
        on_progress(number)
        yield batch
