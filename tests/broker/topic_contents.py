"""Changes of topics for tests of several packages: appended and deleted messages."""

from collections.abc import Mapping
from functools import partial

from confluent_kafka import IsolationLevel, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined] # its imports are its exports
    AdminClient,
    OffsetSpec,
)

from mobility.settings import Settings
from tests.waiting import until


def append(
    settings: Settings,
    topic: str,
    *values: str,
    partition: int = 0,
    transactional_id: str | None = None,
) -> None:
    """Append messages to a partition, with an id in one transaction."""
    # A batch that is sent again would else come after later ones.
    config = {"bootstrap.servers": settings.kafka, "enable.idempotence": True}
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
        until_marked(settings, topic, partition)
    assert producer.flush(30) == 0


def until_marked(settings: Settings, topic: str, *partitions: int) -> None:
    """Wait until transactions that were ended have their markers.

    Kafka confirms the end of a transaction before its markers stand in the partitions (KIP-98).
    """
    for partition in partitions:
        place = TopicPartition(topic, partition)
        until(partial(_is_readable, settings, place), f"the marker in {place}")


def _is_readable(settings: Settings, place: TopicPartition) -> bool:
    """Return whether no transaction of a partition is open."""
    admin = AdminClient({"bootstrap.servers": settings.kafka})
    end = OffsetSpec.latest()  # type: ignore[no-untyped-call] # no annotations there
    committed, all_messages = (
        admin.list_offsets({place: end}, isolation_level=level)[place].result(30).offset
        for level in (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED)
    )
    return bool(committed == all_messages)


def delete_before(settings: Settings, topic: str, offsets: Mapping[int, int]) -> None:
    """Delete the messages of partitions before these offsets, as retention does."""
    admin = AdminClient({"bootstrap.servers": settings.kafka})
    places = [TopicPartition(topic, *each) for each in offsets.items()]
    for place, deletion in admin.delete_records(places).items():
        assert deletion.result(30).low_watermark == place.offset
