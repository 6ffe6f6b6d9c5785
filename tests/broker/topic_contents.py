"""Changes of topics for tests of several packages: appended and deleted messages."""

from collections.abc import Mapping

from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from mobility.settings import Settings


def append(
    settings: Settings,
    topic: str,
    *values: str,
    partition: int = 0,
    transactional_id: str | None = None,
) -> None:
    """Append messages to a partition, with an id in one transaction."""
    config = {"bootstrap.servers": settings.kafka}
    if transactional_id is not None:
        config["transactional.id"] = transactional_id
    producer = Producer(config)
    if transactional_id is not None:
        producer.init_transactions()
        producer.begin_transaction()
    for value in values:
        producer.produce(topic, value, partition=partition)
    if transactional_id is not None:
        producer.commit_transaction()
    assert producer.flush(30) == 0


def delete_before(settings: Settings, topic: str, offsets: Mapping[int, int]) -> None:
    """Delete the messages of partitions before these offsets, as retention does."""
    admin = AdminClient({"bootstrap.servers": settings.kafka})
    places = [TopicPartition(topic, *each) for each in offsets.items()]
    for place, deletion in admin.delete_records(places).items():
        assert deletion.result(30).low_watermark == place.offset
