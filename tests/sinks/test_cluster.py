"""A Redis Cluster follows Postgres: on three real masters, while slots move and masters fail."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from mobility.entities import BY_NAME
from mobility.keys import RedisKeys
from mobility.settings import Settings
from mobility.totals import highest_versions, shard_of
from redis_cluster.connection import connect, masters
from redis_cluster.records import read_record
from redis_cluster.slots import slot_of
from sinks import follower_servers
from sinks.connecting import connect_authority
from sinks.fencing import take_fencing_token
from sinks.followed_store import FollowedStore
from sinks.follower_connection import FollowerConnection
from sinks.redis import connect_redis
from sinks.redis_commands import command
from sinks.store import StoreRefusedError
from tests.redis_servers import Cluster, running_cluster
from tests.sinks.following import followed_store, redis_totals, until_followed
from tests.sinks.test_store import SPECIAL_IDS
from tests.waiting import until

pytestmark = pytest.mark.services

DRIVER = BY_NAME["driver"]
IDS = [f"d{number:03}" for number in range(300)]

Build = Any


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Return a cluster of three masters."""
    with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def cluster(nodes: Cluster) -> Cluster:
    """Return the cluster, empty."""
    nodes.empty()
    return nodes


@pytest.fixture
def both(both: Settings, cluster: Cluster) -> Settings:
    """Return settings with Postgres and the cluster."""
    return msgspec.structs.replace(both, redis=cluster.url, fence=5)


def write(store: FollowedStore, window: Build, frame: Build, count: int) -> None:
    """Write a window of each id, and the watermarks of two shards."""
    store.apply(DRIVER, highest_versions(frame(*(window(name, trip_count=count) for name in IDS))))
    for shard in range(2):
        store.record_progress(DRIVER, shard, 2, 5_000 * count + shard)


def number_in(settings: Settings) -> int:
    """Return the sequence number that the cluster says, as a reader sees it."""
    with closing(connect(settings.redis)) as client:
        return read_record(client, RedisKeys.of(settings), DRIVER).number


def send(connection: FollowerConnection, *words: str | int) -> None:
    """Send a command and read its reply."""
    connection.send(command(*words))
    connection.replies(1)


class Load:
    """Writes until it is stopped, in a thread."""

    def __init__(self, store: FollowedStore, window: Build, frame: Build) -> None:
        self.count = 1
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(store, window, frame))
        self._thread.start()

    def stop(self) -> None:
        """Stop it."""
        self._stop.set()
        self._thread.join()

    def _run(self, store: FollowedStore, window: Build, frame: Build) -> None:
        while not self._stop.wait(0.01):
            write(store, window, frame, self.count)
            self.count += 1


@contextmanager
def load(store: FollowedStore, window: Build, frame: Build) -> Iterator[Load]:
    """Write meanwhile."""
    writing = Load(store, window, frame)
    try:
        yield writing
    finally:
        writing.stop()


def test_ids_are_on_all_masters(
    cluster: Cluster, both: Settings, window: Build, frame: Build
) -> None:
    """Under the keys of a single server, with any characters, and each master has its record."""
    with followed_store(both, DRIVER) as store:
        write(store, window, frame, 1)
        store.apply(DRIVER, highest_versions(frame(*map(window, SPECIAL_IDS))))
        until_followed(store, both, DRIVER)
        keys = RedisKeys.of(both)
        with cluster.client() as client:
            assert client.hget(keys.totals(DRIVER, "{x}"), "trip_count") == "1"
            assert 0 < client.ttl(keys.totals(DRIVER, "d001")) <= both.redis_expiry
            assert client.xlen(keys.live(DRIVER)) > 0
            found = masters(client.nodes_manager)
            records = [client.hgetall(keys.of_master(each.tag).sequence(DRIVER)) for each in found]
        assert records == [{"0": "2", "1": "2"}] * 3
        for node in cluster.nodes:
            assert node.call("DBSIZE") > len(IDS) // 6


def test_a_cluster_of_redis(
    redis_program: Path, tmp_path: Path, both: Settings, window: Build, frame: Build
) -> None:
    """That of the machine's packages: written, emptied in part, and with a slot that moves."""
    with running_cluster(tmp_path / "nodes", program=redis_program) as cluster:
        settings = msgspec.structs.replace(both, redis=cluster.nodes[1].url)
        source, target = cluster.nodes[:2]
        with followed_store(settings, DRIVER) as store:
            write(store, window, frame, 1)
            until_followed(store, settings, DRIVER)
            cluster.move_slot(cluster.slots_of(source)[-1], source, target)
            cluster.nodes[2].call("FLUSHALL")
            write(store, window, frame, 2)
            until_followed(store, settings, DRIVER)


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_master_that_was_emptied(
    cluster: Cluster, both: Settings, window: Build, frame: Build, lost: int
) -> None:
    """It gets what it lacks, without news and with news."""
    with followed_store(both, DRIVER) as store:
        write(store, window, frame, 1)
        until_followed(store, both, DRIVER)
        cluster.nodes[lost].call("FLUSHALL")
        until_followed(store, both, DRIVER)
        cluster.nodes[lost].call("FLUSHALL")
        write(store, window, frame, 2)
        until_followed(store, both, DRIVER)


def test_a_start_on_a_filled_cluster(
    cluster: Cluster, both: Settings, window: Build, frame: Build
) -> None:
    """Only what has changed since is written; data of another Postgres are deleted."""
    with followed_store(both, DRIVER) as store:
        write(store, window, frame, 1)
        until_followed(store, both, DRIVER)
    keys = RedisKeys.of(both)
    unchanged = keys.totals(DRIVER, "d002")
    with cluster.client() as client:
        client.hset(unchanged, "mark", "still here")
        with followed_store(both, DRIVER) as store:
            store.apply(DRIVER, frame(window("d001", at=1)))
            until(lambda: number_in(both), "the number", (2).__eq__)
            assert client.hdel(unchanged, "mark") == 1
            until_followed(store, both, DRIVER)
        client.hset(keys.totals(DRIVER, "of another"), "trip_count", 1)
        for master in masters(client.nodes_manager):
            client.hset(keys.of_master(master.tag).meta, "follows", "another Postgres")
        passenger = BY_NAME["passenger"]
        with followed_store(both, passenger), followed_store(both, DRIVER) as store:
            until_followed(store, both, DRIVER)
            assert not client.exists(keys.totals(DRIVER, "of another"))


def test_slots_move_while_it_is_written(
    cluster: Cluster, both: Settings, window: Build, frame: Build
) -> None:
    """The flow goes on, nothing is lost, and Redis is current again without a restart.

    Among them are the slot with the record of a master, those of ids, and that of the stream.
    """
    source, target = cluster.nodes[:2]
    keys = RedisKeys.of(both)
    with followed_store(both, DRIVER) as store:
        write(store, window, frame, 1)
        until_followed(store, both, DRIVER)
        owned = cluster.slots_of(source)
        of_ids = {slot_of(keys.totals(DRIVER, name)) for name in IDS} & {*owned}
        moved = sorted({*owned[:20], *owned[-5:], *[*of_ids][:40]})
        stream = slot_of(keys.live(DRIVER))
        with load(store, window, frame) as writing:
            for slot in moved:
                cluster.move_slot(slot, source, target)
            if stream in cluster.slots_of(target):
                cluster.move_slot(stream, target, source)
            before = writing.count
            until(lambda: writing.count, "the flow to go on", lambda count: count > before + 5)
        until_followed(store, both, DRIVER)
        assert {*moved} - {stream} <= {*cluster.slots_of(target)}
        for slot in moved:
            if slot != stream:
                cluster.move_slot(slot, target, source)
        write(store, window, frame, 10_000)
        until_followed(store, both, DRIVER)


def test_slots_have_moved_while_no_flow_ran(
    cluster: Cluster, both: Settings, window: Build, frame: Build
) -> None:
    """Their ids are as they were. A master whose record has moved away gets another one."""
    source, target = cluster.nodes[1:]
    with followed_store(both, DRIVER) as store:
        write(store, window, frame, 1)
        until_followed(store, both, DRIVER)
    owned = cluster.slots_of(source)
    for slot, number in ((owned[0], 1), (owned[-1], 0)):
        cluster.move_slot(slot, source, target)
        assert number_in(both) == number
        with followed_store(both, DRIVER) as store:
            until_followed(store, both, DRIVER)
    for slot in (owned[0], owned[-1]):
        cluster.move_slot(slot, target, source)


def test_an_id_that_is_on_its_way(
    cluster: Cluster, both: Settings, window: Build, frame: Build
) -> None:
    """Its slot is being moved, and the key has left: it is written where the server says."""
    source, target = cluster.nodes[:2]
    with followed_store(both, DRIVER) as store:
        write(store, window, frame, 1)
        until_followed(store, both, DRIVER)
        key = RedisKeys.of(both).totals(DRIVER, "d007")
        slot = slot_of(key)
        if slot not in cluster.slots_of(source):
            source, target = target, source
        if slot not in cluster.slots_of(source):
            source = cluster.nodes[2]
        target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", cluster.id_of(source))
        source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", cluster.id_of(target))
        source.call("MIGRATE", "127.0.0.1", target.port, key, 0, 5_000)
        write(store, window, frame, 2)
        until_followed(store, both, DRIVER)
        for node in (target, source):
            node.call("CLUSTER", "SETSLOT", slot, "NODE", cluster.id_of(target))
        write(store, window, frame, 3)
        until_followed(store, both, DRIVER)
        cluster.move_slot(slot, target, source)


def test_an_older_flow_writes_nothing_more(both: Settings, window: Build, frame: Build) -> None:
    """Its connections are closed, with what they have sent, and it gets no others."""
    older = msgspec.structs.replace(both, fence=4)
    servers = follower_servers.FollowerServers(older)
    servers.open()
    key = RedisKeys.of(both).totals(DRIVER, "d001")
    with followed_store(both, DRIVER) as store:
        write(store, window, frame, 1)
        until_followed(store, both, DRIVER)
        owner = servers._server(slot_of(key))
        with pytest.raises(redis.ConnectionError):
            send(owner, "HSET", key, "trip_count", 99)
        with pytest.raises(StoreRefusedError, match="fencing token 5"):
            servers.open()
        until_followed(store, both, DRIVER)
    servers.close()


def test_processes_of_a_flow_leave_each_other_alone(
    both: Settings, window: Build, frame: Build
) -> None:
    """They have one token; each has its own shards."""
    with followed_store(both, DRIVER, [0]) as first, followed_store(both, DRIVER, [1]) as second:
        for count in range(1, 4):
            rows = highest_versions(frame(*(window(name, trip_count=count) for name in IDS)))
            for shard, store in enumerate((first, second)):
                store.apply(DRIVER, rows.filter(shard_of("id", 2) == shard))
        until_followed(second, both, DRIVER)


def test_it_can_not_be_the_only_store(cluster: Cluster, both: Settings) -> None:
    """It is refused by name, at the start, with what to do; also by one of its nodes."""
    alone = msgspec.structs.replace(both, stores=("redis",), redis=cluster.nodes[2].url, fence=None)
    for start in (
        lambda: take_fencing_token(alone, "a test", "main"),
        lambda: connect_redis(alone, "main"),
        lambda: connect_authority(alone, "backfill"),
    ):
        with pytest.raises(StoreRefusedError, match=r"Redis Cluster.*MOBILITY_STORES=redis,postg"):
            start()


def test_a_master_fails(tmp_path: Path, both: Settings, window: Build, frame: Build) -> None:
    """Its replica, which lacks the last moment, takes over: what it lacks is written again.

    Meanwhile the flow goes on, and readers are told that Redis is behind.
    """
    with running_cluster(tmp_path / "nodes", with_replicas=True) as cluster:
        settings = msgspec.structs.replace(both, redis=cluster.url)
        master, replica = cluster.nodes[0], cluster.nodes[3]
        with followed_store(settings, DRIVER) as store:
            write(store, window, frame, 1)
            until_followed(store, settings, DRIVER)
            until(lambda: replica.call("DBSIZE"), "the copy", master.call("DBSIZE").__eq__)
            # From here on the replica gets nothing more: what it has is old.
            master.call("ACL", "SETUSER", "default", "-psync", "-sync")
            master.call("CLIENT", "KILL", "TYPE", "replica")
            with load(store, window, frame) as writing:
                until(lambda: number_in(settings), "what will be lost", lambda n: n > 5)
                master.kill()
                before = writing.count
                until(lambda: writing.count, "the flow to go on", lambda n: n > before + 5)
                until(lambda: replica.call("ROLE")[0], "the failover", "master".__eq__)
            until_followed(store, settings, DRIVER)
            assert redis_totals(settings, DRIVER).height == len(IDS)
            master.start()
            until(lambda: master.call("ROLE")[0], "the old master to follow", "slave".__eq__)
            write(store, window, frame, 10_000)
            until_followed(store, settings, DRIVER)


def test_a_node_is_gone_for_good(
    tmp_path: Path, both: Settings, window: Build, frame: Build
) -> None:
    """Without a replica: Postgres goes on alone, and Redis catches up when the node is back."""
    with running_cluster(tmp_path / "nodes") as cluster:
        settings = msgspec.structs.replace(both, redis=cluster.url)
        with followed_store(settings, DRIVER) as store:
            write(store, window, frame, 1)
            until_followed(store, settings, DRIVER)
            cluster.nodes[0].kill()
            for count in range(2, 6):
                write(store, window, frame, count)
            assert store.sequence_number(DRIVER).number == 5
            cluster.nodes[0].start()
            cluster.wait()
            until_followed(store, settings, DRIVER)


def test_a_late_request_of_an_earlier_connection(cluster: Cluster, both: Settings) -> None:
    """What was sent over a connection that was given up is not executed after the next opens."""
    with cluster.client() as client:
        master = masters(client.nodes_manager)[0]
        key = RedisKeys.of(both).of_master(master.tag).totals(DRIVER, "d1")
        earlier = FollowerConnection(both, master, "holder")
        earlier.open()
        later = FollowerConnection(both, master, "holder")
        later.open()
        later.write(command("SET", key, "new"))
        with pytest.raises(redis.ConnectionError):
            send(earlier, "SET", key, "old")
        assert client.get(key) == "new"
        earlier.close()
        later.close()
