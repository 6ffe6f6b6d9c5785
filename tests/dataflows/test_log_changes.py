"""Logs that lost messages or were recreated: refused, or accepted and recorded."""

import urllib.request

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined] # exported
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)
from polars.testing import assert_frame_equal

from mobility.entities import BY_NAME
from mobility.topics import trips_topic
from stack.ports import find_free_port
from tests.dataflows.conftest import PARTITIONS, Hub, trips_log
from tests.dataflows.doubles import batch_answer
from tests.dataflows.test_services import assert_exact, assert_succeeded, concat_logs
from tests.strategies import MINUTE, NOON, Entry
from tests.waiting import DEADLINE, until

pytestmark = pytest.mark.services

DRIVER = BY_NAME["driver"]


def deleted_before(hub: Hub, partition: int, offset: int) -> None:
    """Delete the messages of a partition before an offset, as retention does."""
    admin = AdminClient({"bootstrap.servers": hub.settings.kafka})
    place = TopicPartition(trips_topic(hub.settings), partition, offset)
    for done in admin.delete_records([place]).values():
        done.result()


def test_messages_that_retention_deleted_are_a_gap(hub: Hub) -> None:
    """It is refused with both positions; if it is accepted, the rest is counted."""
    hub.make_topics()
    log, lost, rest = trips_log(29), trips_log(30, NOON + 120 * MINUTE), trips_log(31, NOON)
    hub.write(log)
    assert_succeeded(hub.run())
    hub.write(lost)
    deleted_before(hub, 1, 800)
    run = hub.run("--processes", "2")
    assert run.returncode == 2, run.stderr[-3_000:]
    assert "partition 1: the recovery state ends at offset 400, the log begins at 800" in run.stderr
    assert "--accept-gap" in run.stderr
    assert_succeeded(hub.run("--accept-gap"))
    survived = [entries + (lost[n] if n != 1 else []) for n, entries in enumerate(log)]
    assert_exact(hub, survived)
    assert '"start": 400, "end": 800' in (hub.recovery / "gaps.ndjson").read_text()
    hub.write(rest)
    assert_succeeded(hub.run())
    assert_exact(hub, concat_logs(survived, rest))


def recreate(hub: Hub, partitions: int) -> None:
    """Delete the topic and create it again."""
    admin = AdminClient({"bootstrap.servers": hub.settings.kafka})
    name = trips_topic(hub.settings)
    admin.delete_topics([name])[name].result()
    until(lambda: name not in admin.list_topics(timeout=DEADLINE).topics, "the topic to be gone")

    def is_created() -> bool:
        config = {"message.timestamp.type": "LogAppendTime"}
        topic = NewTopic(name, partitions, 1, config=config)
        return admin.create_topics([topic])[name].exception() is None

    def is_known() -> bool:
        topic = admin.list_topics(timeout=DEADLINE).topics.get(name)
        return topic is not None and len(topic.partitions) == partitions

    until(is_created, "the topic to be made")
    until(is_known, f"the topic with {partitions} partitions")


def test_a_recreated_topic_is_noticed_although_its_offsets_fit(hub: Hub) -> None:
    """It has another id; if that is accepted, the new topic is read from its beginning."""
    hub.make_topics()
    log, new = trips_log(32), trips_log(33, NOON + 120 * MINUTE)
    hub.write(log)
    assert_succeeded(hub.run())
    recreate(hub, PARTITIONS)
    hub.write(new)
    run = hub.run()
    assert run.returncode == 2
    assert "was deleted and recreated: the recovery state ends at offset 400" in run.stderr
    assert_succeeded(hub.run("--accept-gap"))
    assert_exact(hub, concat_logs(log, new))


def test_a_recreated_topic_with_fewer_partitions_is_noticed(hub: Hub) -> None:
    """Both numbers are named; if it is accepted, the state of the lost partition is deleted."""
    hub.make_topics()
    hub.write(trips_log(34))
    assert_succeeded(hub.run())
    recreate(hub, PARTITIONS - 1)
    run = hub.run()
    assert run.returncode == 2
    assert "partition 2: the recovery state knows 3 partitions" in run.stderr
    assert_succeeded(hub.run("--accept-gap", "--processes", "2"))
    assert_succeeded(hub.run())


def test_a_log_that_is_truncated_while_it_is_read_ends_the_flow(hub: Hub) -> None:
    """The next message is deleted: nothing is skipped, and both positions are named."""
    hub.make_topics()
    hub.write(trips_log(35))
    flow = hub.start(batch_size=10, fetch_memory_mb=1)
    hub.wait_for_windows(DRIVER)
    recreate(hub, PARTITIONS)
    _, err = flow.communicate(timeout=DEADLINE)
    assert flow.returncode == 2, err[-3_000:]
    assert trips_topic(hub.settings) in err


def test_new_partitions_are_shown_and_read_after_a_restart(hub: Hub) -> None:
    """The metrics show them within a minute; no window is closed too early once they are read."""
    hub.make_topics()
    log = trips_log(36)
    hub.write(log)
    port = find_free_port()
    flow = hub.start(metrics_port=port)
    hub.wait_for_windows(DRIVER)
    admin = AdminClient({"bootstrap.servers": hub.settings.kafka})
    name = trips_topic(hub.settings)
    admin.create_partitions([NewPartitions(name, PARTITIONS + 1)])[name].result()

    def shown() -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=DEADLINE) as reply:
            return b"mobility_partitions_unread 1.0" in reply.read()

    until(shown, "the partition that is not read")
    flow.terminate()
    _, err = flow.communicate(timeout=DEADLINE)
    assert flow.returncode == 0, err[-3_000:]
    assert "1 partitions that this run does not read" in err
    later = NOON + 120 * MINUTE
    rest = trips_log(37, later)
    fourth = [Entry(later + n * 30_000, f"new-{n}", "d1", "car", n) for n in range(240)]
    hub.write([*rest, fourth])
    assert_succeeded(hub.run())
    log = [*concat_logs(log, rest), fourth]
    assert_frame_equal(hub.windows(DRIVER), batch_answer(log, DRIVER, hub.settings))


def test_a_topic_with_timestamps_of_producers_is_refused_unless_that_is_meant(hub: Hub) -> None:
    """One wrong clock would make the trips of all others late; the message has two remedies."""
    admin = AdminClient({"bootstrap.servers": hub.settings.kafka})
    name = trips_topic(hub.settings)
    topic = NewTopic(name, PARTITIONS, 1, config={"message.timestamp.type": "CreateTime"})
    admin.create_topics([topic])[name].result()
    hub.make_topics()
    log = trips_log(36)
    hub.write(log)
    run = hub.run()
    assert run.returncode == 2
    assert f"{name} has message.timestamp.type=CreateTime" in run.stderr
    assert "MOBILITY_TIMESTAMP=create" in run.stderr
    assert_succeeded(hub.run(timestamp="create"))
    assert_exact(hub, log)


def test_timestamps_that_become_those_of_producers_end_the_flow(hub: Hub) -> None:
    """In the words of a start, which is refused too."""
    hub.make_topics()
    hub.write(trips_log(38))
    flow = hub.start()
    hub.wait_for_windows(DRIVER)
    admin = AdminClient({"bootstrap.servers": hub.settings.kafka})
    name = trips_topic(hub.settings)
    changed = ConfigResource(
        ResourceType.TOPIC,
        name,
        incremental_configs=[
            ConfigEntry(
                "message.timestamp.type",
                "CreateTime",
                incremental_operation=AlterConfigOpType.SET,
            )
        ],
    )
    for done in admin.incremental_alter_configs([changed]).values():
        done.result()
    _, err = flow.communicate(timeout=DEADLINE)
    assert flow.returncode == 2, err[-3_000:]
    words = f"{name} has message.timestamp.type=CreateTime"
    assert words in err
    assert words in hub.run().stderr
