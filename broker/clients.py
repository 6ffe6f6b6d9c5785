"""The configuration of every Kafka client, in one place.

Names of settings are librdkafka's (CONFIGURATION.md of librdkafka 2).
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from broker.client_properties import client_properties
from broker.errors import AccessError
from broker.security import responsible_variables, security_config
from mobility.settings import Settings
from mobility.topics import LARGEST_BATCH, PARTITIONER

C = TypeVar("C")

ANSWER_SECONDS: Final = 15.0
"""How long the broker may take to answer a request."""

QUEUE_MESSAGES: Final = 200_000
"""How many messages a producer queues at most."""

_CRITICAL: Final = 2

TRANSIENT: Final = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.NOT_CONTROLLER,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        # Brokers learn of a topic one after the other, also after a restart.
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

`KafkaError.retriable()` can't tell: librdkafka sets it for errors of transactions only. The reader
of the flow treats a missing topic or partition otherwise (dataflows/log_reader.py): it has read
from it before, so its position is lost.
"""


def client_config(settings: Settings, client_id: str, *, logs: bool = False) -> dict[str, Any]:
    """Return what every client is configured with.

    Without `logs` librdkafka prints nothing: what goes wrong is reported once, by an error of ours.
    """
    config: dict[str, Any] = {"bootstrap.servers": settings.kafka, "client.id": client_id}
    config |= security_config(settings)
    return config if logs else config | {"log_level": _CRITICAL}


def configured(
    kind: Callable[[dict[str, Any]], C], settings: Settings, config: dict[str, Any]
) -> C:
    """Return a client of a kind, configured so and by the file MOBILITY_KAFKA_CONFIG.

    Raises AccessError where librdkafka does not take that.
    """
    merged = config | client_properties(settings)
    try:
        return kind(merged)
    except KafkaException as error:
        words = reason_of(error)
        check = ", ".join(responsible_variables(words)) or "MOBILITY_KAFKA_CONFIG"
        msg = f"A client of Kafka can't be made: {words}. Check {check}."
        raise AccessError(msg) from error


def admin_client(settings: Settings) -> AdminClient:
    """Return a client for requests about the cluster and its topics. Raises AccessError."""
    return configured(AdminClient, settings, client_config(settings, "mobility-admin"))


def consumer_config(
    settings: Settings, client_id: str, *, memory_mb: int, logs: bool = False
) -> dict[str, Any]:
    """Return the configuration of a consumer that is assigned partitions and commits nothing.

    `memory_mb` bounds the values that wait in its queue, of all partitions together and as they are
    decompressed. A response that is fetched before the queue is full comes on top.
    """
    return client_config(settings, client_id, logs=logs) | {
        # A group id is required, but nothing joins a group: partitions are assigned by hand.
        "group.id": f"{settings.topic_prefix}mobility-hub",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        # If retention has deleted the next message, that must be an error and not a silent jump.
        "auto.offset.reset": "error",
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
        "queued.max.messages.kbytes": max(memory_mb, 1) * 1024,
        # While the fetch queue is full, librdkafka pauses fetching, by default for a whole second.
        "fetch.queue.backoff.ms": 20,
    }


def producer_config(
    settings: Settings, client_id: str, *, timeout_seconds: int | None = None, logs: bool = False
) -> dict[str, Any]:
    """Return the configuration of an idempotent producer (KIP-98), which reports failures only.

    `timeout_seconds` limits how long a message may wait for its acknowledgement.
    """
    config = client_config(settings, client_id, logs=logs) | {
        "enable.idempotence": True,
        # With more, the first messages for a new partition can be lost without an error: where the
        # leader is not ready for the first request and is for the second, it accepts the second,
        # and then takes a retry of the first for a repetition (KAFKA-15591). librdkafka reports the
        # first as delivered, without an offset.
        "max.in.flight.requests.per.connection": 1,
        "partitioner": PARTITIONER,
        "compression.type": "lz4",
        "linger.ms": 20,
        "batch.size": 1024 * 1024,
        "message.max.bytes": LARGEST_BATCH,
        "queue.buffering.max.messages": QUEUE_MESSAGES,
        "queue.buffering.max.kbytes": 256 * 1024,
        "delivery.report.only.error": True,
    }
    if timeout_seconds is not None:
        config["message.timeout.ms"] = timeout_seconds * 1_000
    return config


def concerns_group(error: KafkaError) -> bool:
    """Tell whether a consumer may not see its group, which one without a group does not need."""
    return error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED


def is_transient(error: KafkaError) -> bool:
    """Tell whether a request that failed like this may succeed in a moment."""
    return error.code() in TRANSIENT


def reason_of(error: KafkaException) -> str:
    """Return Kafka's words for an error."""
    return str(error.args[0].str())
