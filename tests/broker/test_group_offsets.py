"""Offsets of a group that nobody joins, on a real broker."""

import uuid

import msgspec
import pytest
from confluent_kafka.admin import AdminClient

from broker.errors import BrokerError
from broker.group_offsets import GroupOffsets
from broker.topic_setup import ensure_topics
from mobility.settings import Settings
from mobility.topics import topic_table, trips_topic
from tests.group_offsets import read_group

pytestmark = pytest.mark.services


def test_offsets_are_stored_for_every_tool_to_read(services: Settings) -> None:
    """All at once, again and back."""
    settings = msgspec.structs.replace(services, topic_prefix=f"{uuid.uuid4().hex[:8]}.")
    ensure_topics(settings, topic_table(settings)[:1])
    name = trips_topic(settings)
    group = GroupOffsets(settings, f"{settings.topic_prefix}group")
    for offsets in ({(name, 0): 5, (name, 1): 0}, {(name, 0): 3, (name, 1): 0}):
        group.commit(offsets)
        assert read_group(settings, f"{settings.topic_prefix}group") == offsets
        # Of a partition that nobody has committed there is none.
        assert group.read([*offsets, (name, 2)]) == offsets
    admin = AdminClient({"bootstrap.servers": settings.kafka})
    admin.delete_topics([name])[name].result()


def test_offsets_that_are_not_stored_say_why(services: Settings) -> None:
    """Of a topic that is not there, and of a broker that is not."""
    with pytest.raises(BrokerError, match="Unknown topic or partition"):
        GroupOffsets(services, "group").commit({(f"no-{uuid.uuid4().hex}", 0): 1})
