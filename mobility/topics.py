"""The topics of the system: one declared table."""

from dataclasses import dataclass
from typing import Final, Literal

from mobility.entities import ENTITIES, Entity
from mobility.settings import Settings

TRIPS: Final = "trips_stream"
LATE: Final = "trips_late"
DEAD: Final = "trips_dlq"

PARTITIONER: Final = "murmur2_random"
"""The partitioner of every producer: Kafka's own default hash, so other clients agree on it."""

WATERMARK_HEADER: Final = "watermark"
"""Header of a punctuation (null value): an event time, decimal epoch milliseconds in ASCII."""

REPLAYED_HEADER: Final = "replayed"
"""Header of a marker (null value) in `trips_dlq` and `trips_late`: which message was replayed."""


LARGEST_BATCH: Final = 16 * 1024 * 1024
"""Bytes of the largest batch, so of the largest message, that a topic takes."""


_REPLICAS_TO_SPARE: Final = 3


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it is declared.

    `layer` is `raw`, `processed` or `aggregated`; `retention_ms` is Kafka's `retention.ms`.
    """

    name: str
    layer: Literal["raw", "processed", "aggregated"]
    partitions: int
    replication: int
    retention_ms: int
    compression: str

    @property
    def config(self) -> dict[str, str]:
        """The configuration that the topic is made with, by Kafka's names."""
        return {
            "cleanup.policy": "delete",
            "retention.ms": str(self.retention_ms),
            "compression.type": self.compression,
            "max.message.bytes": str(LARGEST_BATCH),
            # A producer's clock can't be trusted, and a broker rejects timestamps an hour ahead of
            # its own clock: so the broker stamps.
            "message.timestamp.type": "LogAppendTime",
            **self._min_insync_replicas,
        }

    @property
    def _min_insync_replicas(self) -> dict[str, str]:
        # With one replica down, writes go on, and each is still on two brokers or more.
        if self.replication < _REPLICAS_TO_SPARE:
            return {}
        return {"min.insync.replicas": str(self.replication - 1)}

    @property
    def required(self) -> dict[str, str]:
        """The part of it that a topic which exists already must have.

        The timestamp type matters only for trips. The topics of the first release have the
        timestamps of the flow, which works as long as the clocks differ by less than an hour.
        """
        left_out = () if self.layer == "raw" else ("message.timestamp.type",)
        return {name: value for name, value in self.config.items() if name not in left_out}


def trips_topic(settings: Settings) -> str:
    """Return the name of the topic that trips come from."""
    return settings.topic_prefix + TRIPS


def late_topic(settings: Settings) -> str:
    """Return the name of the topic of late trips."""
    return settings.topic_prefix + LATE


def dead_topic(settings: Settings) -> str:
    """Return the name of the dead-letter topic."""
    return settings.topic_prefix + DEAD


def enriched_topic(settings: Settings, entity: Entity) -> str:
    """Return the name of an entity's topic of enriched trips."""
    return f"{settings.topic_prefix}enriched.{entity.name}"


def aggregated_topic(settings: Settings, entity: Entity) -> str:
    """Return the name of an entity's topic of windows."""
    return f"{settings.topic_prefix}aggregated.{entity.name}"


def topic_table(settings: Settings) -> tuple[Topic, ...]:
    """Return every topic of the system, as the settings want it."""
    retention = settings.retention_hours * 3_600_000

    def topic(name: str, layer: Literal["raw", "processed", "aggregated"]) -> Topic:
        return Topic(name, layer, settings.partitions, settings.replication, retention, "producer")

    return (
        topic(trips_topic(settings), "raw"),
        *(topic(enriched_topic(settings, entity), "processed") for entity in ENTITIES),
        *(topic(aggregated_topic(settings, entity), "aggregated") for entity in ENTITIES),
        topic(late_topic(settings), "processed"),
        topic(dead_topic(settings), "processed"),
    )
