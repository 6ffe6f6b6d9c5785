"""Sends whole columns to Kafka, by a function of librdkafka that confluent_kafka does not offer.

Its `produce` takes one message, and each delivery takes the interpreter's lock, even where only
failures are reported. `rd_kafka_produce_batch` takes an array of messages by their addresses and
blocks no other thread (ADR 15).
"""

import threading
import weakref
from collections.abc import Callable, Mapping

import numpy as np
import polars as pl
from confluent_kafka import KafkaError
from numpy.typing import NDArray

from broker.librdkafka import (
    COPY,
    EVENT_ERROR,
    MESSAGE,
    OK,
    PARTITION_UNASSIGNED,
    event_error,
    invalid,
    library,
    open_producer,
)

OnFailure = Callable[[str, int | None, KafkaError], None]
"""Called with topic, partition (None: not chosen) and error of a message that was not taken."""

OnError = Callable[[KafkaError], None]
"""Called with an error of the client: of a connection, say."""


class ColumnProducer:
    """A producer of whole columns of keys and values.

    `failed` is called for each message that the broker has not taken, `on_error` for each error of
    the client, from within the methods. Any number of threads may use it.
    """

    def __init__(self, config: Mapping[str, object], failed: OnFailure, on_error: OnError) -> None:
        """Open it; raises KafkaException for a setting that librdkafka does not take."""
        self._failed = failed
        self._on_error = on_error
        self._most = int(str(config["queue.buffering.max.messages"])) // 2
        self._handle = open_producer(config)
        self._reports = library.rd_kafka_queue_get_main(self._handle)
        self._topics: dict[str, int] = {}
        self._lock = threading.Lock()
        closing = weakref.finalize(self, _close, self._handle, self._reports, self._topics)
        # Not at the exit of the process: that ends the client's threads and must not wait for them.
        closing.atexit = False

    def __len__(self) -> int:
        """Return how many messages are not yet delivered."""
        return int(library.rd_kafka_outq_len(self._handle))

    def send(self, topic: str, keys: pl.Series, values: pl.Series) -> None:
        """Queue a message a row, in their order a key, waiting while the queue is full.

        Keys and values are strings without nulls, equally many; raises ValueError otherwise.
        """
        if keys.is_empty():
            return
        key, value = _Texts(keys), _Texts(values)
        if len(keys) != len(values):
            msg = f"{len(keys)} keys for {len(values)} values"
            raise ValueError(msg)
        messages = np.zeros(len(keys), MESSAGE)
        messages["key"], messages["key_len"] = key.addresses, key.lengths
        messages["payload"], messages["len"] = value.addresses, value.lengths
        for start in range(0, len(messages), self._most):
            self._queue(self._topic(topic), topic, messages[start : start + self._most])

    def poll(self, seconds: float) -> None:
        """Handle reports of messages that were not delivered; wait so long for the first."""
        milliseconds = int(seconds * 1_000)
        while event := library.rd_kafka_queue_poll(self._reports, milliseconds):
            self._handle_event(event)
            library.rd_kafka_event_destroy(event)
            milliseconds = 0

    def _handle_event(self, event: int) -> None:
        if library.rd_kafka_event_type(event) == EVENT_ERROR:
            self._on_error(event_error(event))
        while message := library.rd_kafka_event_message_next(event):
            report = message.contents
            name = library.rd_kafka_topic_name(report.rkt).decode()
            partition = None if report.partition == PARTITION_UNASSIGNED else report.partition
            self._failed(name, partition, KafkaError(report.err))

    def flush(self, seconds: float) -> int:
        """Wait until all is delivered, at most so long; return how many messages are not."""
        library.rd_kafka_flush(self._handle, int(seconds * 1_000))
        self.poll(0)
        return len(self)

    def _topic(self, name: str) -> int:
        with self._lock:
            if name not in self._topics:
                topic = library.rd_kafka_topic_new(self._handle, name.encode(), None)
                if not topic:
                    raise invalid(name)
                self._topics[name] = topic
            return self._topics[name]

    def _queue(self, topic: int, name: str, messages: NDArray[np.void]) -> None:
        while messages.size:
            while len(self) > self._most:
                self.poll(0.01)
            taken = library.rd_kafka_produce_batch(
                topic, PARTITION_UNASSIGNED, COPY, messages.ctypes.data, messages.size
            )
            if taken == messages.size:
                return
            # The queue is bounded in bytes as well, and other threads fill it.
            full = messages["err"] == KafkaError._QUEUE_FULL  # noqa: SLF001 - its public name
            for error in messages["err"][~full & (messages["err"] != OK)]:
                self._failed(name, None, KafkaError(int(error)))
            messages = messages[full]
            if messages.size:
                self.poll(0.01)


class _Texts:
    """Addresses and lengths of a column's texts, valid as long as this object lives."""

    def __init__(self, texts: pl.Series) -> None:
        if texts.null_count():
            msg = f"{texts.name!r} has nulls"
            raise ValueError(msg)
        self.lengths = texts.str.len_bytes().to_numpy().astype(np.uintp)
        self._bytes = np.frombuffer(texts.str.join("").item().encode(), np.uint8)
        self.addresses = self._bytes.ctypes.data + np.cumsum(self.lengths) - self.lengths


def _close(handle: int, reports: int, topics: dict[str, int]) -> None:
    for topic in topics.values():
        library.rd_kafka_topic_destroy(topic)
    library.rd_kafka_queue_destroy(reports)
    library.rd_kafka_destroy(handle)
