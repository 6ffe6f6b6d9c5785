"""Of two clusters on the same stores only the one that started last may write."""

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
from sinks import is_fenced, take_fencing_token
from sinks.postgres import connect_postgres
from sinks.redis import connect_redis
from sinks.store import StoreError, WindowStore, WriterRole
from tests.waiting import until

pytestmark = pytest.mark.services

DRIVER = BY_NAME["driver"]
Build = Any
Connect = Callable[[Settings, WriterRole], WindowStore]


@pytest.fixture(params=["redis", "postgres"])
def name(request: pytest.FixtureRequest) -> StoreName:
    """Return the name of each store."""
    kind: StoreName = request.param
    return kind


@pytest.fixture
def one_store(name: StoreName, settings: Settings) -> Settings:
    """Return settings with only that store."""
    return msgspec.structs.replace(settings, stores=(name,))


@pytest.fixture
def connect(name: StoreName) -> Connect:
    """Return what connects to that store."""
    return connect_redis if name == "redis" else connect_postgres


def started(settings: Settings, holder: str = "pid 7 on here") -> Settings:
    """Return the settings of the processes of a cluster that starts now, with its token."""
    return msgspec.structs.replace(settings, fence=take_fencing_token(settings, holder))


def test_a_token_is_higher_than_all_earlier_ones(
    one_store: Settings, client: redis.Redis, name: StoreName
) -> None:
    """It is above the stored token and not below the time, and is stored with its holder."""
    now = time.time_ns() // 1_000_000
    first = take_fencing_token(one_store, "one")
    assert first >= now
    with psycopg.connect(one_store.postgres) as connection:
        if name == "redis":
            client.set(RedisKeys.of(one_store).fence, first + 10**9)
        else:
            connection.execute("UPDATE fence SET token = token + 1000000000")
            connection.commit()
        second = take_fencing_token(one_store, "two\nand more")
        assert second == first + 10**9 + 1
        if name == "redis":
            stored = client.hmget(RedisKeys.of(one_store).meta, "fence", "fence_holder")
            assert stored == [str(second), "two and more"]
        else:
            rows = connection.execute("SELECT token, holder FROM fence").fetchall()
            assert rows == [(second, "two and more")]


def test_a_follower_gives_out_no_token(settings: Settings, client: redis.Redis) -> None:
    """A start needs Postgres alone."""
    away = msgspec.structs.replace(settings, redis="redis://127.0.0.1:1/0")
    assert is_fenced(started(away)) is False
    assert client.keys(f"{settings.redis_prefix}*") == []


def test_an_emptied_redis_gives_out_no_old_token(one_store: Settings, client: redis.Redis) -> None:
    """A token starts from the time, so it is higher although the last one is lost."""
    first = take_fencing_token(one_store, "one")
    client.delete(RedisKeys.of(one_store).meta, RedisKeys.of(one_store).fence)
    assert take_fencing_token(one_store, "two") > first


def test_concurrent_starts_get_different_tokens(settings: Settings) -> None:
    """Ten starts at the same time get ten tokens."""
    with ThreadPoolExecutor(10) as pool:
        tokens = list(pool.map(lambda n: take_fencing_token(settings, f"start {n}"), range(10)))
    assert len(set(tokens)) == 10


def test_without_stores_the_token_is_the_time() -> None:
    """A cluster without stores gets a token as well."""
    before = time.time_ns() // 1_000_000
    assert before <= take_fencing_token(Settings(), "one") <= time.time_ns() // 1_000_000


def test_a_cluster_knows_whether_it_was_replaced(one_store: Settings) -> None:
    """By the store alone, without writing there; a cluster without stores never is."""
    older = started(one_store)
    assert not is_fenced(older)
    newer = started(one_store)
    assert (is_fenced(older), is_fenced(newer)) == (True, False)
    assert not is_fenced(msgspec.structs.replace(older, stores=(), fence=None))


def test_a_store_that_does_not_answer_is_no_answer(one_store: Settings) -> None:
    """Whether a cluster was replaced is not known then, and nobody waits for it."""
    away = {"redis": "redis://127.0.0.1:1/0", "postgres": "postgresql://hub@127.0.0.1:1/db"}
    with pytest.raises(StoreError, match="which fencing token"):
        is_fenced(msgspec.structs.replace(started(one_store), **away))


def test_the_older_cluster_is_refused(
    one_store: Settings, connect: Connect, window: Build, frame: Build
) -> None:
    """Every write raises an error with the newer cluster and the remedy; that one may write."""
    older = connect(started(one_store), "main")
    older.apply(DRIVER, frame(window()))
    newer = connect(started(one_store, "pid 8 on there, folder /r"), "main")
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
    one_store: Settings, connect: Connect, window: Build, frame: Build
) -> None:
    """All partitions of a cluster may write, also those that connect later."""
    cluster = started(one_store)
    stores = [connect(cluster, "main") for _ in range(3)]
    for at, store in enumerate(stores):
        store.apply(DRIVER, frame(window(at=at)))
    assert stores[0].totals(DRIVER)["trip_count"].to_list() == [3]
    for store in stores:
        store.close()


def test_a_process_of_an_older_cluster_cannot_connect(
    one_store: Settings, connect: Connect
) -> None:
    """Not even where it starts after its cluster was replaced."""
    cluster = started(one_store)
    take_fencing_token(one_store, "the next")
    with pytest.raises(StoreError, match="taken by the next"):
        connect(cluster, "main")


def test_an_emptied_redis_stores_the_token_again(
    redis_only: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """After FLUSHALL the next call of the newer cluster stores its token, and refuses the older."""
    older = connect_redis(started(redis_only), "main")
    newer = connect_redis(started(redis_only), "main")
    client.delete(RedisKeys.of(redis_only).meta, RedisKeys.of(redis_only).fence)
    newer.apply(DRIVER, frame(window()))
    with pytest.raises(StoreError, match=r"taken by process \d+ on "):
        older.apply(DRIVER, frame(window(at=1)))
    for store in (older, newer):
        store.close()


def waiting_locks(connection: psycopg.Connection[tuple[object, ...]]) -> list[str]:
    """Return the types of the locks of this schema's ledger and fencing token that are waited for.

    An advisory lock of one bigint has its low half in `objid`, and 1 as `objsubid`.
    """
    rows = connection.execute(
        "SELECT locktype FROM pg_locks WHERE NOT granted "
        "AND (relation::regclass::text LIKE 'driver_ledger%' "
        "OR locktype = 'advisory' AND objsubid = 1 AND objid::bigint = "
        "hashtext('mobility-hub fence ' || current_schema())::bigint & 4294967295) ORDER BY 1"
    ).fetchall()
    return [str(kind) for (kind,) in rows]


def test_no_older_transaction_commits_after_a_newer_token(
    settings: Settings, window: Build, frame: Build
) -> None:
    """A token is stored after every transaction that has checked the last one has ended."""
    postgres_only = msgspec.structs.replace(settings, stores=("postgres",))
    older = connect_postgres(started(postgres_only), "main")
    older.apply(DRIVER, frame(window()))
    with psycopg.connect(postgres_only.postgres) as blocker, ThreadPoolExecutor(2) as pool:
        blocker.execute("LOCK TABLE driver_ledger")
        writing = pool.submit(older.apply, DRIVER, frame(window(at=1)))
        until(lambda: waiting_locks(blocker) == ["relation"], "the write to wait for the table")
        taking = pool.submit(take_fencing_token, postgres_only, "next")
        both = ["advisory", "relation"]
        until(lambda: waiting_locks(blocker) == both, "the start to wait for the write")
        assert not taking.done()
        blocker.rollback()
        assert writing.result().applied == 1
        assert taking.result() > 0
    with pytest.raises(StoreError, match="taken by next"):
        older.apply(DRIVER, frame(window(at=2)))
    older.close()


def test_a_refused_start_takes_no_token(
    one_store: Settings, connect: Connect, window: Build, frame: Build
) -> None:
    """After a start of the other flow, or with other settings, the running flow still writes."""
    main = connect(started(one_store), "main")
    with pytest.raises(StoreError, match="by the flow `main`"):
        take_fencing_token(one_store, "serving", "serving")
    with pytest.raises(StoreError, match="MOBILITY_WINDOW=60"):
        take_fencing_token(msgspec.structs.replace(one_store, window=60), "other", "main")
    main.apply(DRIVER, frame(window()))
    main.close()


def test_a_backfill_writes_beside_a_flow(
    one_store: Settings, connect: Connect, window: Build, frame: Build
) -> None:
    """It needs no fencing token, and neither refuses the other; a second backfill is refused."""
    main = connect(started(one_store), "main")
    backfill = connect(msgspec.structs.replace(one_store, fence=1), "backfill")
    main.apply(DRIVER, frame(window(), window(at=1)))
    backfill.apply(DRIVER, frame(window(trip_count=0, generation=1, total_duration=0)))
    main.apply(DRIVER, frame(window(at=2), window(trip_count=9)))
    assert backfill.totals(DRIVER)["trip_count"].to_list() == [2]
    with pytest.raises(StoreError, match="being backfilled already"):
        connect(one_store, "backfill")
    backfill.close()
    connect(one_store, "backfill").close()
    main.close()
