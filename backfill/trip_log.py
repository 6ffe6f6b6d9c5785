"""The trips of a range, read from `trips_stream` and `trips_late`."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from audit.log_messages import read_log_messages
from audit.oracle import assign_windows, validate_log
from audit.rules_in_force import RulesInForce
from audit.topics import source_position
from audit.validation import TRIP_SCHEMA, LogMessage
from backfill.callbacks import OnMessagesRead
from backfill.errors import BackfillError
from backfill.window_range import WindowRange
from broker.topic_reader import TopicReader
from mobility.records import MAX_EVENT_TIME
from mobility.settings import Settings
from mobility.times import iso_time
from mobility.topics import late_topic, trips_topic

LOGGED_TRIP_SCHEMA: Final = pl.Schema(
    [
        ("partition", pl.Int32),
        ("offset", pl.Int64),
        ("window_start", pl.Int64),
        *TRIP_SCHEMA.items(),
    ]
)
"""Trips with their positions in the log."""


@dataclass(slots=True)
class RangeScan:
    """The result of a scan of a topic for the trips of a range.

    `trips` (LOGGED_TRIP_SCHEMA) are those of the range. `outside` (`trip_id`, `window_start`) are
    trips outside the range that have one of `trip_ids`. `max_event_times` are by partition.
    """

    window_range: WindowRange
    trip_ids: pl.Series
    trips: list[pl.DataFrame] = field(default_factory=list)
    outside: list[pl.DataFrame] = field(default_factory=list)
    max_event_times: dict[int, int] = field(default_factory=dict)

    def add(self, rows: pl.DataFrame) -> None:
        """Add a batch of the topic, as `assign_windows` returns it."""
        latest = rows.group_by("partition").agg(pl.col("event_time").max()).drop_nulls()
        for partition, time in latest.iter_rows():
            highest = self.max_event_times.get(partition, time)
            self.max_event_times[partition] = max(time, highest)
        is_inside = self.window_range.contains()
        trips = rows.filter(pl.col("reason").is_null(), pl.col("watermark").is_null())
        self.trips.append(trips.filter(is_inside).select(LOGGED_TRIP_SCHEMA.names()))
        outside = trips.filter(~is_inside, pl.col("trip_id").is_in(self.trip_ids.implode()))
        self.outside.append(outside.select("trip_id", "window_start"))


def read_logged_trips(
    settings: Settings,
    window_range: WindowRange,
    trip_ids: pl.Series,
    on_progress: OnMessagesRead,
    rules: RulesInForce | None = None,
) -> tuple[RangeScan, int | None]:
    """Read the trips of a range from `trips_stream`, late ones too, and the lowest watermark.

    The watermark is None while a partition has no event time. Raises BackfillError where the log
    no longer covers the range.
    """
    topic = trips_topic(settings)
    firsts = find_first_offsets(settings, topic, window_range)
    scan = RangeScan(window_range, trip_ids)
    for batch in _with_progress(read_log_messages(settings, topic, firsts), on_progress):
        scan.add(assign_windows(_validate(batch, settings, rules), settings))
    if set(scan.max_event_times) != set(firsts):
        return scan, None
    return scan, min(scan.max_event_times.values()) - settings.out_of_orderness * 1_000


def read_late_trips(
    settings: Settings,
    window_range: WindowRange,
    on_progress: OnMessagesRead,
    rules: RulesInForce | None = None,
) -> pl.DataFrame:
    """Return the trips (LOGGED_TRIP_SCHEMA) of a range in `trips_late`, at their source positions.

    Messages without a source position in this log are left out.
    """
    topic = trips_topic(settings)
    scan = RangeScan(window_range, pl.Series("trip_id", [], dtype=pl.String))
    for batch in _with_progress(read_log_messages(settings, late_topic(settings)), on_progress):
        sources = [to_source(message, topic) for message in batch]
        found = [message for message in sources if message is not None]
        rows = _validate(found, settings, rules)
        scan.add(assign_windows(rows, settings))
    return pl.concat([pl.DataFrame(schema=LOGGED_TRIP_SCHEMA), *scan.trips])


def find_first_offsets(settings: Settings, topic: str, window_range: WindowRange) -> dict[int, int]:
    """Return the offset in each partition before which no trip of a range can be.

    An event time is ahead of its append time by at most the future tolerance, so a message that
    was appended earlier than that before the range is older than the range. A partition from which
    retention has removed messages covers the range if it still holds a message of that age.
    Raises BackfillError, naming the other partitions.
    """
    since = window_range.start - settings.future_tolerance * 1_000
    firsts, short = {}, []
    with TopicReader(settings, topic) as reader:
        for partition in reader.partitions:
            low, high = reader.bounds(partition)
            # Only log-append times bound event times: with timestamps of producers all is read.
            has_append_times = settings.timestamp == "log_append"
            firsts[partition] = (
                reader.offset_for_time(partition, since) if has_append_times else low
            )
            if 0 < low >= firsts[partition]:
                short.append(_describe_start(reader, partition, low, high))
    if short:
        msg = (
            f"{topic} no longer covers {window_range}: messages were deleted, and none is left "
            f"that was appended before {iso_time(since)}, so trips of the range may be missing.\n  "
            + "\n  ".join(sorted(short))
            + "\nChoose a later range."
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


def _validate(
    messages: list[LogMessage], settings: Settings, rules: RulesInForce | None
) -> pl.DataFrame:
    return validate_log([messages], settings, rules).rows


def to_source(message: LogMessage, topic: str) -> LogMessage | None:
    """Return a late trip with its source position; None where its headers name none in `topic`."""
    source, partition, offset, _, value = source_position(message)
    if source != topic or partition is None or offset is None:
        return None
    # The flow has checked its time against the append time already; with the latest one it passes.
    return LogMessage(partition, offset, MAX_EVENT_TIME, value)


def _with_progress(
    batches: Iterable[list[LogMessage]], on_progress: OnMessagesRead
) -> Iterator[list[LogMessage]]:
    number = 0
    for batch in batches:
        number += len(batch)
        on_progress(number)
        yield batch
