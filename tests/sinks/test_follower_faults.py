"""What must not make Redis wrong, or keep it behind for ever: each of these once did."""

import threading
import time
import weakref
from collections.abc import Callable, Collection
from typing import Any, TypeVar

import msgspec
import polars as pl
import psycopg
import pytest
import redis

from mobility.entities import BY_NAME, ENTITIES
from mobility.keys import RedisKeys
from mobility.settings import Settings
from mobility.totals import highest_versions, shard_of
from postgres.connection import Connection
from sinks import follower as follower_module
from sinks import postgres as postgres_module
from sinks.authority import Authority
from sinks.connecting import connect_authority, follow
from sinks.follower import Follower
from sinks.follower_connection import FollowerConnection, LostDataError
from sinks.postgres import PostgresStore, open_session
from sinks.postgres_session import PostgresSession
from sinks.redis_commands import Commands, command
from sinks.store import TOUCHED_SCHEMA, ApplyResult, StoreError
from sinks.store_sink import SinkContext, store_sinks
from tests.sinks.following import (
    followed_store,
    postgres_totals,
    redis_totals,
    until_followed,
)
from tests.waiting import until

pytestmark = pytest.mark.services

DRIVER = BY_NAME["driver"]
IDS = [f"d{number:02}" for number in range(40)]

Build = Any
T = TypeVar("T")


def fill_postgres(settings: Settings, rows: pl.DataFrame) -> None:
    """Write windows while Redis is not told."""
    only = connect_authority(msgspec.structs.replace(settings, stores=("postgres",)), "main")
    only.apply(DRIVER, rows)
    only.close()


def test_a_lost_reply(
    both: Settings, window: Build, frame: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction that was committed is repeated without effect, and its ids reach Redis."""
    lost: list[int] = []
    run_once = PostgresSession._run_once

    def run_and_lose(session: PostgresSession, work: Callable[[Connection], T]) -> T:
        answer = run_once(session, work)
        if isinstance(answer, ApplyResult) and not lost:
            lost.append(1)
            msg = "the reply was lost"
            raise psycopg.OperationalError(msg)
        return answer

    with followed_store(both, DRIVER) as store:
        store.apply(DRIVER, frame(window("d1")))
        until_followed(store, both, DRIVER)
        monkeypatch.setattr(PostgresSession, "_run_once", run_and_lose)
        store.apply(DRIVER, frame(window("d1", at=1), window("d2")))
        assert lost
        until_followed(store, both, DRIVER)


def test_half_of_a_batch_is_refused(
    both: Settings, window: Build, frame: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other half is committed, and reaches Redis; no id has as many trips as are refused."""
    monkeypatch.setattr(postgres_module, "SPLIT_ROWS", 2)
    with followed_store(both, DRIVER) as store:
        store.apply(DRIVER, frame(window("a"), window("z", trip_count=2**63 - 1)))
        until_followed(store, both, DRIVER)
        rows = frame(window("a", at=1), window("z", at=1))
        for _ in range(2):
            with pytest.raises(StoreError, match="out of range"):
                store.apply(DRIVER, rows)
        until(
            lambda: redis_totals(both, DRIVER),
            "the other half",
            lambda totals: totals.filter(id="a")["trip_count"].sum() == 2,
            seconds=20,
        )


def test_a_shard_that_is_owned_later(
    both: Settings, window: Build, frame: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number is not raised while the other shards are read."""
    with followed_store(both, DRIVER) as store:
        store.apply(DRIVER, frame(*map(window, IDS)))
        until_followed(store, both, DRIVER)
    fill_postgres(both, frame(*(window(name, at=1) for name in IDS)))
    session = open_session(both, "main")
    authority = PostgresStore(session, "main", is_followed=True)
    followed, follower = follow(authority, session, both, DRIVER)
    totals = Authority.totals

    def own_and_read(authority: Authority, ids: Collection[str]) -> pl.DataFrame:
        follower.own(1)
        return totals(authority, [*ids])

    monkeypatch.setattr(Authority, "totals", own_and_read)
    follower.own(0)
    until_followed(followed, both, DRIVER)
    followed.close()


def test_deleting_another_layout_is_interrupted(
    both: Settings,
    client: redis.Redis,
    window: Build,
    frame: Build,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It goes on: what another Postgres has told this Redis is not taken for current."""
    with followed_store(both, DRIVER) as store:
        store.apply(DRIVER, frame(window("other"), window("d1")))
        until_followed(store, both, DRIVER)
    keys = RedisKeys.of(both)
    client.hset(keys.meta, "follows", "another Postgres")
    client.copy(keys.totals(DRIVER, "other"), keys.totals(DRIVER, "unknown here"))
    scan_iter, failed = redis.Redis.scan_iter, threading.Event()

    def fail_once(client: redis.Redis, *args: Any, **options: Any) -> Any:  # noqa: ANN401
        if not failed.is_set():
            failed.set()
            msg = "Connection reset by peer"
            raise redis.ConnectionError(msg)
        return scan_iter(client, *args, **options)

    with monkeypatch.context() as patched, followed_store(both, DRIVER) as store:
        patched.setattr(redis.Redis, "scan_iter", fail_once)
        assert failed.wait(60)
        patched.undo()
        until_followed(store, both, DRIVER)


@pytest.mark.parametrize("garbage", ["fence", "sequence"])
def test_garbage_does_not_end_the_thread(
    both: Settings,
    client: redis.Redis,
    window: Build,
    frame: Build,
    garbage: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Values that this program does not write are said, and Redis follows once they are away."""
    keys = RedisKeys.of(both)
    with followed_store(both, DRIVER) as store:
        store.apply(DRIVER, frame(*map(window, IDS)))
        until_followed(store, both, DRIVER)
        if garbage == "fence":
            client.set(keys.fence, "garbage")
            store.apply(DRIVER, frame(window("d01", at=1)))
        else:
            client.hset(keys.sequence(DRIVER), "0", "garbage")
        until(lambda: "falls behind" in caplog.text, "the message", seconds=20)
        client.delete(keys.fence, keys.sequence(DRIVER))
        until_followed(store, both, DRIVER)


def test_nothing_is_queued_while_redis_refuses(
    both: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """Changes are dropped at once; they are read from Postgres when Redis takes them."""
    keys = RedisKeys.of(both)
    client.set(keys.fence, 2**62)
    with followed_store(both, DRIVER) as store:
        result = store._authority.apply(DRIVER, frame(window()))
        assert result.touched is not None
        follower: Follower = store._follower
        until(lambda: follower._failures, "the refusal")
        follower.put(result.touched)
        windows = weakref.ref(result.touched.windows)
        del result
        assert windows() is None
        client.delete(keys.fence)
        until_followed(store, both, DRIVER)


def test_another_number_of_shards(
    both: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """A number says nothing about the shards of another layout, whose ids are others."""
    with followed_store(both, DRIVER) as store:
        store.apply(DRIVER, frame(*map(window, IDS)))
        until_followed(store, both, DRIVER)
    keys = RedisKeys.of(both)
    stale: dict[str, Any] = {name: client.hgetall(keys.totals(DRIVER, name)) for name in IDS}
    with followed_store(both, DRIVER) as store:
        store.apply(DRIVER, frame(*(window(name, at=1) for name in IDS)))
        until_followed(store, both, DRIVER)
    # As if the process of shard 1 had not reached Redis any more.
    client.hset(keys.sequence(DRIVER), "1", "1")
    shards = pl.DataFrame({"id": IDS}).with_columns(of_two=shard_of("id", 2))
    for name in shards.filter(of_two=1)["id"]:
        client.hset(keys.totals(DRIVER, name), mapping=stale[name])
    three = msgspec.structs.replace(both, shards=3)
    with (
        followed_store(three, DRIVER, [0]),
        followed_store(three, DRIVER, [1]),
        followed_store(three, DRIVER, [2]) as store,
    ):
        until_followed(store, three, DRIVER)


def test_a_shorter_expiry(both: Settings, client: redis.Redis, window: Build, frame: Build) -> None:
    """Ids that were written with a longer one are not kept unread until it has passed."""
    with followed_store(both, DRIVER) as store:
        store.apply(DRIVER, frame(window("d1")))
        until_followed(store, both, DRIVER)
    fill_postgres(both, frame(window("d1", at=1)))
    with psycopg.connect(both.postgres) as connection:
        connection.execute("UPDATE driver_totals SET updated_at = now() - interval '2 hours'")
    shorter = msgspec.structs.replace(both, redis_expiry=3_600)
    key = RedisKeys.of(both).totals(DRIVER, "d1")
    with followed_store(shorter, DRIVER) as store:
        number = str(store.sequence_number(DRIVER).number)
        sequence = RedisKeys.of(both).sequence(DRIVER)
        until(lambda: client.hget(sequence, "0") == number, "the number")
        assert client.hget(key, "trip_count") in {"2", None}


def test_the_watermark_of_another_number_of_shards(
    both: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """Until the new shards have theirs, Redis has the lowest of the old ones."""
    with followed_store(both, DRIVER) as store:
        store.apply(DRIVER, highest_versions(frame(window("d1"))))
        for shard, watermark in ((0, 9_000), (1, 5_000)):
            store.record_progress(DRIVER, shard, 2, watermark)
        until_followed(store, both, DRIVER)
    one = msgspec.structs.replace(both, shards=1)
    with followed_store(one, DRIVER):
        progress = RedisKeys.of(both).progress(DRIVER)
        until(lambda: client.hgetall(progress), "the progress", {"0": "5000"}.__eq__, seconds=20)


def test_the_followers_of_a_process_have_one_closing_time(
    both: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Redis that takes requests and does not answer is waited for once, not by each entity."""
    monkeypatch.setattr(follower_module, "_CLOSE_SECONDS", 2.0)
    monkeypatch.setattr(follower_module, "_SILENT_SECONDS", 60.0)
    may_write, waits = threading.Event(), threading.Semaphore(0)

    def wait(_connection: FollowerConnection, _commands: Commands) -> None:
        waits.release()
        may_write.wait(60)

    monkeypatch.setattr(FollowerConnection, "write", wait)
    context = SinkContext()
    partitions = [
        sink.build_part("", part, None)
        for entity in ENTITIES
        for _, sink in store_sinks(both, entity, "main", context)
        for part in sink.list_parts()
    ]
    assert all(waits.acquire(timeout=60) for _ in ENTITIES)
    start = time.monotonic()
    for partition in partitions:
        partition.close()
    assert time.monotonic() - start < 2 * len(ENTITIES)
    may_write.set()


def test_a_stop_waits_for_a_slow_machine(
    both: Settings, window: Build, frame: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Redis that answers is not silent, however long all that is queued takes together."""
    monkeypatch.setattr(follower_module, "_SILENT_SECONDS", 0.5)
    monkeypatch.setattr(follower_module, "_BLOCK_IDS", 1)
    is_slow = threading.Event()
    write = FollowerConnection.write

    def write_slowly(connection: FollowerConnection, commands: Commands) -> None:
        write(connection, commands)
        if is_slow.is_set():
            time.sleep(0.1)

    monkeypatch.setattr(FollowerConnection, "write", write_slowly)
    with followed_store(both, DRIVER) as store:
        until_followed(store, both, DRIVER)
        is_slow.set()
        store.apply(DRIVER, frame(*(window(each) for each in IDS[:15])))
        expected = postgres_totals(store, DRIVER).select(TOUCHED_SCHEMA.names())
    assert expected.height == 15
    assert redis_totals(both, DRIVER).equals(expected)


def test_an_earlier_release_has_written_in_between(
    both: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """Its ledger is deleted again, though Redis still says that it follows this Postgres."""
    keys = RedisKeys.of(both)
    with followed_store(both, DRIVER) as store:
        store.apply(DRIVER, frame(window("d1")))
        until_followed(store, both, DRIVER)
    client.hset(keys.meta, "life", "that of the earlier release")
    client.hset(keys.ledger(DRIVER, "d1"), "1", "its windows")
    with followed_store(both, DRIVER) as store:
        until(lambda: not client.exists(keys.ledger(DRIVER, "d1")), "the deletion")
        until_followed(store, both, DRIVER)


def test_a_later_flow_is_named(
    both: Settings,
    client: redis.Redis,
    window: Build,
    frame: Build,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """At first it is only known that another one writes; then its token, and what to do."""
    with followed_store(both, DRIVER) as store:
        store.apply(DRIVER, frame(window("d1")))
        until_followed(store, both, DRIVER)
        client.set(RedisKeys.of(both).fence, 2**62)
        store.apply(DRIVER, frame(window("d1", at=1)))
        until(lambda: f"fencing token {2**62}" in caplog.text, "the message", seconds=60)


def test_a_request_that_arrives_late(both: Settings, client: redis.Redis) -> None:
    """What was sent over a connection that was given up does not replace what came after it."""
    connection = FollowerConnection(both)
    connection.open()
    given_up, connection._connection = connection._connection, None
    connection.open()
    key = RedisKeys.of(both).totals(DRIVER, "d1")
    connection.write(command("SET", key, "new"))
    opened, connection._connection = connection._connection, given_up
    with pytest.raises(LostDataError):
        connection.write(command("SET", key, "old"))
    assert client.get(key) == "new"
    connection.close()
    connection._connection = opened
    connection.close()
