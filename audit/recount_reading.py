"""Reads again what backfills have read, and has the windows of a sample computed from it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from audit.audited_stores import AuditedRange
from audit.backfill_records import BackfillRecord
from audit.incremental_topic_reader import IncrementalTopicReader, Offsets, OnPoll
from audit.log_messages import to_log_message
from audit.recount_computation import (
    RECOUNTED_SCHEMA,
    GivenLines,
    RecountComputation,
    RecountedWindows,
    recounts_of,
)
from audit.recounted_trips import KeepSampled, ReadMessages
from audit.topics import source_position
from audit.validation import LogMessage
from broker.errors import DeletedOffsetsError
from broker.topic_reader import TopicReader
from broker.topics import find_topic
from mobility.records import MAX_EVENT_TIME, MIN_EVENT_TIME
from mobility.settings import Settings
from mobility.topics import late_topic, trips_topic

BATCH: Final = 5_000
"""Messages per batch, as in audit.recomputation."""

_MEMORY_MB: Final = 8
_MAX_PARTITION: Final = 2**31 - 1
_MAX_OFFSET: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class RecountReading:
    """A reading of the log for the windows in `window_range` that `records` have recounted.

    `records` are applied ones, `folder` has their corrections. `max_backlog` bounds how many late
    trips of a partition are read.
    """

    records: Sequence[BackfillRecord]
    folder: GivenLines
    settings: Settings
    window_range: AuditedRange
    keep_sampled: KeepSampled
    max_backlog: int | None = None

    def run(
        self, on_read: Callable[[int], None], on_poll: OnPoll = lambda: None
    ) -> RecountedWindows:
        """Read and compute; `on_read` is told how many messages were read, after each batch.

        Raises BrokerError, DeletedOffsetsError where messages were deleted meanwhile, ValueError
        where corrections can't be read.
        """
        if not recounts_of(self.records, self.window_range):
            return RecountedWindows()
        topics = {"trips_stream": trips_topic, "trips_late": late_topic}
        computation = RecountComputation(
            self.records,
            self.folder,
            self.settings,
            self.window_range,
            self.keep_sampled,
            {name: find_topic(self.settings, of(self.settings)).id for name, of in topics.items()},
        )
        number, truncated_until = 0, MIN_EVENT_TIME - 1
        if computation.computed:
            for batch in self._read_log(computation.computed, on_poll):
                computation.add(batch)
                number += len(batch.messages)
                on_read(number)
            late = _LateTrips(self.settings, self.max_backlog)
            for batch in late.read(computation.computed, on_poll):
                computation.add(batch)
                number += len(batch.messages)
                on_read(number)
            truncated_until = late.truncated_until
        windows = pl.concat([pl.DataFrame(schema=RECOUNTED_SCHEMA), *computation.windows()])
        return RecountedWindows(windows, computation.faults, truncated_until)

    def _read_log(
        self, records: Sequence[BackfillRecord], on_poll: OnPoll
    ) -> Iterator[ReadMessages]:
        ends = _highest_ends(each.read.trips_stream.ends for each in records if each.read)
        first = max(min(each.first for each in records), self.window_range.first)
        with TopicReader(
            self.settings,
            trips_topic(self.settings),
            client_id="mobility-audit",
            memory_mb=_MEMORY_MB,
        ) as reader:
            starts = self._first_offsets(reader, first)
            starts = {p: start for p, start in starts.items() if start < ends.get(p, 0)}
            batches = reader.read(
                starts,
                {partition: ends[partition] for partition in starts},
                batch_size=BATCH,
                on_progress=lambda _read, _total: on_poll(),
            )
            for batch in batches:
                messages = [to_log_message(message) for message in batch]
                yield ReadMessages(messages, [each[:2] for each in messages], is_late=False)

    def _first_offsets(self, reader: TopicReader, first: int) -> Offsets:
        """Return the offsets before which no trip of the windows from `first` on can be."""
        if self.settings.timestamp != "log_append":
            return reader.beginnings()
        since = first - self.settings.future_tolerance * 1_000
        starts = {}
        for partition in reader.partitions:
            low, end = reader.bounds(partition)
            starts[partition] = reader.offset_for_time(partition, since)
            if 0 < low < end and starts[partition] <= low:
                msg = f"{reader.topic} lost messages while it was read. Run it again."
                raise DeletedOffsetsError(msg)
        return starts


class _LateTrips:
    """The messages of `trips_late`; windows up to `truncated_until` may lack some."""

    def __init__(self, settings: Settings, max_backlog: int | None) -> None:
        self.truncated_until = MIN_EVENT_TIME - 1
        self._settings = settings
        self._max_backlog = max_backlog

    def read(self, records: Sequence[BackfillRecord], on_poll: OnPoll) -> Iterator[ReadMessages]:
        """Yield what these recounts have read, at its positions in the log."""
        topic = trips_topic(self._settings)
        ends = _highest_ends(each.read.trips_late.ends for each in records if each.read)
        reader = IncrementalTopicReader(
            self._settings,
            late_topic(self._settings),
            max_backlog=self._max_backlog,
            needs_append_time=False,
        )
        try:
            # Of each partition one message at least: it says up to when others were deleted.
            wanted = {p: max(ends.get(p, 0), at + 1) for p, at in reader.positions.items()}
            present = reader.ends()
            wanted = {p: min(end, present[p]) for p, end in wanted.items()}
            for batch in reader.read(wanted, BATCH, on_poll):
                yield _at_source(batch, topic)
            if reader.truncated_until is not None:
                # As for `aggregated.*`: the clock of the flow may have set these timestamps.
                tolerance = self._settings.future_tolerance * 1_000
                self.truncated_until = reader.truncated_until + 2 * tolerance
        finally:
            reader.close()


def _highest_ends(ends: Iterator[Mapping[int, int]]) -> Offsets:
    highest: Offsets = {}
    for each in ends:
        for partition, end in each.items():
            highest[partition] = max(end, highest.get(partition, 0))
    return highest


def _at_source(batch: Sequence[LogMessage], topic: str) -> ReadMessages:
    """Return messages of `trips_late` at their positions in the log; others are left out."""
    messages, read_at = [], []
    for message in batch:
        name, partition, offset, _, value = source_position(message)
        if name != topic or partition is None or offset is None:
            continue
        if partition > _MAX_PARTITION or offset > _MAX_OFFSET:
            continue
        # The flow has compared its time with the timestamp: with this one it passes again.
        messages.append(LogMessage(partition, offset, MAX_EVENT_TIME, value))
        read_at.append((message.partition, message.offset))
    return ReadMessages(messages, read_at, is_late=True)
