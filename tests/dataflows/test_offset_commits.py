"""The offsets in a flow's group on a real broker, as `kafka-consumer-groups` reads them."""

import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import count

import msgspec
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewPartitions  # type: ignore[attr-defined] # exported

from mobility.entities import BY_NAME, ENTITIES
from mobility.topics import aggregated_topic, trips_topic
from runtime.flows import TRIPS_STEP_ID, FlowName, consumer_group
from runtime.recovery import delete_unreachable_snapshots, stored_states
from tests.broker.topic_contents import until_marked
from tests.chaos.paused_commit import is_paused, pause_between_commits
from tests.chaos.recovery_reader import rows
from tests.dataflows.conftest import PARTITIONS, ROOT, Hub, trips_log
from tests.dataflows.test_log_changes import recreate
from tests.dataflows.test_services import assert_exact, assert_succeeded, concat_logs
from tests.group_offsets import read_group
from tests.process_tree import kill_all
from tests.strategies import MINUTE, NOON, Entry
from tests.waiting import DEADLINE, until

pytestmark = pytest.mark.services

DRIVER = BY_NAME["driver"]
KILLS = 4
Place = tuple[str, int]


def committed(hub: Hub, flow: FlowName = "main") -> dict[Place, int]:
    """Return the offsets in a flow's group, as every tool reads them."""
    group = consumer_group(flow, hub.settings)
    assert group is not None
    return read_group(hub.settings, group)


def resumed(hub: Hub, step: str = TRIPS_STEP_ID) -> dict[int, int]:
    """Return the offsets that the next start resumes from; nothing may be running."""
    delete_unreachable_snapshots(hub.recovery)
    states = stored_states(hub.recovery, step)
    return {int(key): state["next_offset"] for key, state in states.items()}


def of_trips(hub: Hub, offsets: dict[int, int]) -> dict[Place, int]:
    """Return the offsets of the partitions of the log."""
    return {(trips_topic(hub.settings), number): offset for number, offset in offsets.items()}


def stop(flow: subprocess.Popen[str]) -> None:
    """Stop a flow with SIGTERM; it ends with 0."""
    flow.send_signal(signal.SIGTERM)
    _, err = flow.communicate(timeout=DEADLINE)
    assert flow.returncode == 0, err[-3_000:]


@pytest.mark.parametrize("processes", ["1", "3"])
def test_a_bounded_read_commits_the_end_of_the_log(hub: Hub, processes: str) -> None:
    """Each process commits its partitions, an empty one among them."""
    hub.make_topics()
    log = [*trips_log(61)[:2], []]
    hub.write(log)
    assert_succeeded(hub.run("--processes", processes))
    ends = {number: len(entries) for number, entries in enumerate(log)}
    assert committed(hub) == of_trips(hub, ends)
    assert resumed(hub) == ends


def test_a_graceful_stop_commits_where_the_next_run_resumes(hub: Hub) -> None:
    """No partition has any lag then; two processes become one, and the log grows meanwhile."""
    hub.make_topics()
    for number, processes in enumerate(("2", "1")):
        hub.write(trips_log(62 + number, NOON + number * 120 * MINUTE))
        flow = hub.start("--processes", processes)
        ends = dict.fromkeys(range(PARTITIONS), 400 * (number + 1))
        until(lambda: committed(hub), "the end of the log", lambda now: now == of_trips(hub, ends))  # noqa: B023 - called here
        stop(flow)
        assert resumed(hub) == ends
        assert committed(hub) == of_trips(hub, ends)


def test_two_workers_of_a_process_commit_together(hub: Hub) -> None:
    """As `python -m bytewax.run -w 2` starts them, without the launcher."""
    hub.make_topics()
    hub.write(trips_log(64))
    options = ["-r", str(hub.recovery), "-s", "1", "-b", "0", "-w", "2"]
    run = subprocess.run(
        [sys.executable, "-m", "bytewax.run", "dataflows.main", *options],
        cwd=ROOT,
        env=hub.environ(read="once"),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert_succeeded(run)
    assert committed(hub) == of_trips(hub, dict.fromkeys(range(PARTITIONS), 400))


def test_committed_offsets_are_never_beyond_the_recovery_folder(hub: Hub) -> None:
    """Killed at any point, a flow resumes at or behind what tools have seen; then it goes on."""
    hub.make_topics()
    log: list[list[Entry]] = [[] for _ in range(PARTITIONS)]
    for number in range(KILLS):
        flow = hub.start("--processes", "1" if number % 2 else "2")
        for part in range(3):
            more = trips_log(70 + 3 * number + part, NOON + (3 * number + part) * 120 * MINUTE)
            before = committed(hub)
            hub.write(more)
            log = concat_logs(log, more)
            if part < 2:
                until(
                    lambda: committed(hub),
                    "a commit of each process",
                    lambda now: len(now) == PARTITIONS and now != before,  # noqa: B023 - called here
                )
        time.sleep(0.3 * number)  # anywhere in an epoch and its commits
        kill_all(flow)
        found, expected = committed(hub), of_trips(hub, resumed(hub))
        # Before the first snapshot a partition is resumed at its beginning.
        assert all(found[place] <= expected.get(place, 0) for place in found), (found, expected)
        assert found.keys() >= expected.keys()
    assert_succeeded(hub.run("--processes", "3"))
    assert_exact(hub, log)
    assert committed(hub) == of_trips(hub, dict.fromkeys(range(PARTITIONS), len(log[0])))


def test_a_snapshot_that_is_not_committed_yet_is_not_durable(hub: Hub) -> None:
    """The flow waits between the two commits of an epoch: its snapshots would not be resumed."""
    hub.make_topics()
    flow = hub.start("--processes", "2")
    with_messages(hub, lambda: max(committed(hub).values(), default=0) > 0, "committed offsets")
    with pause_between_commits(hub.recovery):
        with_messages(hub, lambda: is_paused(hub.recovery), "a paused commit")
        time.sleep(2)  # longer than a commit of offsets takes
        newest, durable = newest_snapshots(hub), committed(hub)
        kill_all(flow)
    assert any(newest[place] > offset for place, offset in durable.items())
    found = of_trips(hub, resumed(hub))
    assert any(newest[place] > offset for place, offset in found.items())
    assert all(found[place] >= offset for place, offset in durable.items())
    assert committed(hub) == durable


def with_messages(hub: Hub, done: Callable[[], bool], what: str) -> None:
    """Wait while messages are written, so that every epoch has new ones, also a paused one."""
    times = count(NOON)

    def written() -> bool:
        hub.write([[Entry(next(times), driver="d")]] * PARTITIONS)
        return done()

    until(written, what)


def newest_snapshots(hub: Hub) -> dict[Place, int]:
    """Return the highest offset of each partition in any snapshot, also of an open epoch."""
    query = f"SELECT state_key, ser_change FROM snaps WHERE step_id = '{TRIPS_STEP_ID}'"  # noqa: S608 - ours
    newest: dict[int, int] = {}
    for key, state in rows(hub.recovery, query):
        offset = int(pickle.loads(state)["next_offset"])  # noqa: S301 - ours
        newest[int(key)] = max(offset, newest.get(int(key), 0))
    return of_trips(hub, newest)


def test_a_new_recovery_folder_commits_its_own_positions(hub: Hub) -> None:
    """It reads from the beginning, so the group goes back at once, before its first snapshot."""
    hub.make_topics()
    hub.write(trips_log(65))
    assert_succeeded(hub.run())
    hub.recovery = hub.recovery.with_name("new")
    flow = hub.start(snapshot_interval=3_600)
    start = of_trips(hub, dict.fromkeys(range(PARTITIONS), 0))
    until(lambda: committed(hub), "the positions of the new folder", lambda now: now == start)
    stop(flow)
    assert committed(hub) == of_trips(hub, resumed(hub))


def test_control_records_are_no_lag(hub: Hub) -> None:
    """Behind the last message of a transaction its marker is read too, which has an offset."""
    hub.make_topics()
    made = Producer(
        {"bootstrap.servers": hub.settings.kafka, "transactional.id": hub.settings.topic_prefix}
    )
    made.init_transactions()
    made.begin_transaction()
    for entry in trips_log(66)[0]:
        made.produce(trips_topic(hub.settings), entry.value, partition=0)
    made.commit_transaction()
    until_marked(hub.settings, trips_topic(hub.settings), 0)
    for _ in range(2):
        assert_succeeded(hub.run())
        assert resumed(hub) == {0: 401, 1: 0, 2: 0}
        assert committed(hub) == of_trips(hub, {0: 401, 1: 0, 2: 0})


def test_a_partition_that_is_added_is_committed_once_it_is_read(hub: Hub) -> None:
    """That is after a restart; until then tools show no position for it."""
    hub.make_topics()
    hub.write(trips_log(67))
    assert_succeeded(hub.run())
    admin = AdminClient({"bootstrap.servers": hub.settings.kafka})
    name = trips_topic(hub.settings)
    for done in admin.create_partitions([NewPartitions(name, PARTITIONS + 1)]).values():
        done.result()
    until(
        lambda: len(admin.list_topics(name, timeout=DEADLINE).topics[name].partitions),
        "the partition",
        lambda count: count == PARTITIONS + 1,
    )
    assert_succeeded(hub.run())
    assert committed(hub) == of_trips(hub, {0: 400, 1: 400, 2: 400, 3: 0})


def test_positions_in_a_topic_that_is_no_more_are_not_committed(hub: Hub) -> None:
    """A refused start commits nothing; an accepted gap is followed by positions in the new log."""
    hub.make_topics()
    hub.write(trips_log(68))
    assert_succeeded(hub.run())
    recreate(hub, PARTITIONS)
    assert hub.run().returncode == 2
    assert committed(hub) == {}
    hub.write(trips_log(69, NOON + 120 * MINUTE, trips=100))
    assert_succeeded(hub.run("--accept-gap"))
    assert committed(hub) == of_trips(hub, dict.fromkeys(range(PARTITIONS), 100))


def test_the_serving_flow_commits_what_it_has_read_of_each_entity(hub: Hub) -> None:
    """In a group of its own: the end of every partition of `aggregated.*`."""
    hub.make_topics()
    hub.write(trips_log(70))
    assert_succeeded(hub.run())
    ends: dict[Place, int] = {}
    for entity in ENTITIES:
        topic = aggregated_topic(hub.settings, entity)
        ends |= {(topic, number): 0 for number in range(PARTITIONS)}
        for message in hub.messages(f"aggregated.{entity.name}"):
            place = topic, message.partition() or 0
            ends[place] = max(ends[place], (message.offset() or 0) + 1)
    serving = Hub(hub.settings, hub.recovery.with_name("serving"))
    assert_succeeded(serving.run("--flow", "serving", stores=("postgres",)))
    assert committed(hub, "serving") == ends
    step = f"mobility_serving.aggregated_{DRIVER.name}"
    topic = aggregated_topic(hub.settings, DRIVER)
    offsets = {number: ends[topic, number] for number in range(PARTITIONS)}
    assert resumed(serving, step) == offsets


def test_the_group_is_a_setting(hub: Hub) -> None:
    """A name of one's own; or none, and nothing is committed."""
    hub.make_topics()
    hub.write(trips_log(71, trips=40))
    assert_succeeded(hub.run(consumer_group=""))
    assert committed(hub) == {}
    hub.settings = msgspec.structs.replace(hub.settings, consumer_group="{flow}-of-{prefix}")
    assert_succeeded(hub.run())
    assert consumer_group("main", hub.settings) == f"main-of-{hub.settings.topic_prefix}"
    assert committed(hub) == of_trips(hub, dict.fromkeys(range(PARTITIONS), 40))
