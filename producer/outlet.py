"""The trips topic, as the producer writes to it: nothing counts until Kafka has confirmed it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient

from mobility.topics import PARTITIONER, WATERMARK_HEADER

_SECONDS_TO_ANSWER: Final = 15.0
_POLL_EVERY: Final = 1_000


class TopicError(Exception):
    """There is no topic to write to; the message says what to do."""


class DeliveryError(Exception):
    """Kafka refused a message or did not confirm it in time."""


@dataclass(slots=True)
class Tally:
    """What Kafka has confirmed: trips, a number for each partition, and punctuations."""

    trips: list[int]
    punctuations: int = 0


class Outlet(Protocol):
    """Where trips and punctuations go."""

    @property
    def tally(self) -> Tally:
        """What is confirmed so far."""

    def send(self, keys: Sequence[str], values: Sequence[str]) -> None:
        """Send trips in this order; wait where the queue is full."""

    def punctuate(self, partition: int, event_ms: int) -> None:
        """Tell a partition that event time (epoch ms) has got so far."""

    def poll(self) -> None:
        """Hear what was confirmed; raise DeliveryError where something failed."""

    def settle(self) -> None:
        """Wait until everything is confirmed; raise DeliveryError where something failed."""


@dataclass(frozen=True, slots=True)
class TopicAt:
    """A topic that exists: its cluster's id and how many partitions it has."""

    name: str
    cluster: str
    partitions: int


def find_topic(brokers: str, name: str) -> TopicAt:
    """Return the topic; raise TopicError where no broker answers or the topic doesn't exist."""
    # All topics are asked for: a question for one by name may create it.
    admin = AdminClient({"bootstrap.servers": brokers, "log_level": 2})
    try:
        metadata = admin.list_topics(timeout=_SECONDS_TO_ANSWER)
    except KafkaException as error:
        msg = f"no Kafka answers at {brokers} (MOBILITY_KAFKA): {error.args[0].str()}"
        raise TopicError(msg) from error
    topic = metadata.topics.get(name)
    if topic is None:
        msg = f"there is no topic {name} on {brokers}: run `just topics`"
        raise TopicError(msg)
    return TopicAt(name, str(metadata.cluster_id), len(topic.partitions))


class KafkaOutlet:
    """Writes to one topic, in order and without repeats for as long as it lives (KIP-98)."""

    def __init__(self, brokers: str, topic: TopicAt) -> None:
        self._topic = topic.name
        self._failure: KafkaError | None = None
        self._tally = Tally([0] * topic.partitions)
        self._producer = Producer(_config(brokers) | {"on_delivery": self._on_trip})

    @property
    def tally(self) -> Tally:
        """What is confirmed so far."""
        return self._tally

    def send(self, keys: Sequence[str], values: Sequence[str]) -> None:
        """Send trips in this order; wait where the queue is full."""
        produce, topic = self._producer.produce, self._topic
        for start in range(0, len(keys), _POLL_EVERY):
            end = start + _POLL_EVERY
            for key, value in zip(keys[start:end], values[start:end], strict=True):
                try:
                    produce(topic, value, key)
                except BufferError:
                    self._produce_when_there_is_room(value, key)
                except KafkaException as error:
                    self._failure = error.args[0]
                    break
            self.poll()

    def punctuate(self, partition: int, event_ms: int) -> None:
        """Tell a partition that event time (epoch ms) has got so far."""
        self._producer.produce(
            self._topic,
            partition=partition,
            headers=[(WATERMARK_HEADER, str(event_ms).encode())],
            on_delivery=self._on_punctuation,
        )

    def poll(self) -> None:
        """Hear what was confirmed; raise DeliveryError where something failed."""
        self._producer.poll(0)
        self._raise_failure()

    def settle(self) -> None:
        """Wait until everything is confirmed; raise DeliveryError where something failed."""
        # In steps, so that a second Ctrl-C is heard.
        while self._producer.flush(0.5):
            self._raise_failure()
        self._raise_failure()

    def _produce_when_there_is_room(self, value: str, key: str) -> None:
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
            msg = f"Kafka did not take a message for {self._topic}: {self._failure.str()}"
            raise DeliveryError(msg)

    def _on_trip(self, error: KafkaError | None, message: Message) -> None:
        partition = message.partition()
        if error is not None or partition is None:
            self._failure = self._failure or error
        else:
            self._tally.trips[partition] += 1

    def _on_punctuation(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._failure = self._failure or error
        else:
            self._tally.punctuations += 1


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
        # What goes wrong is told once, in an error of ours.
        "log_level": 2,
    }
