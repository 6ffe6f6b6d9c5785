"""Topics, keys and entities: names that other programs use."""

import msgspec
import pytest

from mobility.entities import BY_NAME, ENTITIES
from mobility.keys import RedisKeys
from mobility.settings import Settings
from mobility.topics import (
    aggregated_topic,
    dead_topic,
    enriched_topic,
    late_topic,
    topic_table,
    trips_topic,
)

ENTITY_NAMES = ("driver", "passenger", "vehicle_type", "h3")


@pytest.mark.parametrize("prefix", ["", "tenant-1."])
def test_the_table_declares_every_topic_by_name(prefix: str) -> None:
    """Each name is in the table once, with the prefix."""
    settings = Settings(topic_prefix=prefix)
    names = [topic.name for topic in topic_table(settings)]
    assert names == [
        f"{prefix}trips_stream",
        *(f"{prefix}enriched.{name}" for name in ENTITY_NAMES),
        *(f"{prefix}aggregated.{name}" for name in ENTITY_NAMES),
        f"{prefix}trips_late",
        f"{prefix}trips_dlq",
    ]
    used = [trips_topic(settings), late_topic(settings), dead_topic(settings)]
    used += [enriched_topic(settings, entity) for entity in ENTITIES]
    used += [aggregated_topic(settings, entity) for entity in ENTITIES]
    assert set(used) == set(names)


def test_topics_have_the_configuration_of_the_settings() -> None:
    """Partitions, replication and retention are settings; timestamps are log-append times."""
    settings = msgspec.structs.replace(Settings(), partitions=3, replication=2, retention_hours=5)
    for topic in topic_table(settings):
        assert (topic.partitions, topic.replication) == (3, 2)
        assert topic.config == {
            "cleanup.policy": "delete",
            "retention.ms": "18000000",
            "compression.type": "producer",
            "max.message.bytes": "16777216",
            "message.timestamp.type": "LogAppendTime",
        }
        stamped = "message.timestamp.type" in topic.required
        assert stamped == (topic.name == "trips_stream")
        assert topic.required.items() <= topic.config.items()


def test_entities_are_one_table() -> None:
    """Names and id fields are unique: topics, keys, tables and paths contain them."""
    assert tuple(entity.name for entity in ENTITIES) == ENTITY_NAMES == tuple(BY_NAME)
    assert [entity.id_field for entity in ENTITIES] == [
        "driver_id",
        "passenger_id",
        "vehicle_type",
        "h3_region",
    ]


def test_keys_of_tenants_and_entities_differ() -> None:
    """An id is last, whatever it contains; the key of its totals is `<entity>:<id>`."""
    keys = RedisKeys.of(Settings(redis_prefix="t:"))
    driver, h3 = BY_NAME["driver"], BY_NAME["h3"]
    assert RedisKeys("").totals(driver, "d:1") == "driver:d:1"
    assert RedisKeys("").ledger(driver, "d:1") == "ledger:driver:d:1"
    names = [
        keys.totals(driver, "x"),
        keys.totals(h3, "x"),
        keys.ledger(driver, "x"),
        keys.index(driver),
        keys.seen(driver),
        keys.progress(driver),
        keys.meta,
    ]
    assert len(set(names)) == len(names)
    assert all(name.startswith("t:") for name in names)


@pytest.mark.parametrize(("replicas", "expected"), [(1, None), (2, None), (3, "2"), (5, "4")])
def test_topics_need_all_replicas_but_one(replicas: int, expected: str | None) -> None:
    """Without one broker writes continue, and each is on more than one broker."""
    for topic in topic_table(Settings(replication=replicas)):
        assert topic.config.get("min.insync.replicas") == expected
