"""The newest messages of a topic on a real broker: backwards, within bounds."""

import re
from dataclasses import replace

import pytest
from confluent_kafka import Message, Producer
from confluent_kafka.admin import AdminClient

from broker.errors import BrokerError, MissingTopicError
from broker.newest_messages import NewestMessages, ReadBounds, read_newest
from tests.broker.topic_contents import append, delete_before, until_marked
from tests.dataflows.conftest import PARTITIONS, Hub
from tests.waiting import DEADLINE

pytestmark = pytest.mark.services

TOPIC = "newest"
BOUNDS = ReadBounds(messages=3_000, bytes=8 * 1024 * 1024, seconds=DEADLINE)


@pytest.fixture
def topic(hub: Hub) -> Hub:
    """Return a tenant with an empty topic."""
    hub.make_topics(**{TOPIC: {"max.message.bytes": "16777216"}})
    return hub


def name(hub: Hub) -> str:
    """Return the topic."""
    return hub.settings.topic_prefix + TOPIC


def newest(
    hub: Hub, bounds: ReadBounds = BOUNDS, before: dict[int, int] | None = None
) -> NewestMessages[int]:
    """Read the topic; the length of each value is kept."""
    return read_newest(hub.settings, name(hub), size_of, bounds, before)


def size_of(message: Message) -> int:
    """Return the length of a value."""
    return len(message.value() or b"")


def offsets(found: NewestMessages[int], partition: int = 0) -> list[int]:
    """Return the offsets that were read of a partition, in their order."""
    return [offset for offset, _ in found.kept[partition]]


def transactions(hub: Hub, aborted: int, *, is_open: bool = False) -> None:
    """Append aborted transactions of a message each to partition 0, perhaps with an open one."""
    config = {"bootstrap.servers": hub.settings.kafka, "transactional.id": name(hub)}
    producer = Producer(config)
    producer.init_transactions()
    for _ in range(aborted):
        producer.begin_transaction()
        producer.produce(name(hub), "aborted", partition=0)
        assert producer.flush(30) == 0
        producer.abort_transaction()
    until_marked(hub.settings, name(hub), 0)
    if is_open:
        producer.begin_transaction()
        producer.produce(name(hub), "open", partition=0)
        assert producer.flush(30) == 0


def test_an_empty_topic(topic: Hub) -> None:
    """There is nothing, and all of it was read."""
    found = newest(topic)
    assert found.kept == {partition: [] for partition in range(PARTITIONS)}
    assert found.starts == found.begins == dict.fromkeys(range(PARTITIONS), 0)


def test_a_missing_topic(topic: Hub) -> None:
    """It is an error of its own, also after the topic was deleted."""
    append(topic.settings, name(topic), "a")
    assert offsets(newest(topic)) == [0]
    admin = AdminClient({"bootstrap.servers": topic.settings.kafka})
    admin.delete_topics([name(topic)])[name(topic)].result(DEADLINE)
    with pytest.raises(MissingTopicError, match=re.escape(name(topic))):
        newest(topic)


def test_pages_of_many_messages_have_each_once(topic: Hub) -> None:
    """Each read goes on before the one after it; the newest come first."""
    append(topic.settings, name(topic), *map(str, range(10_000)))
    append(topic.settings, name(topic), "x", "y", partition=1)
    found = newest(topic)
    assert offsets(found, 1) == [1, 0]
    seen = offsets(found)
    assert seen[0] == 9_999
    assert len(seen) <= BOUNDS.messages
    while found.starts[0] > 0:
        found = newest(topic, before=found.starts)
        assert found.kept[1] == []
        seen += offsets(found)
    assert seen == list(range(9_999, -1, -1))


def test_what_retention_deleted_is_no_page(topic: Hub) -> None:
    """A page goes on from what is left; one beyond the end begins there."""
    append(topic.settings, name(topic), *map(str, range(20)))
    delete_before(topic.settings, name(topic), {0: 15})
    assert offsets(newest(topic)) == [19, 18, 17, 16, 15]
    assert offsets(newest(topic, before={0: 17})) == [16, 15]
    assert offsets(newest(topic, before={0: 3})) == []
    assert offsets(newest(topic, before={0: 99})) == [19, 18, 17, 16, 15]


def test_aborted_transactions_at_the_end(topic: Hub) -> None:
    """They are read past, as far as it takes; an open transaction is not waited for."""
    append(topic.settings, name(topic), "a", "b")
    transactions(topic, aborted=150, is_open=True)
    assert offsets(newest(topic)) == [1, 0]


def test_the_bytes_are_bounded(topic: Hub) -> None:
    """A read ends before a block that goes beyond them, and the next one goes on there."""
    large = "x" * 900_000
    append(topic.settings, name(topic), *[large] * 30, *["small"] * 70)
    found = newest(topic)
    sizes = [size for _, size in found.kept[0]]
    assert sum(sizes) <= 2 * BOUNDS.bytes
    assert set(sizes) == {5}
    seen = offsets(found)
    while found.starts[0] > 0:
        found = newest(topic, before=found.starts)
        assert found.kept[0]
        seen += offsets(found)
    assert seen == list(range(99, -1, -1))


def test_a_message_above_the_bound_is_read(topic: Hub) -> None:
    """Alone: a page that has no message would never end."""
    append(topic.settings, name(topic), *["x" * 900_000] * 3)
    found = newest(topic, replace(BOUNDS, bytes=1024))
    assert [size for _, size in found.kept[0]] == [900_000]


def test_a_read_without_time_is_an_error(topic: Hub) -> None:
    """Nothing is answered that is not whole."""
    append(topic.settings, name(topic), "a")
    with pytest.raises(BrokerError, match="within 0 s"):
        newest(topic, ReadBounds(messages=10, bytes=10, seconds=0))
