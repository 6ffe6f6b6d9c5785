"""Columns sent to a real Kafka, compared with confluent_kafka's own producer."""

import random

import polars as pl
import pytest
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from broker.clients import producer_config
from broker.column_producer import ColumnProducer
from broker.errors import DeliveryError
from broker.producer import CheckedProducer
from mobility.entities import BY_NAME
from mobility.settings import Settings
from mobility.topics import aggregated_topic
from tests.dataflows.conftest import Hub

NARROW = {"max.message.bytes": "2000"}
# Random bytes, as the broker limits the compressed size.
LARGE = random.Random(1).randbytes(5_000).hex()  # noqa: S311 - no secret
KEYS = [f"k{number % 500}" for number in range(1_000)]
# Of all lengths, with letters of one to four bytes.
VALUES = [f"{number}" + "aé€🚲"[: number % 5] * (number % 7) for number in range(1_000)]


def columns(topic: str, keys: list[str], values: list[str]) -> tuple[str, pl.Series, pl.Series]:
    """Return the arguments of `send`."""
    return topic, pl.Series("key", keys), pl.Series("value", values)


def found(messages: list[Message]) -> set[tuple[bytes | None, bytes | None, int | None]]:
    """Return keys, values and partitions."""
    return {(message.key(), message.value(), message.partition()) for message in messages}


Failure = tuple[str, int | None, KafkaError]


@pytest.fixture
def failures() -> list[Failure]:
    """Return the list of reported failures: topic, partition and error."""
    return []


@pytest.fixture
def producer(services: Settings, failures: list[Failure]) -> ColumnProducer:
    """Return a producer whose queue holds 300 messages."""
    small = producer_config(services, "test") | {"queue.buffering.max.messages": 300}
    return ColumnProducer(small, lambda *failure: failures.append(failure), print)


@pytest.mark.services
def test_columns_arrive_as_single_messages_do(
    hub: Hub, producer: ColumnProducer, failures: list[Failure]
) -> None:
    """Every key and value, byte for byte, in the partition that other clients choose."""
    hub.make_topics(columns={}, singly={})
    prefix = hub.settings.topic_prefix
    producer.send(*columns(prefix + "columns", KEYS, VALUES))
    assert producer.flush(30) == 0
    singly = Producer({"bootstrap.servers": hub.settings.kafka, "partitioner": "murmur2_random"})
    for key, value in zip(KEYS, VALUES, strict=True):
        singly.produce(prefix + "singly", value, key)
    assert singly.flush(30) == 0
    arrived = hub.messages("columns")
    assert len(arrived) == len(KEYS)
    assert found(arrived) == found(hub.messages("singly"))
    assert failures == []


@pytest.mark.services
def test_the_order_of_a_key_is_kept(hub: Hub, producer: ColumnProducer) -> None:
    """Also if the queue is full at times, and over several calls."""
    hub.make_topics(columns={})
    topic = hub.settings.topic_prefix + "columns"
    for start in range(0, 1_000, 400):
        few = ["a" if number % 2 else "b" for number in range(400)]
        producer.send(*columns(topic, few, [str(start + number) for number in range(400)]))
    assert producer.flush(30) == 0
    for key in (b"a", b"b"):
        values = [int(m.value() or b"") for m in hub.messages("columns") if m.key() == key]
        assert values == sorted(values)
        assert len(values) == 600


@pytest.mark.services
def test_messages_that_the_broker_refuses_are_reported(
    hub: Hub, producer: ColumnProducer, failures: list[Failure]
) -> None:
    """Each with topic and reason; messages before them are delivered."""
    hub.make_topics(narrow=NARROW)
    topic = hub.settings.topic_prefix + "narrow"
    producer.send(*columns(topic, ["k"], ["short"]))
    assert producer.flush(30) == 0
    producer.send(*columns(topic, ["k"], [LARGE]))
    while producer.flush(1):
        pass
    ((where, partition, error),) = failures
    assert where == topic
    assert partition is not None
    assert error.code() == KafkaError.MSG_SIZE_TOO_LARGE
    assert [message.value() for message in hub.messages("narrow")] == [b"short"]


@pytest.mark.services
def test_a_value_larger_than_the_client_allows_is_reported(
    hub: Hub, producer: ColumnProducer, failures: list[Failure]
) -> None:
    """It is refused by the client, and the other messages are sent."""
    hub.make_topics(columns={})
    topic = hub.settings.topic_prefix + "columns"
    producer.send(*columns(topic, ["a", "b", "c"], ["1", "x" * 17 * 1024 * 1024, "3"]))
    assert producer.flush(30) == 0
    assert sorted(message.value() or b"" for message in hub.messages("columns")) == [b"1", b"3"]
    ((where, partition, error),) = failures
    assert (where, partition) == (topic, None)
    assert error.code() == KafkaError.MSG_SIZE_TOO_LARGE


@pytest.mark.services
def test_a_refused_column_is_a_failed_delivery(hub: Hub) -> None:
    """The flush raises an error with the topic."""
    topic = aggregated_topic(hub.settings, BY_NAME["driver"])
    hub.make_topics(**{topic.removeprefix(hub.settings.topic_prefix): NARROW})
    checked = CheckedProducer(hub.settings, "test")
    checked.send_columns(*columns(topic, ["k"], [LARGE]))
    with pytest.raises(DeliveryError, match=topic):
        checked.flush()
    assert checked.failed


def test_columns_with_nulls_are_refused() -> None:
    """Addresses are computed from their lengths."""
    nowhere = ColumnProducer(producer_config(Settings(kafka="nowhere:1"), "test"), print, print)
    with pytest.raises(ValueError, match="'value' has nulls"):
        nowhere.send("t", pl.Series("key", ["a"]), pl.Series("value", [None], dtype=pl.String))
    with pytest.raises(ValueError, match="1 keys for 2 values"):
        nowhere.send(*columns("t", ["a"], ["1", "2"]))
    nowhere.send(*columns("t", [], []))
    assert nowhere.flush(0) == 0


def test_an_unknown_setting_is_reported_by_its_name() -> None:
    """As confluent_kafka does."""
    config = producer_config(Settings(), "test") | {"no.such": 1}
    with pytest.raises(KafkaException, match=r"no\.such"):
        ColumnProducer(config, print, print)
