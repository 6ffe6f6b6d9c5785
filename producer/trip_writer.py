"""The writer of trips and punctuations, which counts what Kafka has confirmed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient

from mobility.topics import PARTITIONER, WATERMARK_HEADER

_ANSWER_SECONDS: Final = 15.0
_MESSAGES_PER_POLL: Final = 1_000


class TopicError(Exception):
    """The topic to write to does not exist; the message says what to do."""


class DeliveryError(Exception):
    """Kafka refused a message or did not confirm it in time."""


@dataclass(slots=True)
class DeliveryCounts:
    """What Kafka has confirmed: trips per partition, and punctuations."""

    trips: list[int]
    punctuations: int = 0


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


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """A topic that exists: its cluster's id and its number of partitions."""

    name: str
    cluster: str
    partitions: int


def find_topic(brokers: str, name: str) -> TopicInfo:
    """Return the topic; raise TopicError if no broker answers or the topic doesn't exist."""
    # Lists all topics: a metadata request for one by name may create it.
    admin = AdminClient({"bootstrap.servers": brokers, "log_level": 2})
    try:
        metadata = admin.list_topics(timeout=_ANSWER_SECONDS)
    except KafkaException as error:
        msg = f"no Kafka answers at {brokers} (MOBILITY_KAFKA): {error.args[0].str()}"
        raise TopicError(msg) from error
    topic = metadata.topics.get(name)
    if topic is None:
        msg = f"there is no topic {name} on {brokers}: run `just topics`"
        raise TopicError(msg)
    return TopicInfo(name, str(metadata.cluster_id), len(topic.partitions))


class KafkaTripWriter:
    """Writes to one topic with an idempotent producer: in order and without duplicates (KIP-98)."""

    def __init__(self, brokers: str, topic: TopicInfo) -> None:
        self._topic = topic.name
        self._failure: KafkaError | None = None
        self._delivered = DeliveryCounts([0] * topic.partitions)
        self._producer = Producer(_config(brokers) | {"on_delivery": self._on_trip})

    @property
    def delivered(self) -> DeliveryCounts:
        """What was delivered so far."""
        return self._delivered

    def send(self, keys: Sequence[str], values: Sequence[str]) -> None:
        """Send trips in this order; wait while the queue is full."""
        produce, topic = self._producer.produce, self._topic
        for start in range(0, len(keys), _MESSAGES_PER_POLL):
            end = start + _MESSAGES_PER_POLL
            for key, value in zip(keys[start:end], values[start:end], strict=True):
                try:
                    produce(topic, value, key)
                except BufferError:
                    self._produce_when_queue_has_space(value, key)
                except KafkaException as error:
                    self._failure = error.args[0]
                    break
            self.poll()

    def send_punctuation(self, partition: int, event_time: int) -> None:
        """Send a punctuation with an event time (epoch ms) to a partition."""
        self._producer.produce(
            self._topic,
            partition=partition,
            headers=[(WATERMARK_HEADER, str(event_time).encode())],
            on_delivery=self._on_punctuation,
        )

    def poll(self) -> None:
        """Handle delivery reports; raise DeliveryError if one is a failure."""
        self._producer.poll(0)
        self._raise_failure()

    def flush(self) -> None:
        """Wait until everything is delivered; raise DeliveryError if something failed."""
        # In steps, so that a second Ctrl-C is handled.
        while self._producer.flush(0.5):
            self._raise_failure()
        self._raise_failure()

    def _produce_when_queue_has_space(self, value: str, key: str) -> None:
        while True:
            self._producer.poll(0.05)
            self._raise_failure()
            try:
                self._producer.produce(self._topic, value, key)
            except BufferError:
                continue
            return

    def _raise_failure(self) -> None:
        if self._failure is not None:
            msg = f"Kafka did not accept a message for {self._topic}: {self._failure.str()}"
            raise DeliveryError(msg)

    def _on_trip(self, error: KafkaError | None, message: Message) -> None:
        partition = message.partition()
        if error is not None or partition is None:
            self._failure = self._failure or error
        else:
            self._delivered.trips[partition] += 1

    def _on_punctuation(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._failure = self._failure or error
        else:
            self._delivered.punctuations += 1


def _config(brokers: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": brokers,
        "client.id": "mobility-producer",
        "partitioner": PARTITIONER,
        "enable.idempotence": True,
        "compression.type": "lz4",
        "linger.ms": 50,
        "batch.size": 1_000_000,
        "batch.num.messages": 10_000,
        "queue.buffering.max.messages": 200_000,
        "queue.buffering.max.kbytes": 128 * 1_024,
        # A failure is reported once, as a DeliveryError.
        "log_level": 2,
    }
