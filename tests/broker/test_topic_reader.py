"""The bounded reader on a real broker: messages, end and errors."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from broker.errors import DeletedOffsetsError, MissingTopicError
from broker.topic_reader import TopicReader, count_messages, read_topic
from mobility.settings import Settings
from tests.broker.topic_contents import append, delete_before, until_marked
from tests.dataflows.conftest import PARTITIONS, Hub
from tests.waiting import DEADLINE, until

pytestmark = pytest.mark.services

TOPIC = "read"


def name(hub: Hub) -> str:
    """Return the topic."""
    return hub.settings.topic_prefix + TOPIC


def fill(hub: Hub, *values: str, partition: int = 0, transactional: bool = False) -> None:
    """Append messages, with or without a transaction."""
    transactional_id = hub.settings.topic_prefix if transactional else None
    append(hub.settings, name(hub), *values, partition=partition, transactional_id=transactional_id)


def values(batches: list[list[Message]]) -> list[bytes | None]:
    """Return the values of batches."""
    return [message.value() for batch in batches for message in batch]


@pytest.fixture
def topic(hub: Hub) -> Hub:
    """Return a tenant with an empty topic."""
    hub.make_topics(**{TOPIC: {}})
    return hub


def test_it_reads_from_offsets_to_offsets(topic: Hub) -> None:
    """Both are given by partition; the end is exclusive, and is the position after the read."""
    fill(topic, *map(str, range(10)))
    fill(topic, "x", "y", partition=1)
    with TopicReader(topic.settings, name(topic)) as reader:
        assert reader.partitions == tuple(range(PARTITIONS))
        assert (reader.bounds(0), reader.bounds(2)) == ((0, 10), (0, 0))
        found = values(list(reader.read({0: 3, 1: 1}, {0: 6, 1: 2})))
        assert [value for value in found if value != b"y"] == [b"3", b"4", b"5"]
        assert found.count(b"y") == 1
        assert reader.positions == {0: 6, 1: 2}
        assert values(list(reader.read({0: reader.positions[0]}))) == [b"6", b"7", b"8", b"9"]


def test_it_reports_progress_to_the_end(topic: Hub) -> None:
    """The last call has the total."""
    fill(topic, *map(str, range(10)))
    calls: list[tuple[int, int]] = []
    with TopicReader(topic.settings, name(topic)) as reader:
        read = reader.read({0: 2}, batch_size=3, on_progress=lambda *call: calls.append(call))
        assert len(values(list(read))) == 8
    assert calls[-1] == (8, 8)
    assert calls == sorted(calls)


def test_an_empty_read_ends_at_once(topic: Hub) -> None:
    """For an empty topic and for an empty range."""
    assert list(read_topic(topic.settings, name(topic))) == []
    fill(topic, "a")
    with TopicReader(topic.settings, name(topic)) as reader:
        assert list(reader.read({0: 1})) == []
        assert list(reader.read({})) == []


def test_control_records_at_the_end_are_skipped(topic: Hub) -> None:
    """A committed transaction ends with a marker, which has an offset and is not a message."""
    fill(topic, "a", "b", transactional=True)
    assert count_messages(topic.settings, name(topic)) == 3
    with TopicReader(topic.settings, name(topic)) as reader:
        assert values(list(reader.read({0: 0}))) == [b"a", b"b"]
        assert reader.positions == {0: 3}


def test_aborted_transactions_are_skipped(topic: Hub) -> None:
    """Their messages are in the log and are not returned."""
    producer = Producer(
        {"bootstrap.servers": topic.settings.kafka, "transactional.id": topic.settings.topic_prefix}
    )
    producer.init_transactions()
    for value, end in (("lost", producer.abort_transaction), ("kept", producer.commit_transaction)):
        producer.begin_transaction()
        producer.produce(name(topic), value, partition=0)
        assert producer.flush(30) == 0
        end()
    until_marked(topic.settings, name(topic), 0)
    assert values(list(read_topic(topic.settings, name(topic)))) == [b"kept"]


def test_an_open_transaction_ends_the_read(topic: Hub) -> None:
    """Messages that are not committed are not waited for."""
    fill(topic, "a")
    producer = Producer(
        {"bootstrap.servers": topic.settings.kafka, "transactional.id": topic.settings.topic_prefix}
    )
    producer.init_transactions()
    producer.begin_transaction()
    producer.produce(name(topic), "open", partition=0)
    assert producer.flush(30) == 0
    with TopicReader(topic.settings, name(topic)) as reader:
        assert values(list(reader.read({0: 0}))) == [b"a"]
        assert reader.positions == {0: 1}
        producer.commit_transaction()
        # The coordinator answers before it has written the marker.
        until(lambda: values(list(reader.read(reader.positions))), "the commit", [b"open"].__eq__)


def test_offsets_are_found_by_timestamp(topic: Hub) -> None:
    """That of the first message at this time or later, else the end."""
    fill(topic, "a")
    with TopicReader(topic.settings, name(topic)) as reader:
        assert reader.offset_for_time(0, 0) == 0
        assert reader.offset_for_time(0, 4_000_000_000_000) == 1


def test_a_missing_topic_is_an_error_with_the_remedy(topic: Hub) -> None:
    """It is not created."""
    reads: list[Callable[[Settings, str], object]] = [
        count_messages,
        lambda settings, name: list(read_topic(settings, name)),
    ]
    for read in reads:
        with pytest.raises(MissingTopicError, match=r"no topic no-such-topic at .*`just topics`"):
            read(topic.settings, "no-such-topic")
    admin = AdminClient({"bootstrap.servers": topic.settings.kafka})
    assert "no-such-topic" not in admin.list_topics(timeout=DEADLINE).topics


class PassingErrors:
    """A consumer whose next requests for offsets fail; later ones succeed."""

    def __init__(self, consumer: Consumer, code: int) -> None:
        self.consumer = consumer
        self.errors = [KafkaError(code)] * 3

    def get_watermark_offsets(self, *arguments: Any) -> tuple[int, int]:  # noqa: ANN401 - passed on
        """Raise the error, or answer."""
        if self.errors:
            raise KafkaException(self.errors.pop())
        return self.consumer.get_watermark_offsets(*arguments)

    def offsets_for_times(self, places: list[TopicPartition], seconds: float) -> list[Any]:
        """Return the error with the partition, as librdkafka does, or answer."""
        if self.errors:
            return [SimpleNamespace(offset=-1001, error=self.errors.pop()) for _ in places]
        return self.consumer.offsets_for_times(places, seconds)

    def close(self) -> None:
        """Leave the broker."""
        self.consumer.close()


@pytest.mark.parametrize(
    "code",
    [
        KafkaError._UNKNOWN_PARTITION,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.OFFSET_NOT_AVAILABLE,
    ],
)
def test_passing_errors_of_offsets_are_waited_out(topic: Hub, code: int) -> None:
    """A partition that changes its leader is available again in a moment."""
    fill(topic, "a", "b")
    requests: list[tuple[Callable[[TopicReader], object], object]] = [
        (lambda reader: reader.bounds(0), (0, 2)),
        (lambda reader: reader.ends(), {0: 2, 1: 0, 2: 0}),
        (lambda reader: reader.beginnings(), {0: 0, 1: 0, 2: 0}),
        (lambda reader: reader.offset_for_time(0, 0), 0),
    ]
    with TopicReader(topic.settings, name(topic)) as reader:
        consumer = reader._consumer
        for request, expected in requests:
            reader._consumer = cast("Consumer", PassingErrors(consumer, code))
            assert request(reader) == expected


def test_messages_that_retention_has_deleted_are_an_error(topic: Hub) -> None:
    """Reading from another offset would leave an unnoticed gap."""
    fill(topic, "a", "b")
    with TopicReader(topic.settings, name(topic)) as reader:
        delete_before(topic.settings, name(topic), {0: 1})
        with pytest.raises(DeletedOffsetsError, match="retention"):
            list(reader.read({0: 0}))
        assert values(list(reader.read(reader.beginnings()))) == [b"b"]
