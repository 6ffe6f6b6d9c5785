"""Reading partitions of a topic from chosen offsets to the end they have now."""

import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Self, TypeVar, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

T = TypeVar("T")

_SECONDS_TO_ANSWER: Final = 15.0
_SECONDS_OF_SILENCE: Final = 30.0
# Small, as one letter may be megabytes.
_BATCH: Final = 2_000
# consume() waits until a batch is full: at the end of a topic that would be its whole timeout.
_PATIENCE: Final = 0.1

_WHILE_LEADERS_CHANGE: Final = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
)

OnProgress = Callable[[int, int], None]
"""Called with the number of messages that were read, and with their total."""


class LogError(Exception):
    """A topic that can't be read; the message says what to do."""


class TopicReader:
    """A topic's reader, without a group and without commits. Raises LogError."""

    def __init__(self, brokers: str, topic: str) -> None:
        self.topic = topic
        self._brokers = brokers
        self._consumer = Consumer(_config(brokers))
        try:
            self.partitions = self._partitions()
        except BaseException:
            self._consumer.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._consumer.close()

    def bounds(self, partition: int) -> tuple[int, int]:
        """Return the first offset of a partition and the one after its last."""
        place = TopicPartition(self.topic, partition)
        return self._asked(lambda: self._consumer.get_watermark_offsets(place, _SECONDS_TO_ANSWER))

    def offset_at(self, partition: int, moment: int) -> int:
        """Return the first offset stamped at or after a moment (epoch ms), else the end."""
        place = TopicPartition(self.topic, partition, max(moment, 0))
        (found,) = self._asked(
            lambda: self._consumer.offsets_for_times([place], _SECONDS_TO_ANSWER)
        )
        return found.offset if found.offset >= 0 else self.bounds(partition)[1]

    def read(self, starts: Mapping[int, int], on_progress: OnProgress) -> Iterator[list[Message]]:
        """Yield the messages from each partition's start on, in batches, in offset order.

        What is appended meanwhile is left out.
        """
        ends = {partition: self.bounds(partition)[1] for partition in starts}
        left = {partition for partition, start in starts.items() if start < ends[partition]}
        total = sum(ends[partition] - starts[partition] for partition in left)
        self._consumer.assign([TopicPartition(self.topic, each, starts[each]) for each in left])
        done, heard = 0, time.monotonic()
        while left:
            batch = self._consumer.consume(_BATCH, _PATIENCE)
            if batch:
                heard = time.monotonic()
            elif time.monotonic() - heard > _SECONDS_OF_SILENCE:
                msg = f"{self.topic}: no word from Kafka for {_SECONDS_OF_SILENCE:.0f} s"
                raise LogError(msg)
            messages = self._taken(batch, ends, left)
            done += len(messages)
            on_progress(done, total)
            yield messages
        on_progress(total, total)

    def _taken(
        self, batch: list[Message], ends: Mapping[int, int], left: set[int]
    ) -> list[Message]:
        """Return the messages before the ends; take partitions that got there out of `left`."""
        messages = []
        for message in batch:
            partition, offset = cast("int", message.partition()), cast("int", message.offset())
            error = message.error()
            if error is None:
                if offset < ends[partition]:
                    messages.append(message)
                if offset + 1 >= ends[partition]:
                    left.discard(partition)
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its documented name
                left.discard(partition)
            elif not error.retriable():
                raise self._failed(error)
        return messages

    def _partitions(self) -> tuple[int, ...]:
        # All topics are asked for: a question for one by name may create it.
        try:
            topic = self._consumer.list_topics(timeout=_SECONDS_TO_ANSWER).topics.get(self.topic)
        except KafkaException as error:
            msg = f"no Kafka answers at {self._brokers} (MOBILITY_KAFKA): {error.args[0].str()}"
            raise LogError(msg) from error
        if topic is None:
            msg = f"there is no topic {self.topic} on {self._brokers}: run `just topics`"
            raise LogError(msg)
        return tuple(sorted(topic.partitions))

    def _asked(self, question: Callable[[], T]) -> T:
        """Return the answer to a question, asked again while a partition changes its leader."""
        deadline = time.monotonic() + _SECONDS_TO_ANSWER
        while True:
            try:
                return question()
            except KafkaException as error:
                if error.args[0].code() not in _WHILE_LEADERS_CHANGE or time.monotonic() > deadline:
                    raise self._failed(error.args[0]) from error
            time.sleep(_PATIENCE)

    def _failed(self, error: KafkaError) -> LogError:
        return LogError(f"reading {self.topic} on {self._brokers}: {error.str()}")


def _config(brokers: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": brokers,
        "group.id": "corrections",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
        # As compressed: what is repeated often grows fifty-fold in memory.
        "fetch.message.max.bytes": 1024 * 1024,
        "queued.max.messages.kbytes": 16 * 1024,
        # A broker answers one request after the other: a question about offsets would wait for the
        # fetch that waits at the end of the topic.
        "fetch.wait.max.ms": 10,
        # What goes wrong is told once, in an error of ours.
        "log_level": 2,
    }
