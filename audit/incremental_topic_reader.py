"""Reads a topic again and again, each time from where the last read ended to the present end."""

from collections.abc import Callable, Iterator
from typing import Final, cast

import confluent_kafka
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME

from audit.log_messages import to_log_message
from audit.validation import LogMessage
from broker.topic_reader import TopicReader
from mobility.records import MAX_EVENT_TIME
from mobility.settings import Settings

# Decoding takes longer than fetching, and a running audit must stay small.
_MEMORY_MB: Final = 8

_UNKNOWN: Final = MAX_EVENT_TIME
"""Without a log-append time nothing is known about deleted messages: no window is complete."""

Offsets = dict[int, int]

OnPoll = Callable[[], None]
"""Called several times a second while a topic is read; an exception ends the read."""


class TopicChangedError(RuntimeError):
    """The topic was recreated, or its partitions changed, since the audit started to read it."""


class IncrementalTopicReader:
    """Reads the messages of a topic by offset.

    `positions` are the next offsets. It starts at the first message, or, if a partition has more
    than `max_backlog`, at the last `max_backlog` of them. `truncated_until` is the timestamp (epoch
    ms) up to which there may have been earlier messages; None if everything is read.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        *,
        max_backlog: int | None = None,
        needs_append_time: bool = True,
    ) -> None:
        """Open the topic; without `needs_append_time` timestamps of producers are trusted too."""
        self.truncated_until: int | None = None
        self._topic = topic
        self._needs_append_time = needs_append_time
        self._reader = TopicReader(
            settings, topic, client_id="mobility-audit", memory_mb=_MEMORY_MB
        )
        try:
            self.positions = self._find_starts(max_backlog)
        except BaseException:
            self.close()
            raise
        self._truncated = {partition for partition, start in self.positions.items() if start}

    def ends(self) -> Offsets:
        """Return the offset after the last message of each partition.

        Raises TopicChangedError if the topic has other partitions or fewer messages than before.
        """
        partitions = self._reader.refresh_partitions()
        if set(partitions) != self.positions.keys():
            msg = f"{self._topic} has other partitions than when the audit started to read it"
            raise TopicChangedError(msg)
        ends = self._reader.ends()
        if any(ends[partition] < self.positions[partition] for partition in partitions):
            msg = f"{self._topic} was recreated since the audit started to read it"
            raise TopicChangedError(msg)
        return ends

    def read(
        self, ends: Offsets, batch_size: int, on_poll: OnPoll = lambda: None
    ) -> Iterator[list[LogMessage]]:
        """Yield batches of at most so many messages up to these ends.

        Raises BrokerError if Kafka does not answer for 30 s, DeletedOffsetsError if retention has
        deleted messages that were not read yet.
        """
        starts = {
            partition: self.positions[partition]
            for partition, end in ends.items()
            if self.positions[partition] < end
        }
        batches = self._reader.read(
            starts,
            {partition: ends[partition] for partition in starts},
            batch_size=batch_size,
            on_progress=lambda _read, _total: on_poll(),
        )
        for batch in batches:
            self._note_truncation(batch)
            self._update_positions(starts)
            yield [to_log_message(message) for message in batch]
        self._update_positions(starts)

    def close(self) -> None:
        """Close the consumer."""
        self._reader.close()

    def _find_starts(self, max_backlog: int | None) -> Offsets:
        bounds = {
            partition: self._reader.bounds(partition) for partition in self._reader.partitions
        }
        return {
            partition: low if max_backlog is None else max(low, end - max_backlog)
            for partition, (low, end) in sorted(bounds.items())
        }

    def _update_positions(self, starts: Offsets) -> None:
        self.positions |= {partition: self._reader.positions[partition] for partition in starts}

    def _note_truncation(self, batch: list[confluent_kafka.Message]) -> None:
        for message in batch:
            partition = cast("int", message.partition())
            if partition in self._truncated:
                self._truncated.remove(partition)
                # Log-append times of a partition are in order: nothing before is later than this.
                kind, timestamp = message.timestamp()
                if self._needs_append_time and kind != TIMESTAMP_LOG_APPEND_TIME:
                    timestamp = _UNKNOWN
                known = self.truncated_until
                self.truncated_until = timestamp if known is None else max(known, timestamp)
