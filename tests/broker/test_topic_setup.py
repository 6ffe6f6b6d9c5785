"""The declared topics on real Kafka."""

import subprocess
from collections.abc import Callable

import msgspec
import pytest
from confluent_kafka.admin import AdminClient

from broker.topic_setup import ensure_topics
from mobility.settings import Settings
from mobility.topics import topic_table, trips_topic
from tests.waiting import DEADLINE

Command = Callable[..., subprocess.Popen[str]]

pytestmark = pytest.mark.services


def test_creating_twice_changes_nothing(tenant: Settings) -> None:
    """The first call creates all topics; then all are as declared."""
    declared = topic_table(tenant)
    assert ensure_topics(tenant, declared) == {}
    assert ensure_topics(tenant, declared) == {topic.name: [] for topic in declared}


def test_a_topic_that_differs_is_reported_and_not_changed(tenant: Settings) -> None:
    """Fewer partitions and another retention are reported."""
    trips = topic_table(tenant)[0]
    ensure_topics(tenant, [trips])
    other = msgspec.structs.replace(tenant, partitions=6, retention_hours=1)
    findings = ensure_topics(tenant, topic_table(other)[:1])
    assert findings == {
        trips.name: [
            f"{tenant.partitions} partitions, declared 6",
            f"retention.ms is {trips.retention_ms}, declared 3600000",
        ]
    }
    there = AdminClient({"bootstrap.servers": tenant.kafka}).list_topics(timeout=DEADLINE)
    assert len(there.topics[trips.name].partitions) == tenant.partitions


def test_more_partitions_than_declared_are_accepted(tenant: Settings) -> None:
    """Partitions may be added to a topic."""
    ensure_topics(tenant, topic_table(tenant)[:1])
    fewer = msgspec.structs.replace(tenant, partitions=1)
    assert ensure_topics(tenant, topic_table(fewer)[:1]) == {trips_topic(tenant): []}


def test_the_command_shows_a_table(tenant: Settings, command: Command) -> None:
    """The exit code is 0 if all is as declared, else 1, with a line for each difference."""
    expected = {
        "created": (command("broker.topic_setup"), 0),
        "as declared": (None, 0),
        "differs": (None, 1),
    }
    for state, (process, code) in expected.items():
        more = {"MOBILITY_PARTITIONS": "9"} if code else {}
        running = process or command("broker.topic_setup", **more)
        out, err = running.communicate(timeout=DEADLINE)
        assert (running.returncode, err) == (code, "")
        assert out.count(state) == len(topic_table(tenant))
    assert f"{trips_topic(tenant)}: {tenant.partitions} partitions, declared 9" in out
