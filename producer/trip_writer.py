"""The writer of trips and punctuations, which counts what Kafka has delivered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from confluent_kafka import Message

from broker.producer import CheckedProducer
from broker.topics import TopicInfo
from mobility.settings import Settings
from mobility.topics import WATERMARK_HEADER

_MESSAGES_PER_SEND: Final = 1_000
_DELIVERY_SECONDS: Final = 120


@dataclass(slots=True)
class DeliveryCounts:
    """What Kafka has acknowledged: trips per partition, and punctuations.

    `ends` has the offset after the last message of each partition, also of messages of earlier
    runs.
    """

    trips: list[int]
    punctuations: int = 0
    ends: dict[int, int] = field(default_factory=dict)


class TripWriter(Protocol):
    """Writes trips and punctuations."""

    @property
    def delivered(self) -> DeliveryCounts:
        """What was delivered so far."""

    def send(self, keys: Sequence[str], values: Sequence[str]) -> None:
        """Send trips in this order; wait while the queue is full."""

    def send_punctuation(self, partition: int, event_time: int) -> None:
        """Send a punctuation with an event time (epoch ms) to a partition."""

    def poll(self) -> None:
        """Handle delivery reports; raise DeliveryError if one is a failure."""

    def flush(self) -> None:
        """Wait until everything is delivered; raise DeliveryError if something failed."""


class KafkaTripWriter:
    """Writes to one topic with an idempotent producer: in order and without duplicates.

    `ends` are the next offsets of its partitions.
    """

    def __init__(self, settings: Settings, topic: TopicInfo, ends: Mapping[int, int]) -> None:
        self._topic = topic.name
        self._delivered = DeliveryCounts([0] * len(topic.partitions), ends=dict(ends))
        self._producer = CheckedProducer(
            settings,
            "mobility-producer",
            timeout_seconds=_DELIVERY_SECONDS,
            on_delivered=self._count,
        )

    @property
    def delivered(self) -> DeliveryCounts:
        """What was delivered so far."""
        return self._delivered

    def send(self, keys: Sequence[str], values: Sequence[str]) -> None:
        """Send trips in this order; wait while the queue is full."""
        # In parts, as delivery reports are handled after each.
        for start in range(0, len(keys), _MESSAGES_PER_SEND):
            end = start + _MESSAGES_PER_SEND
            self._producer.send(self._topic, keys[start:end], values[start:end])

    def send_punctuation(self, partition: int, event_time: int) -> None:
        """Send a punctuation with an event time (epoch ms) to a partition."""
        header = (WATERMARK_HEADER, str(event_time).encode())
        self._producer.send(self._topic, [None], [None], [[header]], partition)

    def poll(self) -> None:
        """Handle delivery reports; raise DeliveryError if one is a failure."""
        self._producer.poll()

    def flush(self) -> None:
        """Wait until everything is delivered; raise DeliveryError if something failed."""
        self._producer.flush()

    def _count(self, message: Message) -> None:
        partition, offset = message.partition(), message.offset()
        if partition is not None and offset is not None:
            self._delivered.ends[partition] = offset + 1
        if message.value() is None:
            self._delivered.punctuations += 1
        elif partition is not None:
            self._delivered.trips[partition] += 1
