"""Reading one partition of a Kafka topic by offset: no consumer group, no commits."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NoReturn

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from dataflows.failures import RefusalError
from mobility.settings import Settings

_CONNECT_SECONDS: Final = 10.0
# Long enough for librdkafka to fill a batch, short enough for the other partitions.
_FILL_SECONDS: Final = 0.05
_LIVE_PAUSE: Final = timedelta(milliseconds=100)
_LOST_PLACE: Final = (
    KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001 - its public name is this
    KafkaError.OFFSET_OUT_OF_RANGE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 - as above
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001 - as above
)
# A batch ends at this many bytes too: a quarter of a second of intake where messages are large.
_BATCH_BYTES: Final = 32 * 1024 * 1024
_MOST_AT_ONCE: Final = 2_000


class SourceError(RuntimeError):
    """The log can't be read."""


class PartitionReader:
    """A partition's own consumer, and where it stands.

    `begin` is told the first offset of the log and the one after its last, and says where to read.
    `position` is the next offset to read, `end` the one after the last known; a bounded read
    (MOBILITY_READ=once) ends where the log ended when it began.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        partition: int,
        begin: Callable[[int, int], int],
        peers: int,
    ) -> None:
        self._once = settings.read == "once"
        self._batch_size = settings.batch_size
        self._longest = settings.max_message_bytes
        self._place = TopicPartition(topic, partition)
        self._consumer = Consumer(consumer_config(settings, peers))
        try:
            low, self.end = self._consumer.get_watermark_offsets(self._place, _CONNECT_SECONDS)
        except KafkaException as error:
            msg = f"{self._where} can't be read: {error.args[0].str()}"
            raise SourceError(msg) from error
        self.position = begin(low, self.end)
        self._consumer.assign([TopicPartition(topic, partition, self.position)])

    @property
    def lag(self) -> int:
        """How many offsets lie between here and the known end."""
        return max(0, self.end - self.position)

    @property
    def finished(self) -> bool:
        """Whether a bounded read has read everything."""
        return self._once and self.lag == 0

    @property
    def behind(self) -> bool:
        """Whether more than a batch is left, or, in a bounded read, anything."""
        return self.lag >= (1 if self._once else self._batch_size)

    def poll(self) -> list[Message]:
        """Return the next messages, up to a batch; waits for them only while behind."""
        messages = self._consume(_FILL_SECONDS if self.behind else 0.0)
        if any(map(Message.error, messages)):
            messages = [message for message in messages if self._is_message(message)]
        if messages:
            self.position = offset_of(messages[-1]) + 1
        if not self._once:
            _, high = self._consumer.get_watermark_offsets(self._place, cached=True)
            self.end = max(self.end, high)
        return messages

    def next_poll(self) -> datetime | None:
        """Return when to poll again: at once while behind, else after a tenth of a second."""
        return None if self.behind or self.finished else datetime.now(UTC) + _LIVE_PAUSE

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()

    def _consume(self, seconds: float) -> list[Message]:
        """Return what the consumer has, up to a batch of messages or of bytes.

        Asked for is no more at once than fits if all are as long as the longest of those before.
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
            # The log may end in control records, which no consumer is shown.
            self.position = max(self.position, offset_of(message))
        elif error.code() in _LOST_PLACE:
            self._refuse_place(error)
        elif not error.retriable():
            msg = f"reading {self._where} at offset {self.position}: {error.str()}"
            raise SourceError(msg)
        return False

    @property
    def _where(self) -> str:
        return f"{self._place.topic} partition {self._place.partition}"

    def _refuse_place(self, error: KafkaError) -> NoReturn:
        try:
            low, high = self._consumer.get_watermark_offsets(self._place, _CONNECT_SECONDS)
            there = f"the log now holds {low} to {high}"
        except KafkaException:
            there = "the log does not say what it holds"
        msg = (
            f"{self._where}: offset {self.position} is next to be read, and {there}: what was "
            f"between is gone ({error.str()}).\nA start on this recovery folder names the remedy."
        )
        raise RefusalError(msg) from KafkaException(error)


def offset_of(message: Message) -> int:
    """Return where a message stands in its partition."""
    return int(message.offset() or 0)


def consumer_config(settings: Settings, peers: int) -> dict[str, Any]:
    """Return a consumer's configuration: large fetches, and one of `peers` shares of memory."""
    memory = settings.fetch_memory_mb * 1024 // max(peers, 1)
    return {
        "bootstrap.servers": settings.kafka,
        "group.id": f"{settings.topic_prefix}mobility-hub",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
        "fetch.message.max.bytes": 4 * 1024 * 1024,
        "fetch.wait.max.ms": 100,
        "queued.min.messages": settings.batch_size,
        "queued.max.messages.kbytes": max(memory, 1024),
    }
