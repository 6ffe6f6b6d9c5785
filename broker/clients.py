"""The configuration of every Kafka client, in one place.

Names of settings are librdkafka's (CONFIGURATION.md of librdkafka 2).
"""

from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from mobility.settings import Settings
from mobility.topics import LARGEST_BATCH, PARTITIONER

ANSWER_SECONDS: Final = 15.0
"""How long a question to the broker may take."""

_CRITICAL: Final = 2
_QUEUE_MESSAGES: Final = 200_000

TRANSIENT: Final = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        # Brokers learn of a new topic one after the other.
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 - the public names of librdkafka's own errors
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
        KafkaError._TRANSPORT,  # noqa: SLF001
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
        KafkaError._TIMED_OUT,  # noqa: SLF001
        KafkaError._WAIT_COORD,  # noqa: SLF001
    }
)
"""Errors that pass by themselves, as when a partition changes its leader.

`KafkaError.retriable()` can't tell: outside of transactions it is always false.
"""


def client_config(settings: Settings, client_id: str, *, logs: bool = False) -> dict[str, Any]:
    """Return what every client is configured with.

    Without `logs` librdkafka prints nothing: what goes wrong is reported once, by an error of ours.
    """
    config: dict[str, Any] = {"bootstrap.servers": settings.kafka, "client.id": client_id}
    return config if logs else config | {"log_level": _CRITICAL}


def admin_client(settings: Settings) -> AdminClient:
    """Return a client for questions about the cluster and its topics."""
    return AdminClient(client_config(settings, "mobility-admin"))


def consumer_config(
    settings: Settings, client_id: str, *, memory_mb: int, logs: bool = False
) -> dict[str, Any]:
    """Return the configuration of a consumer that is assigned partitions and commits nothing.

    `memory_mb` bounds what it fetches ahead for each partition, as it is compressed.
    """
    return client_config(settings, client_id, logs=logs) | {
        # A group id is required, but nothing joins a group: partitions are assigned by hand.
        "group.id": f"{settings.topic_prefix}mobility-hub",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        # A reader that retention has overtaken must be told, not sent elsewhere.
        "auto.offset.reset": "error",
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
        "queued.max.messages.kbytes": max(memory_mb, 1) * 1024,
    }


def producer_config(
    settings: Settings, client_id: str, *, timeout_seconds: int | None = None, logs: bool = False
) -> dict[str, Any]:
    """Return the configuration of an idempotent producer (KIP-98), which reports failures only.

    `timeout_seconds` limits how long a message may wait for its acknowledgement.
    """
    config = client_config(settings, client_id, logs=logs) | {
        "enable.idempotence": True,
        "partitioner": PARTITIONER,
        "compression.type": "lz4",
        "linger.ms": 20,
        "batch.size": 1024 * 1024,
        "message.max.bytes": LARGEST_BATCH,
        "queue.buffering.max.messages": _QUEUE_MESSAGES,
        "queue.buffering.max.kbytes": 256 * 1024,
        "delivery.report.only.error": True,
    }
    if timeout_seconds is not None:
        config["message.timeout.ms"] = timeout_seconds * 1_000
    return config


def is_transient(error: KafkaError) -> bool:
    """Tell whether a request that failed like this may succeed in a moment."""
    return error.code() in TRANSIENT


def reason_of(error: KafkaException) -> str:
    """Return Kafka's words for an error."""
    return str(error.args[0].str())
