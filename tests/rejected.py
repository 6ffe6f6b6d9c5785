"""Rejected messages in their topics, as the flow writes them."""

from collections.abc import Sequence

from confluent_kafka import Producer

from mobility.settings import Settings
from mobility.topics import trips_topic
from tests.waiting import DEADLINE

Rejected = tuple[bytes | None, bytes | None, str | None]
"""Key, value and reason; a late trip has none."""


def reject(
    settings: Settings,
    messages: Sequence[Rejected],
    *,
    topic: str = "trips_dlq",
    partition: int = 0,
) -> None:
    """Append rejected messages; their originals are in the same partition, from offset 0 on."""
    producer = Producer(
        {
            "bootstrap.servers": settings.kafka,
            "enable.idempotence": True,
            "message.max.bytes": 4 * 1024 * 1024,
        }
    )
    for offset, (key, value, reason) in enumerate(messages):
        headers: list[tuple[str, str | bytes | None]] = [
            ("topic", trips_topic(settings)),
            ("partition", str(partition)),
            ("offset", str(offset)),
        ]
        if reason is not None:
            headers += [("error", reason), ("detail", f"why {offset}")]
        producer.produce(
            settings.topic_prefix + topic, value, key, partition=partition, headers=headers
        )
        producer.poll(0)
    assert producer.flush(DEADLINE) == 0
