"""Of two clusters on the same stores only the one that was started last may write."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import psycopg
import pytest
import redis

from mobility.entities import BY_NAME
from mobility.keys import RedisKeys
from mobility.settings import Settings
from mobility.settings import Store as StoreName
from sinks import take_fence
from sinks.postgres import connect_postgres
from sinks.redis import connect_redis
from sinks.store import Store, StoreError, Writer

pytestmark = pytest.mark.services

DRIVER = BY_NAME["driver"]
Build = Any
Connect = Callable[[Settings, Writer], Store]


@pytest.fixture(params=["redis", "postgres"])
def name(request: pytest.FixtureRequest) -> StoreName:
    """Return the name of each store."""
    kind: StoreName = request.param
    return kind


@pytest.fixture
def one(name: StoreName, settings: Settings) -> Settings:
    """Return settings with that store alone."""
    return msgspec.structs.replace(settings, stores=(name,))


@pytest.fixture
def connect(name: StoreName) -> Connect:
    """Return what connects to that store."""
    return connect_redis if name == "redis" else connect_postgres


def started(settings: Settings, holder: str = "pid 7 on here") -> Settings:
    """Return the settings of the processes of a cluster that starts now."""
    return msgspec.structs.replace(settings, fence=take_fence(settings, holder))


def test_a_token_is_higher_than_all_before(settings: Settings, client: redis.Redis) -> None:
    """Each start gets a number above both stores and not below the time, and both hold it."""
    now = time.time_ns() // 1_000_000
    first = take_fence(settings, "one")
    assert first >= now
    client.hset(RedisKeys.of(settings).meta, "fence", first + 10**9)
    second = take_fence(settings, "two")
    assert second == first + 10**9 + 1
    only = msgspec.structs.replace(settings, stores=("postgres",))
    assert take_fence(only, "three") == second + 1
    assert take_fence(settings, "four\nand more") == second + 2
    held = client.hmget(RedisKeys.of(settings).meta, "fence", "fence_holder")
    assert held == [str(second + 2), "four and more"]
    with psycopg.connect(settings.postgres) as connection:
        rows = connection.execute("SELECT token, holder FROM fence").fetchall()
    assert rows == [(second + 2, "four and more")]


def test_an_emptied_redis_does_not_bring_it_down(one: Settings, client: redis.Redis) -> None:
    """The number is based on the time, so what is forgotten can't be given out again."""
    first = take_fence(one, "one")
    client.delete(RedisKeys.of(one).meta)
    assert take_fence(one, "two") > first


def test_starts_at_once_get_tokens_of_their_own(settings: Settings) -> None:
    """Ten starts in the same moment end with ten numbers."""
    with ThreadPoolExecutor(10) as pool:
        tokens = list(pool.map(lambda n: take_fence(settings, f"start {n}"), range(10)))
    assert len(set(tokens)) == 10


def test_without_stores_nobody_is_refused() -> None:
    """A cluster without stores gets a number all the same."""
    assert take_fence(Settings(), "one") > 0


def test_the_older_cluster_is_refused(
    one: Settings, connect: Connect, window: Build, frame: Build
) -> None:
    """Whatever it does next, it is told who has replaced it and what to do; the other goes on."""
    older = connect(started(one), "main")
    older.apply(DRIVER, frame(window()))
    newer = connect(started(one, "pid 8 on there, folder /r"), "main")
    refused: tuple[Callable[[], object], ...] = (
        lambda: older.apply(DRIVER, frame(window(at=1))),
        lambda: older.record_progress(DRIVER, 0, 1, 5_000),
    )
    for call in refused:
        with pytest.raises(StoreError, match="taken by pid 8 on there, folder /r") as refusal:
            call()
        assert "stop that one and start this one again" in str(refusal.value)
    newer.apply(DRIVER, frame(window(at=2)))
    assert newer.progress(DRIVER) == {}
    assert newer.totals(DRIVER)["trip_count"].to_list() == [2]
    for store in (older, newer):
        store.close()


def test_the_processes_of_a_cluster_share_a_token(
    one: Settings, connect: Connect, window: Build, frame: Build
) -> None:
    """A token belongs to the cluster: all its partitions write, also those that come later."""
    cluster = started(one)
    stores = [connect(cluster, "main") for _ in range(3)]
    for at, store in enumerate(stores):
        store.apply(DRIVER, frame(window(at=at)))
    assert stores[0].totals(DRIVER)["trip_count"].to_list() == [3]
    for store in stores:
        store.close()


def test_an_older_start_is_refused_at_once(one: Settings, connect: Connect) -> None:
    """A process that comes up after its cluster was replaced gets no connection."""
    cluster = started(one)
    take_fence(one, "the next")
    with pytest.raises(StoreError, match="taken by the next"):
        connect(cluster, "main")


def test_an_emptied_redis_takes_the_token_again(
    alone: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """After FLUSHALL the present cluster's next call fences the older one off again."""
    older = connect_redis(started(alone), "main")
    newer = connect_redis(started(alone), "main")
    client.delete(RedisKeys.of(alone).meta)
    newer.apply(DRIVER, frame(window()))
    with pytest.raises(StoreError, match=r"taken by process \d+ on "):
        older.apply(DRIVER, frame(window(at=1)))
    for store in (older, newer):
        store.close()


def test_no_older_transaction_commits_after_a_newer_token(
    settings: Settings, window: Build, frame: Build
) -> None:
    """A token is not there before every transaction that was checked against the last has ended."""
    one = msgspec.structs.replace(settings, stores=("postgres",))
    older = connect_postgres(started(one), "main")
    older.apply(DRIVER, frame(window()))
    held = threading.Event()
    with psycopg.connect(one.postgres) as blocker, ThreadPoolExecutor(2) as pool:
        blocker.execute("LOCK TABLE driver_ledger")
        writing = pool.submit(older.apply, DRIVER, frame(window(at=1)))
        while not blocker.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall():
            held.wait(0.01)
        taking = pool.submit(take_fence, one, "next")
        while len(blocker.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall()) < 2:
            held.wait(0.01)
        assert not taking.done()
        blocker.rollback()
        assert writing.result().applied == 1
        assert taking.result() > 0
    with pytest.raises(StoreError, match="taken by next"):
        older.apply(DRIVER, frame(window(at=2)))
    older.close()


def test_a_start_that_is_refused_fences_nobody(
    one: Settings, connect: Connect, window: Build, frame: Build
) -> None:
    """The other flow's start and one with other settings end without touching who writes."""
    main = connect(started(one), "main")
    with pytest.raises(StoreError, match="by the flow `main`"):
        take_fence(one, "serving", "serving")
    with pytest.raises(StoreError, match="MOBILITY_WINDOW=60"):
        take_fence(msgspec.structs.replace(one, window=60), "other", "main")
    main.apply(DRIVER, frame(window()))
    main.close()


def test_a_backfill_goes_beside_a_flow(
    one: Settings, connect: Connect, window: Build, frame: Build
) -> None:
    """It is fenced by nobody, refused by no flow and refuses none; a second one waits its turn."""
    main = connect(started(one), "main")
    backfill = connect(msgspec.structs.replace(one, fence=1), "backfill")
    main.apply(DRIVER, frame(window(), window(at=1)))
    backfill.apply(DRIVER, frame(window(trip_count=0, generation=1, total_duration=0)))
    main.apply(DRIVER, frame(window(at=2), window(trip_count=9)))
    assert backfill.totals(DRIVER)["trip_count"].to_list() == [2]
    with pytest.raises(StoreError, match="being backfilled already"):
        connect(one, "backfill")
    backfill.close()
    connect(one, "backfill").close()
    main.close()
