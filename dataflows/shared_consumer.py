"""One Kafka consumer for all partitions that a process reads, and what its errors mean.

No consumer group assigns partitions and no offset is committed here: recovery state has them. The
consumer has one connection to each broker and few threads, however many partitions it has.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, Final, NoReturn, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from broker.access import Access, denial, is_denied
from broker.clients import configured, consumer_config, is_transient
from broker.errors import BrokerError
from broker.offsets import OffsetQuery, Partition
from dataflows.fetch_memory import FetchMemory
from dataflows.partition_reader import PartitionBuffer, offset_of
from dataflows.refusals import refused_by_kafka
from mobility.settings import Settings
from runtime.failures import RefusalError

_MOST_AT_ONCE: Final = 2_000
_LOST_POSITION: Final = (
    KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001 - its public name is this
    KafkaError.OFFSET_OUT_OF_RANGE,
)
_UNKNOWN: Final = (
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 - as above
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001 - as above
)


class SharedConsumer:
    """A consumer that is assigned partitions one by one. One thread at a time may use it.

    `partitions` is about how many it will have.
    """

    def __init__(
        self, settings: Settings, offsets: OffsetQuery, memory: FetchMemory, partitions: int
    ) -> None:
        self._settings = settings
        self._offsets = offsets
        self._memory = memory
        self._longest = settings.max_message_bytes
        with refused_by_kafka():
            self._consumer = configured(Consumer, settings, _config(settings, memory, partitions))

    def assign(self, buffers: Iterable[PartitionBuffer]) -> None:
        """Fetch these partitions, too, from their positions on."""
        added = [TopicPartition(*buffer.key, buffer.position) for buffer in buffers]
        self._consumer.incremental_assign(added)

    def unassign(self, buffers: Iterable[PartitionBuffer]) -> None:
        """Fetch these partitions no more."""
        self._consumer.incremental_unassign([TopicPartition(*buffer.key) for buffer in buffers])

    def pause(self, buffers: Iterable[PartitionBuffer]) -> None:
        """Stop fetching partitions; what the client has fetched of them is fetched again."""
        self._consumer.pause([TopicPartition(*buffer.key) for buffer in buffers])

    def resume(self, buffers: Iterable[PartitionBuffer]) -> None:
        """Fetch partitions again, within a second."""
        self._consumer.resume([TopicPartition(*buffer.key) for buffer in buffers])

    def read(
        self, buffers: Mapping[Partition, PartitionBuffer], most_bytes: int
    ) -> list[PartitionBuffer]:
        """Add messages that are fetched to their buffers; return the buffers with an update.

        It does not wait: while it would, the client would fetch more than it may keep. Raises
        RefusalError where a position is lost or access is denied, and BrokerError.
        """
        most = max(1, min(_MOST_AT_ONCE, most_bytes // self._longest))
        messages = self._consumer.consume(most, 0.0)
        if not messages:
            return []
        self._longest = max(1, *map(len, messages))
        # An error may be of no partition: as that the consumer may not see its group, which it does
        # not need.
        runs = [(buffers[key], run) for key, run in _runs(messages) if key in buffers]
        for buffer, run in runs:
            self._add(buffer, run)
        return [buffer for buffer, _ in runs]

    def close(self) -> None:
        """Leave the brokers."""
        self._consumer.close()

    def _add(self, buffer: PartitionBuffer, run: list[Message]) -> None:
        if any(map(Message.error, run)):
            for is_message, part in groupby(run, lambda message: message.error() is None):
                if is_message:
                    self._memory.add(buffer.add(list(part)))
                else:
                    for message in part:
                        self._handle(buffer, message)
        else:
            self._memory.add(buffer.add(run))
        _, end = self._consumer.get_watermark_offsets(TopicPartition(*buffer.key), cached=True)
        buffer.move_end(int(end))

    def _handle(self, buffer: PartitionBuffer, message: Message) -> None:
        """Do what an error, which comes in the place of a message, asks for."""
        error = message.error()
        if error is None:
            return
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name is this
            buffer.reach_end(offset_of(message))
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


def _config(settings: Settings, memory: FetchMemory, partitions: int) -> dict[str, Any]:
    return consumer_config(settings, "mobility-flow", memory_mb=memory.queue_mb, logs=True) | {
        "fetch.max.bytes": memory.response,
        "fetch.message.max.bytes": memory.share_of_response(partitions),
        # A request names all partitions, so few are sent while nothing arrives. New messages are
        # returned at once.
        "fetch.wait.max.ms": 500,
        "queued.min.messages": settings.batch_size,
    }
