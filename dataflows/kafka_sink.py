"""Output to Kafka that recovery can rely on: nothing is snapshot before it is delivered."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from typing import Any, Final, Generic, TypeVar

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from dataflows.board import Board
from dataflows.items import Records
from mobility.settings import Settings
from mobility.topics import PARTITIONER, trips_topic

X = TypeVar("X")

_POLL_SECONDS: Final = 0.1
_FLUSH_SECONDS: Final = 1.0
_QUEUE_MESSAGES: Final = 200_000

PARTITION_UNASSIGNED: Final = -1
"""librdkafka's RD_KAFKA_PARTITION_UA: the partitioner decides."""

_log: Final = logging.getLogger(__name__)


class DeliveryError(RuntimeError):
    """Messages that the broker has not taken: the flow ends, and its next run sends them again."""


class Deliveries:
    """The one producer of this process, made when first used, and what went wrong with it.

    Idempotent, so that a retry repeats nothing (KIP-98); only failures are reported, as a callback
    a message costs a sixth of the sending. All that is written into the log of trips itself are
    punctuations: where the broker does not allow them, window state stays, which is no failure.
    """

    def __init__(self, settings: Settings, board: Board | None = None) -> None:
        self._settings = settings
        self._board = board
        self._log_topic = trips_topic(settings)
        self._lock = threading.Lock()
        self._made: Producer | None = None
        self._failures: list[str] = []
        self.reported = False

    def send(self, records: Records) -> None:
        """Hand records to the producer, waiting while its queue is full."""
        producer = self._producer
        for call in _calls(records):
            try:
                self._produce(producer, records.topic, call)
            except BufferError:
                self._wait_for_room()
                self._produce(producer, records.topic, call)
        self._producer.poll(0)
        self._check()

    def flush(self) -> None:
        """Return when everything sent is in the log; raise DeliveryError where it can't be."""
        while self._producer.flush(_FLUSH_SECONDS) > 0:
            self._check()
        self._check()

    @property
    def _producer(self) -> Producer:
        with self._lock:
            if self._made is None:
                self._made = Producer(producer_config(self._settings, self._delivered))
            return self._made

    def _produce(self, producer: Producer, topic: str, call: tuple[Any, ...]) -> None:
        try:
            producer.produce(topic, *call)
        except KafkaException as error:
            # Once refused, a topic's messages are refused here and not in a report.
            if not self._is_refused_punctuation(error.args[0], topic):
                raise
            self._note_refused(error.args[0])

    def _is_refused_punctuation(self, error: KafkaError, topic: str | None) -> bool:
        return topic == self._log_topic and error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED

    def _note_refused(self, error: KafkaError) -> None:
        if self._board is None:
            return
        if not self._board.punctuations_refused:
            _log.warning(
                "punctuations for %s are refused (%s): while a partition is quiet, window state "
                "stays; allow the flow to write there",
                self._log_topic,
                error.str(),
            )
        self._board.punctuations_refused += 1

    def _wait_for_room(self) -> None:
        while len(self._producer) >= _QUEUE_MESSAGES // 2:
            self._producer.poll(_POLL_SECONDS)
            self._check()

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            return
        if self._is_refused_punctuation(error, message.topic()):
            self._note_refused(error)
        else:
            where = f"{message.topic()} partition {message.partition()}"
            self._failures.append(f"{where}: {error.str()}")

    def _check(self) -> None:
        if self._failures:
            first = self._failures[0]
            self.reported = True
            msg = f"{len(self._failures)} messages were not delivered; the first to {first}"
            raise DeliveryError(msg)


def _calls(records: Records) -> Iterator[tuple[Any, ...]]:
    """Return the positional arguments of `produce` for each record, as few as possible."""
    if records.headers is None and records.partition is None:
        return zip(records.values, records.keys, strict=True)
    partition = repeat(PARTITION_UNASSIGNED if records.partition is None else records.partition)
    headers = repeat(None) if records.headers is None else records.headers
    # In between stand two names of the callback, which is the producer's own, and the time.
    nothing, now = repeat(None), repeat(0)
    return zip(
        records.values, records.keys, partition, nothing, nothing, now, headers, strict=False
    )


def producer_config(
    settings: Settings, delivered: Callable[[KafkaError | None, Message], None]
) -> dict[str, Any]:
    """Return the configuration of the flow's producer."""
    return {
        "bootstrap.servers": settings.kafka,
        "enable.idempotence": True,
        "partitioner": PARTITIONER,
        "compression.type": "lz4",
        "linger.ms": 20,
        "batch.size": 1024 * 1024,
        "message.max.bytes": 16 * 1024 * 1024,
        "queue.buffering.max.messages": _QUEUE_MESSAGES,
        "queue.buffering.max.kbytes": 256 * 1024,
        "delivery.report.only.error": True,
        "on_delivery": delivered,
    }


class KafkaSink(FixedPartitionedSink[X, None], Generic[X]):
    """Writes what `encode` makes of each item: at least once, never silently lost.

    Items come keyed by shard, as `00`, `01` and so on. All partitions of a process share one
    producer; recovery waits until what it was handed is delivered.
    """

    def __init__(
        self, settings: Settings, deliveries: Deliveries, encode: Callable[[X], Iterable[Records]]
    ) -> None:
        self._shards = settings.shards
        self._deliveries = deliveries
        self._encode = encode

    def list_parts(self) -> list[str]:
        """Return one partition a shard."""
        return [shard_key(shard) for shard in range(self._shards)]

    def part_fn(self, item_key: str) -> int:
        """Return the shard: keys are of one width, so the sorted list is in their order."""
        return int(item_key)

    def build_part(
        self, step_id: str, for_part: str, resume_state: None
    ) -> "KafkaSinkPartition[X]":
        """Return a partition; the broker is met with the first record."""
        del step_id, for_part, resume_state
        return KafkaSinkPartition(self._deliveries, self._encode)


class KafkaSinkPartition(StatefulSinkPartition[X, None], Generic[X]):
    """Sends at once and lets the snapshot wait for the deliveries."""

    def __init__(self, deliveries: Deliveries, encode: Callable[[X], Iterable[Records]]) -> None:
        self._deliveries = deliveries
        self._encode = encode

    def write_batch(self, values: list[X]) -> None:
        """Send the records of the items."""
        for value in values:
            for records in self._encode(value):
                self._deliveries.send(records)

    def snapshot(self) -> None:
        """Return when everything written is delivered; raise DeliveryError where it is not."""
        self._deliveries.flush()

    def close(self) -> None:
        """Deliver what is left; a failure that was reported already is not reported twice."""
        # Bytewax closes while it unwinds, where a second error would hide the first.
        if not self._deliveries.reported:
            self._deliveries.flush()


def shard_key(shard: int) -> str:
    """Return the key of a shard, of one width so that sorting keeps the order."""
    return f"{shard:04}"
