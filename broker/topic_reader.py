"""Reading partitions of a topic from given offsets up to given offsets."""

import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Final, Self, TypeVar, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from broker.access import Access, denial, is_denied
from broker.clients import (
    ANSWER_SECONDS,
    concerns_group,
    configured,
    consumer_config,
    is_transient,
)
from broker.connection import ConnectionErrors
from broker.errors import AccessError, BrokerError, DeletedOffsetsError
from broker.topics import find_topic
from mobility.settings import Settings

T = TypeVar("T")

SILENCE_SECONDS: Final = 30.0
"""How long a read goes on without a message before it is given up."""

_BATCH: Final = 2_000
_MEMORY_MB: Final = 16
# consume() waits until a batch is full: at the end of a topic that would be its whole timeout.
_POLL_SECONDS: Final = 0.1

OnProgress = Callable[[int, int], None]
"""Called with the number of offsets passed so far, and how many there are in all."""


class TopicReader:
    """Reads a topic's committed messages, without a consumer group.

    `positions` are the next offsets of the partitions that were read, `topic_id` is that of
    `TopicInfo`. Everything raises BrokerError
    where Kafka does not answer for 30 s, or a topic can't be read on from where it was, AccessError
    where it may not be read; errors that pass by themselves are waited out. The constructor raises
    MissingTopicError without the topic.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        *,
        client_id: str = "mobility-reader",
        memory_mb: int = _MEMORY_MB,
    ) -> None:
        self.topic = topic
        found = find_topic(settings, topic)
        self.partitions, self.topic_id = found.partitions, found.id
        self.positions: dict[int, int] = {}
        self._settings = settings
        self._last_error: KafkaError | None = None
        self._errors = ConnectionErrors(settings)
        config = consumer_config(settings, client_id, memory_mb=memory_mb) | {
            "error_cb": self._errors.note,
            # Small fetches are five times slower; large ones need much memory when decompressed.
            "fetch.message.max.bytes": min(max(memory_mb // 16, 1), 8) * 1024 * 1024,
            "queued.min.messages": 200_000,
            # A broker answers one request after the other: a request for offsets would wait for
            # the fetch that waits at the end of the topic.
            "fetch.wait.max.ms": 10,
        }
        self._consumer = configured(Consumer, settings, config)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()

    def refresh_partitions(self) -> tuple[int, ...]:
        """Ask again which partitions there are."""
        self.partitions = find_topic(self._settings, self.topic).partitions
        return self.partitions

    def bounds(self, partition: int) -> tuple[int, int]:
        """Return the first offset of a partition and the one after its last."""
        place = TopicPartition(self.topic, partition)
        return self._retry(lambda: self._consumer.get_watermark_offsets(place, ANSWER_SECONDS))

    def beginnings(self) -> dict[int, int]:
        """Return the first offset of every partition."""
        return {partition: self.bounds(partition)[0] for partition in self.partitions}

    def ends(self) -> dict[int, int]:
        """Return the offset after the last message of every partition."""
        return {partition: self.bounds(partition)[1] for partition in self.partitions}

    def offset_for_time(self, partition: int, timestamp: int) -> int:
        """Return the first offset with this timestamp (epoch ms) or a later one, else the end."""
        place = TopicPartition(self.topic, partition, max(timestamp, 0))
        found = self._retry(lambda: self._offset_for_time(place))
        return found if found >= 0 else self.bounds(partition)[1]

    def read(
        self,
        starts: Mapping[int, int],
        ends: Mapping[int, int] | None = None,
        *,
        batch_size: int = _BATCH,
        on_progress: OnProgress | None = None,
    ) -> Iterator[list[Message]]:
        """Yield the messages between offsets in batches, each partition's in offset order.

        `ends` are exclusive; without them it is read up to the ends that the partitions have now.
        The last offsets of a partition may belong to control records or aborted transactions: they
        are passed, as no consumer is given them.
        """
        ends = {p: self.bounds(p)[1] for p in starts} if ends is None else ends
        self.positions |= starts
        left = {partition for partition in starts if starts[partition] < ends[partition]}
        total = sum(ends[partition] - starts[partition] for partition in left)
        self._assign(left)
        answered = time.monotonic()
        while left:
            batch = self._consumer.consume(batch_size, _POLL_SECONDS)
            messages = [message for message in batch if self._pass(message, ends, left)]
            if messages:
                yield messages
                answered = time.monotonic()
            elif time.monotonic() - answered > SILENCE_SECONDS:
                raise self._silent()
            if on_progress is not None:
                read = {p: min(self.positions[p], ends[p]) for p in starts}
                on_progress(sum(max(0, read[p] - starts[p]) for p in starts), total)
        self._consumer.unassign()

    def _offset_for_time(self, place: TopicPartition) -> int:
        (found,) = self._consumer.offsets_for_times([place], ANSWER_SECONDS)
        if found.error is not None:  # which is not raised
            raise KafkaException(found.error)
        return int(found.offset)

    def _assign(self, partitions: set[int]) -> None:
        self._consumer.assign(
            [TopicPartition(self.topic, each, self.positions[each]) for each in sorted(partitions)]
        )

    def _pass(self, message: Message, ends: Mapping[int, int], left: set[int]) -> bool:
        """Move the position past a message; return whether it is one to be yielded."""
        error = message.error()
        partition = cast("int", message.partition())
        if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - public
            if concerns_group(error):
                return False
            if not is_transient(error):
                raise self._unreadable(error)
            self._last_error = error
            return False
        if partition not in left:
            return False
        offset = cast("int", message.offset())
        if error is not None:
            # Whatever lies between here and the end are control records, or trips of a transaction
            # that is still open: those come later.
            self.positions[partition] = max(self.positions[partition], offset)
            left.discard(partition)
            return False
        is_inside = offset < ends[partition]
        self.positions[partition] = offset + 1 if is_inside else ends[partition]
        if self.positions[partition] >= ends[partition]:
            left.discard(partition)
        return is_inside

    def _retry(self, request: Callable[[], T]) -> T:
        """Return the answer to a request, repeated while its error passes by itself."""
        deadline = time.monotonic() + SILENCE_SECONDS
        while True:
            try:
                return request()
            except KafkaException as error:
                if not is_transient(error.args[0]) or time.monotonic() > deadline:
                    raise self._unreadable(error.args[0]) from error
            time.sleep(_POLL_SECONDS)

    def _unreadable(self, error: KafkaError) -> BrokerError:
        where = f"The topic {self.topic} at {self._settings.kafka} can't be read"
        if is_denied(error):
            return AccessError(denial(self._settings, Access("Read", self.topic), error))
        if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 - its public name
            return DeletedOffsetsError(
                f"{where}: messages were removed (retention) before they were read. "
                f"Run it again. ({error.str()})"
            )
        return BrokerError(f"{where}: {error.str()}")

    def _silent(self) -> BrokerError:
        if reason := self._errors.reason():
            return reason
        cause = "" if self._last_error is None else f": {self._last_error.str()}"
        cause += self._errors.last_words()
        return BrokerError(
            f"Kafka at {self._settings.kafka} sent no message of {self.topic} for "
            f"{SILENCE_SECONDS:.0f} s{cause}. Is it running?"
        )


def read_topic(
    settings: Settings,
    topic: str,
    starts: Mapping[int, int] | None = None,
    *,
    memory_mb: int = 128,
    batch_size: int = 20_000,
) -> Iterator[list[Message]]:
    """Yield all messages of a topic from its beginning, or from `starts`, to its present end."""
    with TopicReader(settings, topic, memory_mb=memory_mb) as reader:
        begin = reader.beginnings() if starts is None else starts
        yield from reader.read(begin, batch_size=batch_size)


def count_messages(settings: Settings, topic: str) -> int:
    """Return how many offsets a topic spans. Raises MissingTopicError without the topic."""
    with TopicReader(settings, topic) as reader:
        return sum(end - low for low, end in map(reader.bounds, reader.partitions))
