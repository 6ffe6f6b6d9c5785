"""Offsets that can't be committed, or may not be: the flow goes on, and its numbers are right."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Consumer

from broker.group_offsets import GroupOffsets
from dataflows.offset_commits import OffsetCommits
from mobility.entities import BY_NAME
from mobility.topics import trips_topic
from runtime.failures import EXIT_REFUSED
from runtime.flows import consumer_group
from sinks import take_fencing_token
from tests.dataflows.conftest import PARTITIONS, Hub, trips_log
from tests.dataflows.test_offset_commits import committed, of_trips, resumed
from tests.dataflows.test_services import assert_exact, concat_logs
from tests.strategies import MINUTE, NOON
from tests.waiting import DEADLINE, until

pytestmark = pytest.mark.services

DRIVER = BY_NAME["driver"]
FAILING = "offsets are not committed to the consumer group"
WORKING = "offsets are committed to the consumer group"


def group_of(hub: Hub) -> str:
    """Return the group of the flow `main`."""
    group = consumer_group("main", hub.settings)
    assert group is not None
    return group


@contextmanager
def another_member(hub: Hub) -> Iterator[None]:
    """Let a consumer join the group of the flow, as a tool with a name that is taken would do."""
    config = {"bootstrap.servers": hub.settings.kafka, "group.id": group_of(hub)}
    consumer = Consumer(config | {"enable.auto.commit": False, "auto.offset.reset": "latest"})
    consumer.subscribe([trips_topic(hub.settings)])
    until(lambda: consumer.poll(0.1) or consumer.assignment(), "the other to be assigned all")
    try:
        yield
    finally:
        consumer.close()


def stopped(flow: subprocess.Popen[str]) -> str:
    """Stop a flow with SIGTERM; return what it said on stderr."""
    flow.send_signal(signal.SIGTERM)
    _, err = flow.communicate(timeout=DEADLINE)
    assert flow.returncode == 0, err[-3_000:]
    return err


def test_offsets_that_cannot_be_committed_are_one_warning(hub: Hub) -> None:
    """Others have joined the group: that is said once, and once that they have left."""
    hub.make_topics()
    log = trips_log(81)
    hub.write(log)
    with another_member(hub):
        flow = hub.start()
        hub.wait_for_windows(DRIVER)
        for number in range(3):
            more = trips_log(82 + number, NOON + (number + 1) * 120 * MINUTE)
            before = len(hub.messages("trips_late"))
            hub.write(more)
            log = concat_logs(log, more)
            until(lambda: len(hub.messages("trips_late")), "the rest", lambda now: now > before)  # noqa: B023 - called here
        assert committed(hub) == {}
    ends = of_trips(hub, dict.fromkeys(range(PARTITIONS), 1_600))
    until(lambda: committed(hub), "the end of the log", lambda now: now == ends)
    err = stopped(flow)
    assert_exact(hub, log)
    assert (err.count(FAILING), err.count(WORKING)) == (1, 1), err
    assert f"other consumers have joined the group {group_of(hub)}" in err
    assert "MOBILITY_CONSUMER_GROUP" in err


def test_a_cluster_that_was_replaced_commits_nothing(hub: Hub, tmp_path: Path) -> None:
    """A later one has the stores: what it has committed to the group stays as it is."""
    hub.make_topics()
    stores = msgspec.structs.replace(hub.settings, stores=("redis", "postgres"))
    fence = take_fencing_token(stores, "the first cluster")
    commits = OffsetCommits(msgspec.structs.replace(stores, fence=fence), "main", tmp_path)
    durable = [commits.open(trips_topic(stores), number, 5) for number in range(PARTITIONS)]
    first = of_trips(hub, dict.fromkeys(range(PARTITIONS), 5))
    until(lambda: committed(hub), "the first offsets", lambda now: now == first)

    take_fencing_token(stores, "a later cluster")
    others = dict.fromkeys(first, 7)
    GroupOffsets(stores, group_of(hub)).commit(others)
    for each in durable:
        each.record_snapshot(9, is_last=False)
        each.record_poll()
        each.record_snapshot(10, is_last=True)
    commits.close()
    assert committed(hub) == others


def test_a_flow_that_is_replaced_leaves_the_group_alone(hub: Hub) -> None:
    """It ends with its next window, and commits nothing of what it has read until then."""
    hub.settings = msgspec.structs.replace(hub.settings, stores=("redis", "postgres"))
    hub.make_topics()
    hub.write(trips_log(85))
    flow = hub.start()
    ends = of_trips(hub, dict.fromkeys(range(PARTITIONS), 400))
    until(lambda: committed(hub), "the end of the log", lambda now: now == ends)
    take_fencing_token(hub.settings, "a later cluster")
    others = dict.fromkeys(ends, 7)
    GroupOffsets(hub.settings, group_of(hub)).commit(others)
    hub.write(trips_log(86, NOON + 120 * MINUTE))
    _, err = flow.communicate(timeout=DEADLINE)
    assert flow.returncode == EXIT_REFUSED, err[-3_000:]
    assert committed(hub) == others


def test_two_flows_in_one_group_disturb_each_other_in_nothing(hub: Hub) -> None:
    """Without stores nobody is refused: the group has the position of whoever committed last."""
    hub.make_topics()
    log = trips_log(87)
    hub.write(log)
    other = Hub(hub.settings, hub.recovery.with_name("other"))
    flows = [hub.start(), other.start()]
    hub.started += other.started
    ends = of_trips(hub, dict.fromkeys(range(PARTITIONS), 400))
    until(lambda: committed(hub), "the end of the log", lambda now: now == ends)
    for flow in flows:
        assert FAILING not in stopped(flow)
    assert committed(hub) in [of_trips(hub, resumed(each)) for each in (hub, other)]
    assert_exact(hub, log)
