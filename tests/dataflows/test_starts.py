"""Starts, stops and surprises on real services, as a person meets them."""

import os
import signal
import subprocess
import sys
import urllib.request

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic  # type: ignore[attr-defined] # exported
from polars.testing import assert_frame_equal

from mobility.entities import BY_NAME
from mobility.settings import to_environ
from mobility.topics import trips_topic
from stack.ports import any_free
from tests.dataflows.conftest import PARTITIONS, ROOT, Hub, trips_log, until
from tests.dataflows.doubles import batch_answer
from tests.dataflows.test_services import assert_exact, both, snapshots, succeeded
from tests.strategies import MINUTE, NOON, Entry

pytestmark = pytest.mark.services

DRIVER = BY_NAME["driver"]


def by_hand(hub: Hub, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the flow with Bytewax's own command."""
    others = {k: v for k, v in os.environ.items() if not k.startswith("MOBILITY_")}
    settings = to_environ(hub.settings) | {"MOBILITY_READ": "once", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "bytewax.run", "dataflows.main", "-s", "1", "-b", "0", *arguments],
        cwd=ROOT,
        env=others | settings | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def children(flow: subprocess.Popen[str]) -> list[int]:
    """Return the processes of the cluster."""
    listing = ["ps", "-o", "pid=", "--ppid", str(flow.pid)]
    found = subprocess.run(listing, capture_output=True, text=True, check=False).stdout.split()
    return [int(pid) for pid in found]


def test_one_of_three_processes_killed_restarts_all(hub: Hub) -> None:
    """The launcher says so, and the numbers are the batch answer."""
    hub.make_topics()
    log, rest = trips_log(21), trips_log(22, NOON + 120 * MINUTE)
    hub.write(log)
    flow = hub.start("--processes", "3")
    hub.wait_for_windows(DRIVER)
    until(lambda: snapshots(hub) > 0)
    before = children(flow)
    os.kill(before[1], signal.SIGKILL)
    until(lambda: len(now := children(flow)) == 3 and not set(now) & set(before))
    hub.write(rest)
    until(lambda: hub.windows(DRIVER).equals(batch_answer(both(log, rest), DRIVER, hub.settings)))
    flow.terminate()
    _, err = flow.communicate(timeout=60)
    assert flow.returncode == 0, err[-3_000:]
    assert "launcher: the flow failed with exit code" in err
    assert "Restart 1 of 10" in err


def test_what_fails_again_and_again_ends_with_its_exit_code(hub: Hub) -> None:
    """So that whoever supervises the launcher sees it."""
    hub.make_topics(trips_dlq={"max.message.bytes": "100"})
    hub.write([[b"x" * 500], [], []])
    flow = hub.start("--restarts", "1")
    _, err = flow.communicate(timeout=60)
    assert flow.returncode == 1
    assert "for the 2. time in 5 minutes: giving up" in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_during_the_start_is_a_stop(hub: Hub, number: signal.Signals) -> None:
    """Wherever it finds the processes, the exit code is 0 and the next run is exact."""
    hub.make_topics()
    log = trips_log(23)
    hub.write(log)
    for patience in (0.2, 0.6, 1.2, 2.0):
        flow = hub.start("--processes", "2")
        try:
            flow.wait(patience)
        except subprocess.TimeoutExpired:
            flow.send_signal(number)
        _, err = flow.communicate(timeout=60)
        assert flow.returncode == 0, err[-3_000:]
    succeeded(hub.run())
    assert_exact(hub, log)


def test_a_killed_launcher_takes_its_processes_along(hub: Hub) -> None:
    """They end by themselves, with a snapshot, and the next start waits for that."""
    hub.make_topics()
    log, rest = trips_log(24), trips_log(25, NOON + 120 * MINUTE)
    hub.write(log)
    flow = hub.start("--processes", "2")
    hub.wait_for_windows(DRIVER)
    flow.kill()
    flow.wait()
    hub.write(rest)
    succeeded(hub.run())
    assert_exact(hub, both(log, rest))


def test_bytewax_by_hand_has_the_same_guard(hub: Hub) -> None:
    """Partitions are made, a running instance is named, another flow's folder is refused."""
    hub.make_topics()
    log = trips_log(26)
    hub.write(log)
    folder = ["-r", str(hub.recovery)]
    succeeded(by_hand(hub, *folder))
    assert_exact(hub, log)
    first = hub.start()
    until(lambda: len(children(first)) == 1)
    second = by_hand(hub, *folder)
    assert second.returncode == 2
    assert f"process {first.pid}" in second.stderr
    first.terminate()
    first.communicate(timeout=60)
    assert first.returncode == 0
    hub.recovery.chmod(0o777)
    third = by_hand(hub, *folder)
    assert third.returncode == 2
    assert "chmod 700" in third.stderr


def test_a_loose_cluster_may_not_write_to_stores(hub: Hub) -> None:
    """Nor may a process that shows the token of a cluster that does not hold the folder."""
    loose = ["-i", "0", "-a", "127.0.0.1:1;127.0.0.1:2", "-r", str(hub.recovery)]
    run = by_hand(hub, *loose, MOBILITY_STORES="redis")
    assert run.returncode == 2
    assert "--processes N" in run.stderr
    run = by_hand(hub, *loose, MOBILITY_STORES="redis", MOBILITY_CLUSTER="stolen")
    assert run.returncode == 2
    assert "MOBILITY_CLUSTER" in run.stderr
    assert not hub.recovery.exists()


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_later_cluster_ends_the_earlier_one_for_good(hub: Hub, processes: str) -> None:
    """Of two clusters on the same stores the older ends, names the newer, and stays away."""
    hub.make_topics()
    log, rest = trips_log(27), trips_log(28, NOON + 120 * MINUTE)
    hub.write(log)
    old = hub.start("--processes", processes, stores=("redis",))
    hub.wait_for_windows(DRIVER)
    other = Hub(hub.settings, hub.recovery.with_name("other"))
    new = other.start(stores=("redis",))
    hub.started.append(new)
    hub.write(rest)
    _, err = old.communicate(timeout=60)
    assert old.returncode == 2, err[-3_000:]
    assert f"process {new.pid} on " in err
    assert "Restart" not in err
    assert new.poll() is None


def deleted_before(hub: Hub, partition: int, offset: int) -> None:
    """Remove the beginning of a partition, as retention does."""
    admin = AdminClient({"bootstrap.servers": hub.settings.kafka})
    place = TopicPartition(trips_topic(hub.settings), partition, offset)
    for done in admin.delete_records([place]).values():
        done.result()


def test_messages_that_retention_took_are_missed(hub: Hub) -> None:
    """Refused with both positions; accepted, the rest is counted and the gap is on record."""
    hub.make_topics()
    log, lost, rest = trips_log(29), trips_log(30, NOON + 120 * MINUTE), trips_log(31, NOON)
    hub.write(log)
    succeeded(hub.run())
    hub.write(lost)
    deleted_before(hub, 1, 800)
    run = hub.run("--processes", "2")
    assert run.returncode == 2, run.stderr[-3_000:]
    assert "partition 1: the recovery state ends at offset 400, the log begins at 800" in run.stderr
    assert "--accept-gap" in run.stderr
    succeeded(hub.run("--accept-gap"))
    survived = [entries + (lost[n] if n != 1 else []) for n, entries in enumerate(log)]
    assert_exact(hub, survived)
    assert '"start": 400, "end": 800' in (hub.recovery / "gaps.ndjson").read_text()
    hub.write(rest)
    succeeded(hub.run())
    assert_exact(hub, both(survived, rest))


def remake(hub: Hub, partitions: int) -> None:
    """Delete the log and make it again."""
    admin = AdminClient({"bootstrap.servers": hub.settings.kafka})
    name = trips_topic(hub.settings)
    admin.delete_topics([name])[name].result()
    until(lambda: name not in admin.list_topics(timeout=10).topics)

    def is_made() -> bool:
        config = {"message.timestamp.type": "LogAppendTime"}
        topic = NewTopic(name, partitions, 1, config=config)
        return admin.create_topics([topic])[name].exception() is None

    until(is_made)
    until(lambda: len(admin.list_topics(timeout=10).topics[name].partitions) == partitions)


def test_a_topic_made_again_is_noticed_even_where_offsets_fit(hub: Hub) -> None:
    """The topic's id tells it; accepted, the new log is read from its beginning."""
    hub.make_topics()
    log, new = trips_log(32), trips_log(33, NOON + 120 * MINUTE)
    hub.write(log)
    succeeded(hub.run())
    remake(hub, PARTITIONS)
    hub.write(new)
    run = hub.run()
    assert run.returncode == 2
    assert "was deleted and made again: the recovery state ends at offset 400" in run.stderr
    succeeded(hub.run("--accept-gap"))
    assert_exact(hub, both(log, new))


def test_a_topic_made_again_with_fewer_partitions_is_noticed(hub: Hub) -> None:
    """Both numbers are named; accepted, the lost partition's state is forgotten."""
    hub.make_topics()
    hub.write(trips_log(34))
    succeeded(hub.run())
    remake(hub, PARTITIONS - 1)
    run = hub.run()
    assert run.returncode == 2
    assert "partition 2: the recovery state knows 3 partitions" in run.stderr
    succeeded(hub.run("--accept-gap", "--processes", "2"))
    succeeded(hub.run())


def test_a_log_that_is_cut_while_it_is_read_ends_the_flow(hub: Hub) -> None:
    """What was to be read next is gone: nothing is skipped, both positions are named."""
    hub.make_topics()
    hub.write(trips_log(35))
    flow = hub.start(batch_size=10, fetch_memory_mb=1)
    hub.wait_for_windows(DRIVER)
    remake(hub, PARTITIONS)
    _, err = flow.communicate(timeout=60)
    assert flow.returncode == 2, err[-3_000:]
    assert trips_topic(hub.settings) in err


def test_new_partitions_are_shown_and_read_after_a_restart(hub: Hub) -> None:
    """Within a minute on the metrics; nothing closes wrongly when they are read at last."""
    hub.make_topics()
    log = trips_log(36)
    hub.write(log)
    port = any_free()
    flow = hub.start(metrics_port=port)
    hub.wait_for_windows(DRIVER)
    admin = AdminClient({"bootstrap.servers": hub.settings.kafka})
    name = trips_topic(hub.settings)
    admin.create_partitions([NewPartitions(name, PARTITIONS + 1)])[name].result()

    def shown() -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as reply:
            return b"mobility_partitions_unread 1.0" in reply.read()

    until(shown)
    flow.terminate()
    _, err = flow.communicate(timeout=60)
    assert flow.returncode == 0, err[-3_000:]
    assert "1 partitions that this run does not read" in err
    later = NOON + 120 * MINUTE
    rest = trips_log(37, later)
    fourth = [Entry(later + n * 30_000, f"new-{n}", "d1", "car", n) for n in range(240)]
    hub.write([*rest, fourth])
    succeeded(hub.run())
    log = [*both(log, rest), fourth]
    assert_frame_equal(hub.windows(DRIVER), batch_answer(log, DRIVER, hub.settings))
