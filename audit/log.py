"""Reading a topic from its first message to the end it has now."""

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

import confluent_kafka
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from audit.validation import LogMessage

_BATCH: Final = 20_000
_TIMEOUT: Final = 30.0
# consume() waits until a batch is full: at the end of a topic that would be its whole timeout.
_PATIENCE: Final = 0.1

_FETCHING: Final = {
    "fetch.message.max.bytes": 8_000_000,
    "queued.min.messages": 200_000,
    "queued.max.messages.kbytes": 131_072,
}
"""Small fetches, the library's default, are five times slower."""


def read_topic(
    brokers: str, topic: str, first: Mapping[int, int] | None = None
) -> Iterator[list[LogMessage]]:
    """Yield every message of all partitions, in batches, each partition's in offset order.

    `first` names the offsets to begin at, where that is not a partition's oldest message.
    What is appended while reading is left out. Raises KafkaException where the topic is missing
    and TimeoutError where the brokers stay silent for 30 s.
    """
    consumer = _consumer(brokers)
    try:
        ends = _end_offsets(consumer, topic)
        beginnings = dict.fromkeys(ends, confluent_kafka.OFFSET_BEGINNING) | dict(first or {})
        consumer.assign([TopicPartition(topic, p, offset) for p, offset in beginnings.items()])
        open_partitions = {p for p, end in ends.items() if max(beginnings[p], 0) < end}
        heard = time.monotonic()
        while open_partitions:
            batch = consumer.consume(_BATCH, timeout=_PATIENCE)
            if batch:
                heard = time.monotonic()
            elif time.monotonic() - heard > _TIMEOUT:
                msg = f"Kafka at {brokers} gave no message of {topic} for {_TIMEOUT:.0f} s"
                raise TimeoutError(msg)
            open_partitions -= _finished(batch, ends)
            messages = [copied(each) for each in batch if each.error() is None]
            yield [each for each in messages if each.offset < ends[each.partition]]
    finally:
        consumer.close()


def count_messages(brokers: str, topic: str) -> int:
    """Return how many messages a topic holds; 0 where it does not exist."""
    consumer = _consumer(brokers)
    try:
        if topic not in consumer.list_topics(timeout=_TIMEOUT).topics:
            return 0
        return sum(_end_offsets(consumer, topic).values())
    finally:
        consumer.close()


def _consumer(brokers: str) -> Consumer:
    settings: dict[str, Any] = {
        "bootstrap.servers": brokers,
        "group.id": "audit",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        **_FETCHING,
    }
    return Consumer(settings)


def _end_offsets(consumer: Consumer, topic: str) -> dict[int, int]:
    """Return each partition's end, 0 where there is nothing to read."""
    metadata = consumer.list_topics(topic, timeout=_TIMEOUT).topics[topic]
    if metadata.error is not None:
        raise KafkaException(metadata.error)
    ends = {}
    for partition in metadata.partitions:
        first, end = _reach(consumer, TopicPartition(topic, partition))
        ends[partition] = end if end > first else 0
    return ends


def _reach(consumer: Consumer, place: TopicPartition) -> tuple[int, int]:
    """Return the offsets between which a partition has messages."""
    deadline = time.monotonic() + _TIMEOUT
    while True:
        try:
            return consumer.get_watermark_offsets(place, timeout=_TIMEOUT)
        except KafkaException as error:
            # A broker can be named the leader of a new partition a moment before it knows.
            not_yet = error.args[0].code() == KafkaError.NOT_LEADER_FOR_PARTITION
            if not not_yet or time.monotonic() > deadline:
                raise
        time.sleep(_PATIENCE)


def _finished(batch: list[confluent_kafka.Message], ends: Mapping[int, int]) -> set[int]:
    """Return the partitions whose end this batch reaches; raise any other error in it.

    Where messages keep coming nobody reports an end; where it is a control record, no message has
    its offset.
    """
    finished = set()
    for message in batch:
        error = message.error()
        partition = cast("int", message.partition())
        if error is None:
            reached = cast("int", message.offset()) + 1 >= ends[partition]
        elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its documented name
            reached = True
        else:
            raise KafkaException(error)
        if reached:
            finished.add(partition)
    return finished


def copied(message: confluent_kafka.Message) -> LogMessage:
    """Copy a message; the casts say what holds for every message that is no error."""
    return LogMessage(
        cast("int", message.partition()),
        cast("int", message.offset()),
        message.timestamp()[1],
        message.value(),
        cast("list[tuple[str, bytes | None]]", message.headers() or []),
    )
