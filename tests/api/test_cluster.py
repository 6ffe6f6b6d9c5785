"""The API over a Redis Cluster, which follows Postgres: totals of ids, status and live events."""

import asyncio
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from api.errors import StoreUnavailableError
from api.live.change_stream import ChangeStream
from api.live.stream_entry import STREAM_START
from api.queries.redis_client import RedisServer
from api.queries.redis_follower import RedisFollower
from mobility.entities import BY_NAME, ENTITIES
from mobility.keys import RedisKeys
from mobility.records import WINDOW_SCHEMA
from mobility.settings import Settings
from redis_cluster.slots import slot_of
from sinks.status_writers import RedisStatusWriter
from tests.redis_servers import Cluster, running_cluster
from tests.sinks.following import followed_store, until_followed
from tests.waiting import DEADLINE, until

pytestmark = pytest.mark.services

DRIVER = BY_NAME["driver"]
IDS = [f"d{number:02}" for number in range(60)]
START = 1_735_689_600_000


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Return a cluster of three masters."""
    with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def both(settings: Settings, cluster: Cluster) -> Settings:
    """Return settings with Postgres and the cluster."""
    cluster.empty()
    return msgspec.structs.replace(settings, redis=cluster.url, shards=2, fence=5)


def windows(count: int) -> pl.DataFrame:
    """Return a window of each id."""
    row: dict[str, Any] = {
        "window_start": START,
        "trip_count": count,
        "total_duration": 12_500_000,
        "total_distance": 3_250_000,
        "total_revenue": 9_990_000,
        "start_time": START + 5_000,
        "last_start_time": START + 65_000,
        "distance_count": count,
        "revenue_count": count,
        "pane": "early",
        "generation": 0,
    }
    return pl.DataFrame([{"id": name, **row} for name in IDS], schema=WINDOW_SCHEMA)


def test_ids_and_how_far_they_are(cluster: Cluster, both: Settings) -> None:
    """From all masters, also after slots have moved, which the reader was not told."""

    async def read() -> None:
        follower = RedisFollower(both)
        with followed_store(both, DRIVER) as store:
            for count in (1, 2, 3):
                store.apply(DRIVER, windows(count))
                store.record_progress(DRIVER, 0, 2, START + count)
                store.record_progress(DRIVER, 1, 2, START + count)
                number = store.sequence_number(DRIVER).number
                await asyncio.to_thread(until_followed, store, both, DRIVER)
                async with asyncio.timeout(DEADLINE):
                    while (await follower.positions())["driver"].number != number:  # noqa: ASYNC110 - it is asked
                        await asyncio.sleep(0.05)
                found = await follower.batch(DRIVER, [*IDS, "unknown"])
                assert found.position.number == number
                assert {**found.value.totals}.keys() == {*IDS}
                assert {each.sums["trip_count"] for each in found.value.totals.values()} == {count}
                one = await follower.totals(DRIVER, "d07")
                assert one is not None
                assert one.value.sums["trip_count"] == count
                watermark = (await follower.watermarks())["driver"]
                assert watermark is not None
                assert round(watermark.timestamp() * 1_000) == START + count
                slots = cluster.slots_of(cluster.nodes[count - 1])
                source, target = cluster.nodes[count - 1], cluster.nodes[count % 3]
                for slot in (slots[0], slots[-1], slot_of(RedisKeys.of(both).meta)):
                    if slot in slots:
                        cluster.move_slot(slot, source, target)
        await follower.close()

    asyncio.run(read())


def test_a_master_that_lacks_something_is_not_believed(cluster: Cluster, both: Settings) -> None:
    """The position is that of the master that has least."""

    async def read() -> None:
        follower = RedisFollower(both)
        with followed_store(both, DRIVER) as store:
            store.apply(DRIVER, windows(1))
            await asyncio.to_thread(until_followed, store, both, DRIVER)
        assert (await follower.positions())["driver"].number == 1
        cluster.nodes[1].call("FLUSHALL")
        assert (await follower.batch(DRIVER, IDS)).position.number == 0
        await follower.close()

    asyncio.run(read())


@pytest.mark.usefixtures("cluster")
def test_status_records(both: Settings) -> None:
    """Of several processes, which are on several masters."""
    writer = RedisStatusWriter(both)
    for number in range(8):
        writer.put(f"process {number}", b"{}")
    writer.close()

    async def read() -> list[str]:
        follower = RedisFollower(both)
        found = [record.process for record in await follower.statuses()]
        await follower.close()
        return found

    assert asyncio.run(read()) == [f"process {number}" for number in range(8)]


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.name)
def test_the_stream_of_changes(cluster: Cluster, both: Settings, entity: Any) -> None:  # noqa: ANN401
    """Its bounds, what is there, and what comes."""
    key = RedisKeys.of(both).live(entity)

    async def read() -> None:
        server = RedisServer(both.redis, 4, 4, decode_responses=False)
        stream = ChangeStream(server, key, entity, 300_000)
        with cluster.client() as client:
            client.xadd(key, {"w": "[]"})
            oldest, newest = await stream.bounds()
            assert oldest == newest > STREAM_START
            assert [each.id for each in await stream.read_after(STREAM_START)] == [newest]
            waiting = asyncio.create_task(stream.wait_after(newest))
            client.xadd(key, {"gap": "1"})
            assert [each.is_gap for each in await waiting] == [True]
        await server.close()

    asyncio.run(read())


@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_a_master_fails(settings: Settings, tmp_path: Path, fault: str) -> None:
    """The API finds the replica that has taken over, also if nobody tells it."""

    async def read(cluster: Cluster, both: Settings) -> None:
        follower = RedisFollower(both)
        await follower.batch(DRIVER, IDS)
        master, replica = cluster.nodes[0], cluster.nodes[3]
        with master.frozen() if fault == "frozen" else nullcontext():
            if fault == "killed":
                await asyncio.to_thread(master.kill)
            await asyncio.to_thread(
                until, lambda: replica.call("ROLE")[0], "the failover", "master".__eq__
            )
            async with asyncio.timeout(DEADLINE):
                found = None
                while found is None:
                    with suppress(StoreUnavailableError):
                        found = await follower.batch(DRIVER, IDS)
            assert found.value.totals.keys() == {*IDS}
        await follower.close()

    with running_cluster(tmp_path / "nodes", with_replicas=True) as cluster:
        both = msgspec.structs.replace(settings, redis=cluster.url, shards=2, fence=5)
        with followed_store(both, DRIVER) as store:
            store.apply(DRIVER, windows(1))
            until_followed(store, both, DRIVER)
        for master, replica in zip(cluster.nodes[:3], cluster.nodes[3:], strict=True):
            until(partial(replica.call, "DBSIZE"), "the copy", master.call("DBSIZE").__eq__)
        asyncio.run(read(cluster, both))
