"""Reading the log by offset: one consumer for several partitions.

No consumer group assigns partitions and no offset is committed here: recovery state has them. A
consumer has one connection to each broker, few threads and one memory budget, however many
partitions it has.
"""

import threading
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import groupby
from typing import Any, Final, NoReturn, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from broker.access import Access, denial, is_denied
from broker.clients import configured, consumer_config, is_transient
from broker.errors import BrokerError
from broker.offsets import OffsetQuery, Partition
from dataflows.end_check import EndCheck
from dataflows.partition_reader import PartitionBuffer, PartitionReader, offset_of
from dataflows.refusals import refused_by_kafka
from mobility.settings import Settings
from runtime.failures import RefusalError

# An empty consumer is not asked again at once for each of many partitions.
_EMPTY_SECONDS: Final = 0.01
_MOST_AT_ONCE: Final = 2_000
# A batch ends at this many bytes too: a quarter of a second of work where messages are large.
_BATCH_BYTES: Final = 32 * 1024 * 1024
_SMALLEST_BATCH_BYTES: Final = 1024 * 1024
_BUFFERED_BATCHES: Final = 8
_SMALLEST_BUFFER: Final = 1_000
_LOST_POSITION: Final = (
    KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001 - its public name is this
    KafkaError.OFFSET_OUT_OF_RANGE,
)
_UNKNOWN: Final = (
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 - as above
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001 - as above
)

Begin = Callable[[int, int], int]
"""Is given the first offset of a partition and the one after its last; returns where to start."""


class LogReader:
    """One consumer and its partitions. Workers and their threads share it.

    `memory_mb` bounds what waits, of all partitions together: half of it the messages that wait
    here, a quarter those that the client has fetched, and a quarter the batches decoded ahead.
    """

    def __init__(
        self,
        settings: Settings,
        offsets: OffsetQuery,
        memory_mb: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = threading.RLock()
        self._offsets = offsets
        self._memory_mb = memory_mb
        self._check = EndCheck(self._offsets, clock)
        self._bounds: dict[str, dict[int, tuple[int, int]]] = {}
        self._buffers: dict[Partition, PartitionBuffer] = {}
        self._unassigned: list[PartitionBuffer] = []
        self._longest = settings.max_message_bytes
        self._empty_until = 0.0

    @cached_property
    def _consumer(self) -> Consumer:
        with refused_by_kafka():
            return configured(Consumer, self._settings, _config(self._settings, self._memory_mb))

    def open(
        self, topic: str, partition: int, partitions: tuple[int, ...], begin: Begin
    ) -> PartitionReader:
        """Return the reader of a partition; `partitions` are all of the topic.

        Raises BrokerError where Kafka does not answer, and what `begin` raises.
        """
        with self._lock:
            if topic not in self._bounds:
                # All at once, before anything is fetched: a broker answers one request after the
                # other, and a fetch may wait at the end of the log.
                self._bounds[topic] = self._offsets.bounds(topic, partitions)
            low, end = self._bounds[topic][partition]
            buffer = PartitionBuffer(topic, partition, begin(low, end), end)
            self._buffers[topic, partition] = buffer
            self._unassigned.append(buffer)
            return PartitionReader(self, buffer, self._settings)

    def poll(self, buffer: PartitionBuffer, seconds: float) -> list[Message]:
        """Return the next messages of a partition, up to a batch; wait at most so long for them."""
        with self._lock:
            self._assign()
            self._fill(buffer, seconds)
            messages = buffer.take(self._settings.batch_size, self._batch_bytes)
            if buffer.is_paused and self._has_room(buffer):
                buffer.is_paused = False
                self._consumer.resume([TopicPartition(*buffer.key)])
            self._check.update(self._buffers.values())
            return messages

    def known_end(self, buffer: PartitionBuffer) -> int:
        """Return the end of a partition as the last fetch has seen it."""
        _, high = self._consumer.get_watermark_offsets(TopicPartition(*buffer.key), cached=True)
        return int(high)

    def close(self, buffer: PartitionBuffer) -> None:
        """Leave a partition; with the last one, leave the broker."""
        with self._lock:
            if self._buffers.pop(buffer.key, None) is None:
                return
            if buffer in self._unassigned:
                self._unassigned.remove(buffer)
            if not self._buffers and "_consumer" in self.__dict__:
                self._consumer.close()
                del self.__dict__["_consumer"]

    @property
    def _limit(self) -> int:
        """How many messages of one partition wait here before its fetching is paused."""
        share = _BUFFERED_BATCHES * self._settings.batch_size // max(len(self._buffers), 1)
        return max(_SMALLEST_BUFFER, min(share, 2 * self._settings.batch_size))

    @property
    def _batch_bytes(self) -> int:
        """How many bytes a batch has at most. Twice as many of one partition wait here."""
        share = self._memory_mb * 1024 * 1024 // 4 // max(len(self._buffers), 1)
        return max(_SMALLEST_BATCH_BYTES, min(share, _BATCH_BYTES))

    def _is_full(self, buffer: PartitionBuffer) -> bool:
        return buffer.messages > self._limit or buffer.size > 2 * self._batch_bytes

    def _has_room(self, buffer: PartitionBuffer) -> bool:
        return buffer.messages <= self._limit // 2 and buffer.size <= self._batch_bytes

    def _assign(self) -> None:
        if self._unassigned:
            added = [TopicPartition(*b.key, b.position) for b in self._unassigned]
            self._unassigned.clear()
            self._consumer.incremental_assign(added)

    def _fill(self, buffer: PartitionBuffer, seconds: float) -> None:
        """Read until the partition has a batch, is at its end, or the time is over."""
        deadline = self._clock() + seconds
        if self._clock() < self._empty_until:
            return
        while buffer.messages < self._settings.batch_size and buffer.size < self._batch_bytes:
            most = max(1, min(_MOST_AT_ONCE, self._batch_bytes // self._longest))
            messages = self._consumer.consume(most, max(0.0, deadline - self._clock()))
            if not messages:
                self._empty_until = self._clock() + (0.0 if seconds else _EMPTY_SECONDS)
                return
            self._distribute(messages)
            if buffer.is_at_end:
                return

    def _distribute(self, messages: list[Message]) -> None:
        self._longest = max(1, *map(len, messages))
        for key, run in _runs(messages):
            buffer = self._buffers.get(key)
            if buffer is None:
                # Or an error of no partition: as that the consumer may not see its group, which it
                # does not need.
                continue
            if any(map(Message.error, run)):
                buffer.add([message for message in run if self._is_message(buffer, message)])
            else:
                buffer.reached_end = None
                buffer.add(run)
            if not buffer.is_paused and self._is_full(buffer):
                buffer.is_paused = True
                self._consumer.pause([TopicPartition(*key)])

    def _is_message(self, buffer: PartitionBuffer, message: Message) -> bool:
        error = message.error()
        if error is None:
            buffer.reached_end = None
            return True
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name is this
            buffer.reached_end = offset_of(message)
        elif error.code() in _LOST_POSITION:
            self._refuse_position(buffer, error)
        elif error.code() in _UNKNOWN:
            self._check_position(buffer, error)
        elif is_denied(error):
            access = Access("Read", buffer.key[0])
            raise RefusalError(denial(self._settings, access, error))
        elif not is_transient(error):
            msg = f"reading {buffer.name} at offset {buffer.position}: {error.str()}"
            raise BrokerError(msg)
        return False

    def _check_position(self, buffer: PartitionBuffer, error: KafkaError) -> None:
        """Refuse a partition that is gone. A broker that does not know it yet is not the only one.

        Raises RefusalError, and BrokerError where no broker knows it.
        """
        topic, partition = buffer.key
        low, end = self._offsets.bounds(topic, [partition])[partition]
        if not low <= buffer.position <= end:
            self._refuse_position(buffer, error)

    def _refuse_position(self, buffer: PartitionBuffer, error: KafkaError) -> NoReturn:
        topic, partition = buffer.key
        try:
            low, end = self._offsets.bounds(topic, [partition])[partition]
            holds = f"the log now holds {low} to {end}"
        except BrokerError:
            holds = "the broker does not say what the log holds"
        msg = (
            f"{buffer.name}: offset {buffer.position} is the next to be read, but {holds}: the "
            f"messages between were removed ({error.str()}).\n"
            "A start on this recovery folder names the remedy."
        )
        raise RefusalError(msg) from KafkaException(error)


def _runs(messages: list[Message]) -> Iterator[tuple[Partition, list[Message]]]:
    """Yield the messages by topic and partition: librdkafka delivers them in long runs.

    The keys are methods written in C: a Python function would be called for each message.
    """
    for partition, in_partition in groupby(messages, Message.partition):
        for topic, run in groupby(in_partition, Message.topic):
            yield (cast("str", topic), cast("int", partition)), list(run)


def _config(settings: Settings, memory_mb: int) -> dict[str, Any]:
    return consumer_config(settings, "mobility-flow", memory_mb=memory_mb // 4, logs=True) | {
        "fetch.message.max.bytes": 4 * 1024 * 1024,
        "fetch.wait.max.ms": 100,
        "queued.min.messages": settings.batch_size,
    }
