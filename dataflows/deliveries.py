"""What this process sends to Kafka, and what of it is delivered."""

import logging
import threading
from collections.abc import Iterator
from itertools import repeat
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from dataflows.board import Board
from dataflows.items import Columns, Records
from dataflows.librdkafka import PARTITION_UNASSIGNED, ColumnProducer
from mobility.settings import Settings
from mobility.topics import PARTITIONER, trips_topic

_POLL_SECONDS: Final = 0.1
_FLUSH_SECONDS: Final = 1.0
_QUEUE_MESSAGES: Final = 200_000

_log: Final = logging.getLogger(__name__)


class DeliveryError(RuntimeError):
    """Messages that the broker has not taken: the flow ends, and its next run sends them again."""


class Deliveries:
    """The producers of this process, made when first used, and what went wrong with them.

    Columns go out as such; messages that have headers, or a partition of their own, singly, as
    librdkafka takes no array of those. Both are idempotent, so that a retry repeats nothing
    (KIP-98), and report failures only. All that is written into the log of trips itself are
    punctuations: where the broker does not allow them, window state stays, which is no failure.
    """

    def __init__(self, settings: Settings, board: Board | None = None) -> None:
        """Report to the board, if there is one, what is known to be delivered."""
        self._settings = settings
        self._board = board
        self._log_topic = trips_topic(settings)
        self._lock = threading.Lock()
        self._made: Producer | None = None
        self._made_columns: ColumnProducer | None = None
        self._failures: list[str] = []
        self.reported = False

    def send(self, records: Records | Columns) -> None:
        """Hand records to their producer, waiting while its queue is full."""
        if isinstance(records, Columns):
            self._columns.send(records.topic, records.keys, records.values)
            self._columns.poll(0)
        else:
            self._send_singly(records)
            self._producer.poll(0)
        self._check()

    def flush(self) -> None:
        """Return when everything sent is in the log; raise DeliveryError where it can't be."""
        sent = {} if self._board is None else dict(self._board.sent)
        for producer in (self._made_columns, self._made):
            while producer is not None and producer.flush(_FLUSH_SECONDS) > 0:
                self._check()
        self._check()
        if self._board is not None:
            self._board.note_delivered(sent)

    @property
    def _columns(self) -> ColumnProducer:
        with self._lock:
            if self._made_columns is None:
                config = producer_config(self._settings)
                self._made_columns = ColumnProducer(config, self._failures.append)
            return self._made_columns

    @property
    def _producer(self) -> Producer:
        with self._lock:
            if self._made is None:
                config = producer_config(self._settings) | {"on_delivery": self._delivered}
                self._made = Producer(config)
            return self._made

    def _send_singly(self, records: Records) -> None:
        producer = self._producer
        for call in _calls(records):
            try:
                while not _is_queued(producer, records.topic, call):
                    producer.poll(_POLL_SECONDS)
                    self._check()
            except KafkaException as error:
                # Once refused, a topic's messages are refused here and not in a report.
                if not self._is_refused_punctuation(error.args[0], records.topic):
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


def _is_queued(producer: Producer, topic: str, call: tuple[Any, ...]) -> bool:
    """Return whether the queue, which is bounded in messages and in bytes, had room."""
    try:
        producer.produce(topic, *call)
    except BufferError:
        return False
    return True


def _calls(records: Records) -> Iterator[tuple[Any, ...]]:
    """Return the positional arguments of `produce` for each record."""
    partition = repeat(PARTITION_UNASSIGNED if records.partition is None else records.partition)
    # In between stand two names of the callback, which is the producer's own, and the time.
    nothing, now = repeat(None), repeat(0)
    return zip(
        records.values,
        records.keys,
        partition,
        nothing,
        nothing,
        now,
        records.headers,
        strict=False,
    )


def producer_config(settings: Settings) -> dict[str, Any]:
    """Return the configuration of the flow's producers."""
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
    }
