"""Messages to Kafka that are known to have arrived."""

from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from mobility.topics import PARTITIONER

Headers = list[tuple[str, str | bytes | None]]

_SECONDS_TO_DELIVER: Final = 30


class DeliveryError(Exception):
    """Kafka refused messages or did not confirm them in time."""


class Sender:
    """An idempotent producer: what is sent stands in the log once `settle` has returned."""

    def __init__(self, brokers: str) -> None:
        self._failures: list[str] = []
        self._producer = Producer(_config(brokers) | {"on_delivery": self._delivered})

    def send(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers | None = None
    ) -> None:
        """Send a message; wait where the queue is full. Raises DeliveryError."""
        while True:
            try:
                self._producer.produce(topic, value, key, headers=headers)
            except BufferError:
                self._producer.poll(0.1)
                continue
            except KafkaException as error:
                self._failures.append(f"{topic}: {error.args[0].str()}")
            break
        self._producer.poll(0)
        self._check()

    def settle(self) -> None:
        """Wait until everything is confirmed. Raises DeliveryError."""
        # In steps, so that Ctrl-C is heard.
        while self._producer.flush(0.5):
            pass
        self._check()

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failures.append(f"{message.topic()}: {error.str()}")

    def _check(self) -> None:
        if self._failures:
            msg = f"Kafka did not take {len(self._failures):,} messages; first {self._failures[0]}"
            raise DeliveryError(msg)


def _config(brokers: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": brokers,
        "client.id": "mobility-corrections",
        "partitioner": PARTITIONER,
        "enable.idempotence": True,
        "compression.type": "lz4",
        "linger.ms": 20,
        "message.max.bytes": 16 * 1024 * 1024,
        "message.timeout.ms": _SECONDS_TO_DELIVER * 1_000,
        "log_level": 2,
    }
