"""Messages of a real topic, as the oracle takes them."""

import uuid
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from audit.log_messages import read_log_messages
from broker.errors import MissingTopicError
from broker.topic_setup import ensure_topics
from mobility.settings import Settings
from mobility.topics import Topic

pytestmark = pytest.mark.services


@pytest.fixture
def topic(services: Settings) -> Iterator[str]:
    """Create a topic of three partitions and delete it afterwards."""
    name = f"audit-{uuid.uuid4().hex}"
    ensure_topics(services, [Topic(name, "raw", 3, 1, -1, "producer")])
    yield name
    admin = AdminClient({"bootstrap.servers": services.kafka})
    admin.delete_topics([name])[name].result()


def test_a_topic_is_read_to_its_end(services: Settings, topic: str) -> None:
    """Every message of every partition is read once, with nulls and headers; empty ones end too."""
    assert [m for batch in read_log_messages(services, topic) for m in batch] == []
    producer = Producer({"bootstrap.servers": services.kafka})
    for number in range(25_000):
        producer.produce(topic, str(number).encode(), partition=number % 2, on_delivery=None)
        producer.poll(0)
    producer.produce(topic, None, partition=0, headers=[("watermark", b"5"), ("other", None)])
    producer.flush()
    read = [m for batch in read_log_messages(services, topic) for m in batch]
    assert len(read) == 25_001
    for partition in (0, 1):
        mine = [message for message in read if message.partition == partition]
        assert [message.offset for message in mine] == list(range(len(mine)))
        values = [str(n).encode() for n in range(partition, 25_000, 2)]
        assert [message.value for message in mine][: len(values)] == values
    last = max(read, key=lambda message: (-message.partition, message.offset))
    assert (last.value, list(last.headers)) == (None, [("watermark", b"5"), ("other", None)])
    assert last.timestamp > 1_600_000_000_000


def test_a_missing_topic_is_an_error(services: Settings) -> None:
    """It is not an empty topic."""
    with pytest.raises(MissingTopicError):
        list(read_log_messages(services, "no-such-topic"))
