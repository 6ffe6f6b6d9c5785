"""Redis is filled again from Postgres, exactly, while windows go on arriving."""

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
from sinks.history import History, open_history
from sinks.redis import RedisStore, connect_redis
from sinks.refiller import Refiller
from sinks.store import Store
from sinks.store_pair import connect_stores
from sinks.store_sink import StoreSink
from sinks.versions import coalesced

pytestmark = pytest.mark.services

DRIVER = BY_NAME["driver"]
IDS = [f"d{number:02}" for number in range(40)]
TWO_DAYS = 48 * 12

Build = Any


class Hand:
    """A clock that is moved by hand."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time that was set."""
        return self.now


@pytest.fixture
def whole(settings: Settings) -> Settings:
    """Return settings with both stores and one shard."""
    return msgspec.structs.replace(settings, shards=1)


@pytest.fixture
def both(whole: Settings, window: Build, frame: Build) -> Iterator[Store]:
    """Return both stores as one, filled with windows of forty ids, and how far they have got."""
    store = connect_stores(whole, "main")
    store.apply(DRIVER, coalesced(frame(*(window(name, at=at) for name in IDS for at in (0, 1)))))
    store.record_progress(DRIVER, 0, 1, 5_000)
    yield store
    store.close()


@pytest.fixture
def fast(whole: Settings) -> Iterator[RedisStore]:
    """Return what Redis holds."""
    store = connect_redis(whole, "main")
    yield store
    store.close()


@pytest.fixture
def hand() -> Hand:
    """Return the refiller's clock."""
    return Hand()


@pytest.fixture
def refiller(whole: Settings, both: Store, hand: Hand) -> Iterator[Refiller]:
    """Return a refiller that has looked once and found nothing missing."""
    refiller = Refiller(whole, DRIVER, "main", hand)
    assert both.progress(DRIVER)
    assert refiller.look() == 0
    yield refiller
    refiller.close()


def lose(client: redis.Redis, settings: Settings, pattern: str = "*") -> None:
    """Delete the keys of this test, as FLUSHALL would those of all."""
    for key in client.scan_iter(f"{settings.redis_prefix}{pattern}"):
        client.delete(key)


def assert_equal(fast: Store, both: Store) -> None:
    """Check that Redis holds what Postgres does."""
    assert_frame_equal(fast.totals(DRIVER), both.totals(DRIVER))
    assert_frame_equal(fast.windows(DRIVER), both.windows(DRIVER))
    assert fast.progress(DRIVER) == both.progress(DRIVER)


def test_an_emptied_redis_is_whole_again_at_once(
    whole: Settings, client: redis.Redis, both: Store, fast: RedisStore, refiller: Refiller
) -> None:
    """The first look after everything was lost brings back ids, ledgers, index and progress."""
    before = both.totals(DRIVER)
    lose(client, whole)
    assert refiller.look() == len(IDS)
    assert_equal(fast, both)
    assert_frame_equal(fast.totals(DRIVER), before)
    keys = RedisKeys.of(whole)
    assert client.zrange(keys.index(DRIVER), 0, -1) == IDS
    assert client.zcard(keys.seen(DRIVER)) == len(IDS)
    assert client.hget(keys.meta, "fingerprint") == whole.fingerprint
    assert client.hget(keys.meta, "writer") == "main"
    assert refiller.look() == 0


def test_what_is_on_its_way_is_not_lost(
    whole: Settings, client: redis.Redis, fast: RedisStore, refiller: Refiller, hand: Hand
) -> None:
    """Between a commit in Postgres and the call to Redis its ids are missing, but not for long."""
    ids = client.zrange(RedisKeys.of(whole).index(DRIVER), 0, -1)
    scores = dict.fromkeys(map(str, ids), 0.0)
    client.delete(RedisKeys.of(whole).index(DRIVER))
    hand.now += 60
    arrival = threading.Timer(0.2, client.zadd, (RedisKeys.of(whole).index(DRIVER), scores))
    arrival.start()
    assert refiller.look() == 0
    arrival.join()
    assert fast.totals(DRIVER)["id"].to_list() == IDS


@pytest.mark.parametrize("pattern", ["driver:d[02]*", "ledger:driver:d[13]*", "index:*", "seen:*"])
def test_keys_that_were_evicted_are_found_by_the_sweep(
    whole: Settings,
    client: redis.Redis,
    both: Store,
    fast: RedisStore,
    refiller: Refiller,
    hand: Hand,
    pattern: str,
) -> None:
    """Half of the hashes of one kind, or an index, come back when it is time to look for each."""
    lose(client, whole, pattern)
    assert refiller.look() == 0
    hand.now += 60
    assert refiller.look() in {len(IDS), len(IDS) // 2}
    assert_equal(fast, both)


def test_only_recent_ids_come_back_for_what_is_left_of_their_time(
    whole: Settings, client: redis.Redis, both: Store, fast: RedisStore, refiller: Refiller
) -> None:
    """What Redis would have forgotten stays forgotten, the rest leaves when it would have left."""
    with psycopg.connect(whole.postgres) as connection:
        for place, hours in ((IDS[0], 25), (IDS[1], 20)):
            connection.execute(
                "UPDATE driver_totals SET updated_at = now() - %s * interval '1 hour' "
                "WHERE id = %s",
                (hours, place),
            )
    lose(client, whole)
    assert refiller.look() == len(IDS) - 1
    keys = RedisKeys.of(whole)
    assert fast.totals(DRIVER)["id"].to_list() == IDS[1:]
    for key in (keys.totals(DRIVER, IDS[1]), keys.ledger(DRIVER, IDS[1])):
        assert 4 * 3_600 - 300 < client.ttl(key) <= 4 * 3_600
    assert client.ttl(keys.totals(DRIVER, IDS[2])) > 86_400 - 300
    assert both.totals(DRIVER).height == len(IDS)


def test_an_id_that_redis_forgot_a_minute_early_is_not_lost(
    whole: Settings, client: redis.Redis, both: Store, refiller: Refiller, hand: Hand
) -> None:
    """News of the same minute renew nothing in Redis, which so forgets up to a minute early."""
    with psycopg.connect(whole.postgres) as connection:
        for name, seconds in ((IDS[0], 86_341), (IDS[1], 86_300)):
            connection.execute(
                "UPDATE driver_totals SET updated_at = now() - %s * interval '1 second' "
                "WHERE id = %s",
                (seconds, name),
            )
    keys = RedisKeys.of(whole)
    for name in IDS[:2]:
        client.delete(keys.totals(DRIVER, name), keys.ledger(DRIVER, name))
    hand.now += 60
    assert refiller.look() == 1
    assert client.exists(keys.totals(DRIVER, IDS[0]), keys.totals(DRIVER, IDS[1])) == 1
    assert both.totals(DRIVER).height == len(IDS)


def test_windows_arrive_while_it_is_filled(
    whole: Settings,
    client: redis.Redis,
    both: Store,
    fast: RedisStore,
    refiller: Refiller,
    window: Build,
) -> None:
    """However losses, fillings and windows fall together, Redis ends with what Postgres holds."""
    over = threading.Event()

    def keep_losing() -> None:
        while not over.is_set():
            lose(client, whole, "driver:d0*")
            lose(client, whole, "ledger:driver:d[12]*")
            lose(client, whole, "meta")

    def keep_filling() -> None:
        while not over.is_set():
            refiller.look()

    with ThreadPoolExecutor(2) as pool:
        working = [pool.submit(keep_losing), pool.submit(keep_filling)]
        try:
            for count in range(2, 42):
                rows = [window(name, at=at, trip_count=count) for name in IDS for at in (0, count)]
                both.apply(DRIVER, coalesced(pl.DataFrame(rows, schema=WINDOW_SCHEMA)))
        finally:
            over.set()
        for work in working:
            work.result()
    lose(client, whole, "meta")
    refiller.look()
    assert_equal(fast, both)


def test_nobody_reconciles_an_id_that_is_being_filled(
    whole: Settings, both: Store, window: Build, frame: Build
) -> None:
    """A window that is not in the history is committed after the filling, and so given after it."""
    history = open_history(whole)
    with ThreadPoolExecutor(1) as pool, psycopg.connect(whole.postgres) as watcher:

        def use(known: History) -> int:
            writing = pool.submit(both.apply, DRIVER, frame(window(IDS[0], at=2)))
            while not watcher.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall():
                assert not writing.done()
            return known.windows.height

        assert history.hold(DRIVER, IDS[:2], use) == 4
    assert both.totals(DRIVER)["trip_count"].to_list()[:2] == [3, 2]
    history.close()


def test_progress_comes_back_for_every_shard(
    settings: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """After one shard has spoken to an emptied Redis, the others are brought back as well."""
    settings = msgspec.structs.replace(settings, shards=3)
    both, fast = connect_stores(settings, "main"), connect_redis(settings, "main")
    for shard in range(3):
        both.record_progress(DRIVER, shard, 3, 1_000 + shard)
    both.apply(DRIVER, frame(window()))
    lose(client, settings)
    both.record_progress(DRIVER, 1, 3, 9_000)
    refiller = Refiller(settings, DRIVER, "main")
    refiller.look()
    assert fast.progress(DRIVER) == {0: 1_000, 1: 9_000, 2: 1_002}
    for store in (refiller, both, fast):
        store.close()


def test_a_window_from_before_the_ledger_fills_its_id_again(
    whole: Settings, both: Store, fast: RedisStore, window: Build, frame: Build
) -> None:
    """With Postgres behind it Redis refuses nothing, and its totals hold windows of any age."""
    both.apply(DRIVER, frame(window(IDS[0], at=TWO_DAYS * 2)))
    late = frame(window(IDS[0], at=0, trip_count=5), window(IDS[0], at=1, generation=1))
    assert both.apply(DRIVER, late).refused == 0
    assert_frame_equal(fast.totals(DRIVER), both.totals(DRIVER))
    assert fast.totals(DRIVER)["trip_count"].to_list()[0] == 7
    assert whole.redis_ledger_hours == 48


def test_ids_can_be_filled_again_by_name(
    both: Store, fast: RedisStore, client: redis.Redis, whole: Settings
) -> None:
    """Whatever Redis holds of an id is replaced by what Postgres does, an unknown id by nothing."""
    keys = RedisKeys.of(whole)
    client.hset(keys.totals(DRIVER, IDS[3]), "trip_count", "77")
    lose(client, whole, "*:d04")
    fast.refill(DRIVER, [*IDS[:5], "nobody"])
    assert_equal(fast, both)
    assert client.exists(keys.totals(DRIVER, "nobody")) == 0


def test_the_first_partition_looks_after_redis(
    whole: Settings, client: redis.Redis, both: Store, fast: RedisStore, window: Build, frame: Build
) -> None:
    """A sink's partition finds and fills what was lost, by itself, until it is closed."""
    partition = StoreSink(whole, DRIVER, "main").build_part("step", "0", None)
    partition.write_batch([WindowUpdate(DRIVER, 0, 1, 6_000, frame(window("news")))])
    lose(client, whole)
    waiting = threading.Event()
    while fast.totals(DRIVER).height < len(IDS) + 1 or not fast.progress(DRIVER):
        waiting.wait(0.1)
    assert_equal(fast, both)
    partition.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "refill driver"]
