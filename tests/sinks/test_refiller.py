"""Redis is refilled from Postgres, exactly, while windows arrive."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import polars as pl
import psycopg
import pytest
import redis
from polars.testing import assert_frame_equal

from mobility.entities import BY_NAME
from mobility.keys import RedisKeys
from mobility.records import WINDOW_SCHEMA, WindowUpdate
from mobility.settings import Settings
from mobility.totals import highest_versions
from sinks.redis import RedisStore, connect_redis
from sinks.refiller import Refiller
from sinks.store import WindowStore
from sinks.store_pair import connect_stores
from sinks.store_sink import StoreSink
from tests.waiting import until

pytestmark = pytest.mark.services

DRIVER = BY_NAME["driver"]
IDS = [f"d{number:02}" for number in range(40)]

Build = Any


class ManualClock:
    """A clock that the test moves."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time that was set."""
        return self.now


@pytest.fixture
def one_shard(settings: Settings) -> Settings:
    """Return settings with both stores and one shard."""
    return msgspec.structs.replace(settings, shards=1)


@pytest.fixture
def both(one_shard: Settings, window: Build, frame: Build) -> Iterator[WindowStore]:
    """Return both stores as one, with windows of forty ids and a watermark."""
    store = connect_stores(one_shard, "main")
    store.apply(
        DRIVER, highest_versions(frame(*(window(name, at=at) for name in IDS for at in (0, 1))))
    )
    store.record_progress(DRIVER, 0, 1, 5_000)
    yield store
    store.close()


@pytest.fixture
def redis_store(one_shard: Settings) -> Iterator[RedisStore]:
    """Return the Redis store."""
    store = connect_redis(one_shard, "main")
    yield store
    store.close()


@pytest.fixture
def clock() -> ManualClock:
    """Return the clock of the refiller."""
    return ManualClock()


@pytest.fixture
def refiller(one_shard: Settings, both: WindowStore, clock: ManualClock) -> Iterator[Refiller]:
    """Return a refiller that has checked once and found nothing missing."""
    refiller = Refiller(one_shard, DRIVER, "main", clock)
    assert both.progress(DRIVER)
    assert refiller.check() == 0
    yield refiller
    refiller.close()


def delete_keys(client: redis.Redis, settings: Settings, pattern: str = "*") -> None:
    """Delete keys of this test by a pattern; the default is like FLUSHALL."""
    for key in client.scan_iter(f"{settings.redis_prefix}{pattern}"):
        client.delete(key)


def assert_equal(redis_store: WindowStore, both: WindowStore) -> None:
    """Assert that Redis has the totals, windows and progress of Postgres."""
    assert_frame_equal(redis_store.totals(DRIVER), both.totals(DRIVER))
    assert_frame_equal(redis_store.windows(DRIVER), both.windows(DRIVER))
    assert redis_store.progress(DRIVER) == both.progress(DRIVER)


def test_an_emptied_redis_is_refilled_by_the_next_check(
    one_shard: Settings,
    client: redis.Redis,
    both: WindowStore,
    redis_store: RedisStore,
    refiller: Refiller,
) -> None:
    """Ids, ledgers, index, progress and fingerprint are written again."""
    before = both.totals(DRIVER)
    delete_keys(client, one_shard)
    assert refiller.check() == len(IDS)
    assert_equal(redis_store, both)
    assert_frame_equal(redis_store.totals(DRIVER), before)
    keys = RedisKeys.of(one_shard)
    assert client.zrange(keys.index(DRIVER), 0, -1) == IDS
    assert client.zcard(keys.seen(DRIVER)) == len(IDS)
    assert client.hget(keys.meta, "fingerprint") == one_shard.fingerprint
    assert client.hget(keys.meta, "writer") == "main"
    assert refiller.check() == 0


def test_an_id_that_is_about_to_arrive_is_not_lost(
    one_shard: Settings,
    client: redis.Redis,
    redis_store: RedisStore,
    refiller: Refiller,
    clock: ManualClock,
) -> None:
    """Between the commit in Postgres and the call to Redis new ids are missing for a moment."""
    ids = client.zrange(RedisKeys.of(one_shard).index(DRIVER), 0, -1)
    scores = dict.fromkeys(map(str, ids), 0.0)
    client.delete(RedisKeys.of(one_shard).index(DRIVER))
    clock.now += 60
    arrival = threading.Timer(0.2, client.zadd, (RedisKeys.of(one_shard).index(DRIVER), scores))
    arrival.start()
    assert refiller.check() == 0
    arrival.join()
    assert redis_store.totals(DRIVER)["id"].to_list() == IDS


@pytest.mark.parametrize(
    ("pattern", "lost"),
    [("driver:d[02]*", 20), ("ledger:driver:d[13]*", 20), ("index:*", 40), ("seen:*", 40)],
)
def test_a_sweep_finds_evicted_keys(
    one_shard: Settings,
    client: redis.Redis,
    both: WindowStore,
    redis_store: RedisStore,
    refiller: Refiller,
    clock: ManualClock,
    pattern: str,
    lost: int,
) -> None:
    """Half of the hashes of one kind, or an index, are written again by the next sweep."""
    delete_keys(client, one_shard, pattern)
    assert refiller.check() == 0
    clock.now += 60
    assert refiller.check() == lost
    assert_equal(redis_store, both)


def test_only_recent_ids_are_refilled_and_expire_when_they_would_have(
    one_shard: Settings,
    client: redis.Redis,
    both: WindowStore,
    redis_store: RedisStore,
    refiller: Refiller,
) -> None:
    """An id that would have expired is not refilled; others keep the rest of their time to live."""
    with psycopg.connect(one_shard.postgres) as connection:
        for name, hours in ((IDS[0], 25), (IDS[1], 20)):
            connection.execute(
                "UPDATE driver_totals SET updated_at = now() - %s * interval '1 hour' "
                "WHERE id = %s",
                (hours, name),
            )
    delete_keys(client, one_shard)
    assert refiller.check() == len(IDS) - 1
    keys = RedisKeys.of(one_shard)
    assert redis_store.totals(DRIVER)["id"].to_list() == IDS[1:]
    for key in (keys.totals(DRIVER, IDS[1]), keys.ledger(DRIVER, IDS[1])):
        assert 4 * 3_600 - 300 < client.ttl(key) <= 4 * 3_600
    assert client.ttl(keys.totals(DRIVER, IDS[2])) > 86_400 - 300
    assert both.totals(DRIVER).height == len(IDS)


def test_an_id_that_expired_a_minute_early_is_not_lost(
    one_shard: Settings,
    client: redis.Redis,
    both: WindowStore,
    refiller: Refiller,
    clock: ManualClock,
) -> None:
    """Changes within a minute keep the expiry, so ids expire up to a minute early in Redis."""
    with psycopg.connect(one_shard.postgres) as connection:
        for name, seconds in ((IDS[0], 86_341), (IDS[1], 86_300)):
            connection.execute(
                "UPDATE driver_totals SET updated_at = now() - %s * interval '1 second' "
                "WHERE id = %s",
                (seconds, name),
            )
    keys = RedisKeys.of(one_shard)
    for name in IDS[:2]:
        client.delete(keys.totals(DRIVER, name), keys.ledger(DRIVER, name))
    clock.now += 60
    assert refiller.check() == 1
    assert client.exists(keys.totals(DRIVER, IDS[0]), keys.totals(DRIVER, IDS[1])) == 1
    assert both.totals(DRIVER).height == len(IDS)


def test_windows_arrive_while_it_is_refilled(
    one_shard: Settings,
    client: redis.Redis,
    both: WindowStore,
    redis_store: RedisStore,
    refiller: Refiller,
    window: Build,
) -> None:
    """However losses, refills and windows interleave, Redis ends with the data of Postgres."""
    is_done = threading.Event()

    def keep_deleting() -> None:
        while not is_done.is_set():
            delete_keys(client, one_shard, "driver:d0*")
            delete_keys(client, one_shard, "ledger:driver:d[12]*")
            delete_keys(client, one_shard, "meta")

    def keep_checking() -> None:
        while not is_done.is_set():
            refiller.check()

    with ThreadPoolExecutor(2) as pool:
        working = [pool.submit(keep_deleting), pool.submit(keep_checking)]
        try:
            for count in range(2, 42):
                rows = [window(name, at=at, trip_count=count) for name in IDS for at in (0, count)]
                both.apply(DRIVER, highest_versions(pl.DataFrame(rows, schema=WINDOW_SCHEMA)))
        finally:
            is_done.set()
        for work in working:
            work.result()
    delete_keys(client, one_shard, "meta")
    refiller.check()
    assert_equal(redis_store, both)


def test_progress_of_every_shard_is_refilled(
    settings: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """After one shard has recorded its progress in an emptied Redis, the others are refilled."""
    settings = msgspec.structs.replace(settings, shards=3)
    both, redis_store = connect_stores(settings, "main"), connect_redis(settings, "main")
    for shard in range(3):
        both.record_progress(DRIVER, shard, 3, 1_000 + shard)
    both.apply(DRIVER, frame(window()))
    delete_keys(client, settings)
    both.record_progress(DRIVER, 1, 3, 9_000)
    refiller = Refiller(settings, DRIVER, "main")
    refiller.check()
    assert redis_store.progress(DRIVER) == {0: 1_000, 1: 9_000, 2: 1_002}
    for store in (refiller, both, redis_store):
        store.close()


def test_refill_replaces_ids(
    both: WindowStore, redis_store: RedisStore, client: redis.Redis, one_shard: Settings
) -> None:
    """What Redis has of an id is replaced by the data of Postgres; an unknown id is not added."""
    keys = RedisKeys.of(one_shard)
    client.hset(keys.totals(DRIVER, IDS[3]), "trip_count", "77")
    delete_keys(client, one_shard, "*:d04")
    redis_store.refill(DRIVER, [*IDS[:5], "nobody"])
    assert_equal(redis_store, both)
    assert client.exists(keys.totals(DRIVER, "nobody")) == 0


def test_the_first_partition_runs_the_refiller(
    one_shard: Settings,
    client: redis.Redis,
    both: WindowStore,
    redis_store: RedisStore,
    window: Build,
    frame: Build,
) -> None:
    """It refills what Redis has lost until the partition is closed."""
    partition = StoreSink(one_shard, DRIVER, "main").build_part("step", "0", None)
    partition.write_batch([WindowUpdate(DRIVER, 0, 1, 6_000, frame(window("new")))])
    delete_keys(client, one_shard)
    until(lambda: redis_store.totals(DRIVER).height == len(IDS) + 1, "the ids in Redis")
    until(lambda: redis_store.progress(DRIVER) == {0: 6_000}, "the progress in Redis")
    assert_equal(redis_store, both)
    partition.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "refill driver"]
