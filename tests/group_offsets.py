"""The offsets of a consumer group, as every tool reads them."""

from confluent_kafka import Consumer, TopicPartition

from broker.clients import client_config
from mobility.settings import Settings
from tests.waiting import DEADLINE

_NONE = -1001
"""The offset of a partition for which the group has none."""


def read_group(settings: Settings, group: str) -> dict[tuple[str, int], int]:
    """Return the next offset of each partition that has one.

    A consumer asks, because librdkafka 2 can abort the process where the admin client asks for a
    coordinator that is not found within the time of the request.
    """
    consumer = Consumer(client_config(settings, "tests") | {"group.id": group})
    try:
        topics = consumer.list_topics(timeout=DEADLINE).topics
        places = [
            TopicPartition(name, number)
            for name, topic in topics.items()
            if name.startswith(settings.topic_prefix)
            for number in topic.partitions
        ]
        stored = consumer.committed(places, timeout=DEADLINE)
    finally:
        consumer.close()
    return {(each.topic, each.partition): each.offset for each in stored if each.offset != _NONE}
