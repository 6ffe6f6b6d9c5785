"""Reading real services: a topic to its end, and Redis hashes of any name."""

import uuid
from collections.abc import Iterator

import pytest
import redis
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient
from msgspec.structs import replace

from audit.log import count_messages, read_topic
from audit.stores import read_redis_index, read_redis_totals
from broker.topic_setup import ensure_topics
from mobility.entities import BY_NAME
from mobility.keys import RedisKeys
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
    assert count_messages(services.kafka, topic) == 0
    assert [m for batch in read_topic(services.kafka, topic) for m in batch] == []
    producer = Producer({"bootstrap.servers": services.kafka})
    for number in range(25_000):
        producer.produce(topic, str(number).encode(), partition=number % 2, on_delivery=None)
        producer.poll(0)
    producer.produce(topic, None, partition=0, headers=[("watermark", b"5"), ("other", None)])
    producer.flush()
    read = [m for batch in read_topic(services.kafka, topic) for m in batch]
    assert count_messages(services.kafka, topic) == len(read) == 25_001
    for partition in (0, 1):
        mine = [message for message in read if message.partition == partition]
        assert [message.offset for message in mine] == list(range(len(mine)))
        values = [str(n).encode() for n in range(partition, 25_000, 2)]
        assert [message.value for message in mine][: len(values)] == values
    last = max(read, key=lambda message: (-message.partition, message.offset))
    assert (last.value, list(last.headers)) == (None, [("watermark", b"5"), ("other", None)])
    assert last.timestamp > 1_600_000_000_000


def test_a_missing_topic_is_empty_and_can_not_be_read(services: Settings) -> None:
    """Its number of messages is 0; reading it is an error, not an empty topic."""
    assert count_messages(services.kafka, "no-such-topic") == 0
    with pytest.raises(KafkaException):
        list(read_topic(services.kafka, "no-such-topic"))


def test_redis_is_read_under_any_prefix_and_id(services: Settings) -> None:
    """A prefix of glob characters matches only itself, and every id is returned unchanged."""
    settings = replace(services, redis_prefix=f"[a*]?\\{uuid.uuid4().hex}:")
    keys, driver = RedisKeys.of(settings), BY_NAME["driver"]
    fields = {
        "trip_count": 2,
        "total_duration": "0.000001",
        "total_distance": "9007199254.740993",
        "total_revenue": "-1.5",
        "avg_duration": "0.0000005",
        "start_time": "2025-01-01T00:00:00Z",
        "last_start_time": "2025-01-01T00:00:01Z",
    }
    ids = sorted(["a:b", "*", "ü\n", "ledger:driver:x"])
    with redis.Redis.from_url(services.redis) as client:
        names = [keys.totals(driver, entity_id) for entity_id in ids]
        other = names[0].replace("[a*]", "a")
        try:
            for name in (*names, other):
                client.hset(name, mapping=fields)
            client.hdel(names[0], "total_revenue")
            client.zadd(keys.index(driver), dict.fromkeys(ids, 0))
            totals = read_redis_totals(settings).sort("id")
            index = read_redis_index(settings)
        finally:
            client.delete(*names, other, keys.index(driver))
    assert totals["id"].to_list() == sorted(index["id"]) == ids
    assert totals["total_revenue"].to_list() == [None, *[-1_500_000] * 3]
    assert totals.row(1, named=True) == {
        "entity": "driver",
        "id": ids[1],
        "trip_count": 2,
        "total_duration": 1,
        "total_distance": 9_007_199_254_740_993,
        "total_revenue": -1_500_000,
        "avg_duration": 0.0000005,
        "start_time": 1_735_689_600_000,
        "last_start_time": 1_735_689_601_000,
    }
