"""Following a topic: each time as far as it goes by then, from where the last time ended."""

import time
from collections.abc import Iterator
from typing import Any, Final, cast

import confluent_kafka
from confluent_kafka import (
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from audit.log import copied
from audit.validation import LogMessage
from mobility.records import MAX_EVENT_TIME

_TIMEOUT: Final = 30.0
_PATIENCE: Final = 0.1

Offsets = dict[int, int]

# Nothing tells these apart: `retriable()` speaks of transactions only.
_PASSING: Final = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError._TRANSPORT,  # noqa: SLF001 - their documented names
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
        KafkaError._TIMED_OUT,  # noqa: SLF001
    }
)

_UNKNOWN: Final = MAX_EVENT_TIME
"""Where no stamp of the broker's says how far what is gone may have reached: nothing is certain."""


class TailError(RuntimeError):
    """A topic that is no longer the one that was followed."""


class Tail:
    """A topic's messages by offset: a consumer of its own, which commits nothing.

    `positions` are the next offsets to read. It starts at the first message, or, where a partition
    has more than `most`, at the last `most` of them. `gone` says up to which stamp (epoch ms) there
    may have been messages before that; None where everything is read.
    """

    def __init__(
        self, brokers: str, topic: str, *, most: int | None = None, by_broker: bool = True
    ) -> None:
        """Trust the producers' stamps too where they need not be the broker's."""
        self.gone: int | None = None
        self._topic = topic
        self._brokers = brokers
        self._by_broker = by_broker
        self._consumer = Consumer(_config(brokers))
        try:
            self.positions = self._starts(most)
        except BaseException:
            self._consumer.close()
            raise
        self._cut = {partition for partition, start in self.positions.items() if start}
        self._consumer.assign([TopicPartition(topic, p, at) for p, at in self.positions.items()])

    def ends(self) -> Offsets:
        """Return the offset after the last message of each partition.

        Raises TailError where the topic has other partitions than it had.
        """
        if self._partitions() != self.positions.keys():
            msg = f"{self._topic} has other partitions than when the audit began to read it"
            raise TailError(msg)
        return {partition: self._bounds(partition)[1] for partition in self.positions}

    def read(self, ends: Offsets, batch: int) -> Iterator[list[LogMessage]]:
        """Yield batches of at most so many messages until these ends are reached.

        Raises KafkaException where the topic can't be read on from here, as where retention was
        faster, and TimeoutError where the brokers stay silent for 30 s.
        """
        heard = time.monotonic()
        while any(self.positions[partition] < end for partition, end in ends.items()):
            found = self._consumer.consume(batch, timeout=_PATIENCE)
            messages = [message for message in found if self._is_message(message)]
            for message in messages:
                self._note(message)
            if found:
                heard = time.monotonic()
            elif time.monotonic() - heard > _TIMEOUT:
                msg = f"Kafka at {self._brokers} gave no message of {self._topic} for 30 s"
                raise TimeoutError(msg)
            yield [copied(message) for message in messages]

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()

    def _starts(self, most: int | None) -> Offsets:
        bounds = {partition: self._bounds(partition) for partition in self._partitions()}
        return {
            partition: low if most is None else max(low, end - most)
            for partition, (low, end) in sorted(bounds.items())
        }

    def _partitions(self) -> set[int]:
        metadata = self._consumer.list_topics(self._topic, timeout=_TIMEOUT).topics[self._topic]
        if metadata.error is not None:
            raise KafkaException(metadata.error)
        return set(metadata.partitions)

    def _bounds(self, partition: int) -> tuple[int, int]:
        place = TopicPartition(self._topic, partition)
        deadline = time.monotonic() + _TIMEOUT
        while True:
            try:
                low, end = self._consumer.get_watermark_offsets(place, timeout=_TIMEOUT)
            except KafkaException as error:
                # A leader that has just moved is found again in a moment.
                if error.args[0].code() not in _PASSING or time.monotonic() > deadline:
                    raise
                time.sleep(_PATIENCE)
            else:
                return low, end

    def _note(self, message: confluent_kafka.Message) -> None:
        partition = cast("int", message.partition())
        self.positions[partition] = cast("int", message.offset()) + 1
        if partition in self._cut:
            self._cut.remove(partition)
            # A partition is stamped in order, so nothing before this was stamped later.
            kind, stamp = message.timestamp()
            if self._by_broker and kind != TIMESTAMP_LOG_APPEND_TIME:
                stamp = _UNKNOWN
            self.gone = stamp if self.gone is None else max(self.gone, stamp)

    def _is_message(self, message: confluent_kafka.Message) -> bool:
        error = message.error()
        if error is None:
            return True
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its documented name
            # The log may end in control records, which no consumer is shown.
            partition = cast("int", message.partition())
            self.positions[partition] = max(
                self.positions[partition], cast("int", message.offset())
            )
        elif error.code() not in _PASSING:
            raise KafkaException(error)
        return False


def _config(brokers: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": brokers,
        "group.id": "audit",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        # Where retention has overtaken the reader it must hear of it, not be sent elsewhere.
        "auto.offset.reset": "error",
        # A broker answers one request after the other: a question about ends would wait for the
        # fetch that waits there.
        "fetch.wait.max.ms": 50,
        "enable.partition.eof": True,
        # Decoding takes longer than fetching, and a running audit must stay small.
        "queued.min.messages": 10_000,
        "queued.max.messages.kbytes": 8 * 1024,
    }
