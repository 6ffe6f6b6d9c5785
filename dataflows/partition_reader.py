"""Reading one partition of a Kafka topic by offset: no consumer group, no commits."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NoReturn

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from broker.clients import consumer_config, reason_of
from broker.errors import BrokerError
from mobility.settings import Settings
from runtime.failures import RefusalError

_CONNECT_SECONDS: Final = 10.0
# Long enough for librdkafka to fill a batch, short enough for the other partitions.
_FILL_SECONDS: Final = 0.05
_LIVE_PAUSE: Final = timedelta(milliseconds=100)
_LOST_POSITION: Final = (
    KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001 - its public name is this
    KafkaError.OFFSET_OUT_OF_RANGE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 - as above
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001 - as above
)
# A batch ends at this many bytes too: a quarter of a second of work where messages are large.
_BATCH_BYTES: Final = 32 * 1024 * 1024
_MOST_AT_ONCE: Final = 2_000


class PartitionReader:
    """A partition's own consumer, and its position.

    `begin` is given the first offset of the log and the one after its last, and returns where to
    start. `position` is the next offset to read, `end` the one after the last known; a bounded read
    (MOBILITY_READ=once) ends where the log ended when it began. `peers` share the fetch memory.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        partition: int,
        begin: Callable[[int, int], int],
        peers: int,
    ) -> None:
        self._is_bounded = settings.read == "once"
        self._batch_size = settings.batch_size
        self._longest = settings.max_message_bytes
        self._partition = TopicPartition(topic, partition)
        self._consumer = Consumer(_config(settings, peers))
        try:
            low, self.end = self._consumer.get_watermark_offsets(self._partition, _CONNECT_SECONDS)
        except KafkaException as error:
            msg = f"{self._name} can't be read: {reason_of(error)}"
            raise BrokerError(msg) from error
        self.position = begin(low, self.end)
        self._consumer.assign([TopicPartition(topic, partition, self.position)])

    @property
    def lag(self) -> int:
        """How many offsets are between the position and the known end."""
        return max(0, self.end - self.position)

    @property
    def is_finished(self) -> bool:
        """Whether a bounded read has read everything."""
        return self._is_bounded and self.lag == 0

    @property
    def is_behind(self) -> bool:
        """Whether more than a batch is left, or, in a bounded read, anything."""
        return self.lag >= (1 if self._is_bounded else self._batch_size)

    def poll(self) -> list[Message]:
        """Return the next messages, up to a batch; waits for them only while behind."""
        messages = self._consume(_FILL_SECONDS if self.is_behind else 0.0)
        if any(map(Message.error, messages)):
            messages = [message for message in messages if self._is_message(message)]
        if messages:
            # The end of the log may be further on: behind the last message may be control records.
            self.position = max(self.position, offset_of(messages[-1]) + 1)
        if not self._is_bounded:
            _, high = self._consumer.get_watermark_offsets(self._partition, cached=True)
            self.end = max(self.end, high)
        return messages

    def next_poll(self) -> datetime | None:
        """Return when to poll again: at once while behind, else after a tenth of a second."""
        return None if self.is_behind or self.is_finished else datetime.now(UTC) + _LIVE_PAUSE

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()

    def _consume(self, seconds: float) -> list[Message]:
        """Return what the consumer has, up to a batch of messages or of bytes.

        No more are asked for at once than fit if all are as long as the longest before them.
        """
        deadline = time.monotonic() + seconds
        messages: list[Message] = []
        size = 0
        while (room := self._batch_size - len(messages)) and (
            fit := (_BATCH_BYTES - size) // self._longest
        ):
            wait = max(0.0, deadline - time.monotonic())
            some = self._consumer.consume(min(room, fit, _MOST_AT_ONCE), wait)
            if not some:
                break
            lengths = list(map(len, some))
            self._longest = max(1, *lengths)
            size += sum(lengths)
            messages += some
        return messages

    def _is_message(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            return True
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name is this
            # The log may end in control records, which no consumer is given.
            self.position = max(self.position, offset_of(message))
        elif error.code() in _LOST_POSITION:
            self._refuse_position(error)
        elif not error.retriable():
            msg = f"reading {self._name} at offset {self.position}: {error.str()}"
            raise BrokerError(msg)
        return False

    @property
    def _name(self) -> str:
        return f"{self._partition.topic} partition {self._partition.partition}"

    def _refuse_position(self, error: KafkaError) -> NoReturn:
        try:
            low, high = self._consumer.get_watermark_offsets(self._partition, _CONNECT_SECONDS)
            bounds = f"the log now holds {low} to {high}"
        except KafkaException:
            bounds = "the broker does not say what the log holds"
        msg = (
            f"{self._name}: offset {self.position} is the next to be read, but {bounds}: the "
            f"messages between were removed ({error.str()}).\n"
            "A start on this recovery folder names the remedy."
        )
        raise RefusalError(msg) from KafkaException(error)


def offset_of(message: Message) -> int:
    """Return the offset of a message in its partition."""
    return int(message.offset() or 0)


def _config(settings: Settings, peers: int) -> dict[str, Any]:
    """Return a consumer's configuration: large fetches, and one of `peers` shares of memory."""
    memory_mb = settings.fetch_memory_mb // max(peers, 1)
    return consumer_config(settings, "mobility-flow", memory_mb=memory_mb, logs=True) | {
        "fetch.message.max.bytes": 4 * 1024 * 1024,
        "fetch.wait.max.ms": 100,
        "queued.min.messages": settings.batch_size,
    }
