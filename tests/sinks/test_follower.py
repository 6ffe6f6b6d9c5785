"""Redis follows Postgres: it has the same totals, and says how far it is, whatever happens."""

import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import polars as pl
import psycopg
import pytest
import redis
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mobility.entities import BY_NAME
from mobility.keys import RedisKeys
from mobility.measures import NULLABLE
from mobility.records import WINDOW_SCHEMA
from mobility.settings import Settings
from mobility.totals import highest_versions, shard_of
from sinks import follower as follower_module
from sinks.authority import Authority, AuthorityState
from sinks.connecting import connect_authority
from sinks.followed_store import FollowedStore
from sinks.follower_connection import FollowerConnection
from sinks.redis import connect_redis
from sinks.redis_commands import Commands
from sinks.store import StoreRefusedError
from tests.sinks.following import followed_store, postgres_totals, redis_totals, until_followed
from tests.sinks.test_store import Row, batches
from tests.waiting import until

pytestmark = pytest.mark.services

DRIVER = BY_NAME["driver"]
IDS = [f"d{number:02}" for number in range(40)]

Build = Any


on_each_server = pytest.mark.parametrize("both", ["valkey", "redis_server"], indirect=True)
"""Runs a test on Valkey, and on the Redis of the machine's packages."""


@pytest.fixture
def store(both: Settings) -> Iterator[FollowedStore]:
    """Return an empty Postgres that Redis follows."""
    with followed_store(both, DRIVER) as store:
        yield store


def delete_keys(client: redis.Redis, settings: Settings, pattern: str = "*") -> None:
    """Delete keys of this test by a pattern; the default is like FLUSHALL."""
    for key in client.scan_iter(f"{settings.redis_prefix}{pattern}"):
        client.delete(key)


def fill(store: FollowedStore, window: Build, frame: Build, count: int = 1) -> None:
    """Write two windows of forty ids, and the watermarks of two shards."""
    rows = frame(*(window(name, at=at, trip_count=count) for name in IDS for at in (0, count)))
    store.apply(DRIVER, highest_versions(rows))
    for shard in range(2):
        store.record_progress(DRIVER, shard, 2, 5_000 * count + shard)


@on_each_server
def test_the_hash_is_readable(
    store: FollowedStore, both: Settings, window: Build, frame: Build
) -> None:
    """Totals as exact decimals in units, the mean, and times in ISO 8601; it expires."""
    client = redis.Redis.from_url(both.redis, decode_responses=True)
    rows = frame(
        window("d 1", trip_count=3, total_revenue=-50_000, total_distance=7),
        window("é\"'", at=1, trip_count=0, total_duration=0),
    )
    store.apply(DRIVER, rows)
    until_followed(store, both, DRIVER)
    key = RedisKeys.of(both).totals(DRIVER, "d 1")
    assert client.hgetall(key) == {
        "trip_count": "3",
        "distance_count": "3",
        "revenue_count": "3",
        "avg_duration": repr(12_500_000 / 3_000_000),
        "total_duration": "12.5",
        "total_distance": "0.000007",
        "total_revenue": "-0.05",
        "start_time": "2025-01-01T00:00:05Z",
        "last_start_time": "2025-01-01T00:01:05Z",
        **{each.name: "" for each in NULLABLE},
        "last_window_start": "2025-01-01T00:00:00Z",
    }
    ttl: Any = client.ttl(key)
    assert both.redis_expiry - 60 < ttl <= both.redis_expiry
    without_trips: Any = client.hgetall(RedisKeys.of(both).totals(DRIVER, "é\"'"))
    assert (without_trips["avg_duration"], without_trips["start_time"]) == ("0", "")
    assert client.keys(f"{both.redis_prefix}ledger:*") == []
    client.close()


@on_each_server
@given(batches=batches, data=st.data())
@hypothesis_settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_order_any_replay(
    store: FollowedStore, both: Settings, batches: list[list[Row]], data: st.DataObject
) -> None:
    """Redis has what Postgres has, after batches in any order and with repeats."""
    replayed = data.draw(st.lists(st.sampled_from(batches), max_size=3))
    for batch in data.draw(st.permutations(batches + replayed)):
        store.apply(DRIVER, highest_versions(pl.DataFrame(batch, schema=WINDOW_SCHEMA)))
    until_followed(store, both, DRIVER)


@pytest.mark.parametrize("lost", ["*", "meta", "fence", "sequence:*", "progress:*"])
def test_what_was_lost_is_written_again(
    store: FollowedStore,
    both: Settings,
    client: redis.Redis,
    window: Build,
    frame: Build,
    lost: str,
) -> None:
    """With and without changes after it, and within a second or two."""
    fill(store, window, frame)
    until_followed(store, both, DRIVER)
    delete_keys(client, both, lost)
    if lost != "meta":
        until_followed(store, both, DRIVER)
    delete_keys(client, both, lost)
    fill(store, window, frame, 2)
    until_followed(store, both, DRIVER)


def test_a_watermark_is_not_lost_while_redis_is_synchronized(
    store: FollowedStore,
    both: Settings,
    window: Build,
    frame: Build,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that is recorded after the progress was read, and before what is queued is dropped."""
    fill(store, window, frame)
    until_followed(store, both, DRIVER)
    authority = store._follower._authority
    read_state, recording = authority.state, list[threading.Thread]()

    def state_then_watermark() -> AuthorityState:
        state = read_state()
        if not recording:
            recording.append(
                threading.Thread(target=store.record_progress, args=(DRIVER, 0, 2, 70_000))
            )
            recording[0].start()
            recording[0].join(1)
        return state

    monkeypatch.setattr(authority, "state", state_then_watermark)
    store._follower.synchronize()
    until(lambda: recording, "the synchronization", bool)
    recording[0].join()
    until_followed(store, both, DRIVER)
    assert store.progress(DRIVER)[0] == 70_000


def test_an_evicted_id_comes_back_with_its_next_change(
    store: FollowedStore, both: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """With all of its totals; Postgres answers for it meanwhile."""
    fill(store, window, frame)
    until_followed(store, both, DRIVER)
    delete_keys(client, both, "driver:d0*")
    store.apply(DRIVER, frame(*(window(name, at=9) for name in IDS)))
    until_followed(store, both, DRIVER)


def test_an_earlier_copy_gets_what_it_lacks(
    both: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """The ids that have changed since, and no others."""
    with followed_store(both, DRIVER) as store:
        fill(store, window, frame)
        until_followed(store, both, DRIVER)
    copy = {str(key): client.dump(key) for key in client.scan_iter(f"{both.redis_prefix}*")}
    with followed_store(both, DRIVER) as store:
        store.apply(DRIVER, frame(window("d01", at=7), window("new")))
        until_followed(store, both, DRIVER)
    delete_keys(client, both)
    for key, value in copy.items():
        client.restore(key, 0, value)  # type: ignore[arg-type] # the types do not know of dump
    unchanged = RedisKeys.of(both).totals(DRIVER, "d02")
    client.hset(unchanged, "mark", "still here")
    with followed_store(both, DRIVER) as store:
        until(lambda: redis_totals(both, DRIVER).height, "the new id", (len(IDS) + 1).__eq__)
        assert client.hdel(unchanged, "mark") == 1
        until_followed(store, both, DRIVER)


def test_a_filled_postgres_gets_a_follower(
    both: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """All ids that changed within the expiry are written, with the time to live that is left."""
    only = connect_authority(msgspec.structs.replace(both, stores=("postgres",)), "main")
    only.apply(DRIVER, frame(*map(window, IDS)))
    only.close()
    with followed_store(both, DRIVER) as store:
        until_followed(store, both, DRIVER)
        ttl: Any = client.ttl(RedisKeys.of(both).totals(DRIVER, IDS[0]))
        assert both.redis_expiry - 60 < ttl <= both.redis_expiry


def test_what_a_backfill_writes_arrives(
    store: FollowedStore, both: Settings, window: Build, frame: Build
) -> None:
    """Within a second or two, while the flow writes nothing and while it does."""
    fill(store, window, frame)
    backfill = connect_authority(both, "backfill")
    backfill.apply(DRIVER, frame(window("d01", trip_count=9, generation=1)))
    until(lambda: redis_totals(both, DRIVER).equals(postgres_totals(store, DRIVER)), "the changes")
    backfill.apply(DRIVER, frame(window("d02", trip_count=9, generation=2)))
    store.apply(DRIVER, frame(window("d03", at=5)))
    until_followed(store, both, DRIVER)
    backfill.close()


def test_another_layout_is_deleted(
    both: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """Redis was the only store, or followed another Postgres: nothing of it stays."""
    alone = connect_redis(msgspec.structs.replace(both, stores=("redis",)), "main")
    alone.apply(DRIVER, frame(window("other"), window("d1")))
    alone.close()
    passenger = BY_NAME["passenger"]
    with followed_store(both, passenger), followed_store(both, DRIVER) as store:
        store.apply(DRIVER, frame(window("d1", at=3)))
        until(lambda: client.exists(RedisKeys.of(both).sequence(DRIVER)), "following")
        until_followed(store, both, DRIVER)
    assert client.keys(f"{both.redis_prefix}ledger:*") == []
    with pytest.raises(StoreRefusedError, match="has followed Postgres"):
        connect_redis(msgspec.structs.replace(both, stores=("redis",)), "main")


def test_an_older_flow_writes_nothing_more(
    both: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """Redis holds the fencing token of the flow that started last."""
    older, newer = (msgspec.structs.replace(both, fence=fence) for fence in (5, 6))
    with followed_store(newer, DRIVER) as store:
        fill(store, window, frame)
        until_followed(store, newer, DRIVER)
        connection = FollowerConnection(older)
        with pytest.raises(StoreRefusedError, match="fencing token 6"):
            connection.open()
        connection.close()
        assert client.get(RedisKeys.of(both).fence) == "6"


class Outage:
    """Lets connections to Redis fail while it is set, or wait."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Break the connections of this test."""
        self.is_down = False
        self.may_write = threading.Event()
        self.may_write.set()
        write = FollowerConnection.write

        def write_or_fail(connection: FollowerConnection, commands: Commands) -> None:
            assert self.may_write.wait(30)
            if self.is_down:
                msg = "OOM command not allowed when used memory > 'maxmemory'"
                raise redis.ResponseError(msg)
            write(connection, commands)

        monkeypatch.setattr(FollowerConnection, "write", write_or_fail)


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> Outage:
    """Return what lets connections to Redis fail."""
    return Outage(monkeypatch)


def test_an_outage_is_not_waited_for(
    outage: Outage,
    store: FollowedStore,
    both: Settings,
    window: Build,
    frame: Build,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Postgres takes everything; Redis gets it later, and says until then how far it is."""
    fill(store, window, frame)
    until_followed(store, both, DRIVER)
    outage.is_down = True
    for count in range(2, 6):
        fill(store, window, frame, count)
    assert store.sequence_number(DRIVER).number == 5
    until(lambda: "falls behind" in caplog.text, "the message")
    with redis.Redis.from_url(both.redis, decode_responses=True) as client:
        assert client.hgetall(RedisKeys.of(both).sequence(DRIVER)) == {"0": "1", "1": "1"}
    outage.is_down = False
    until_followed(store, both, DRIVER)
    until(lambda: "has all driver again" in caplog.text, "the message")


def test_a_slow_redis_is_not_waited_for(
    outage: Outage,
    both: Settings,
    window: Build,
    frame: Build,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the queue can't hold is read from Postgres later."""
    monkeypatch.setattr(follower_module, "QUEUE_ROWS", 100)
    with followed_store(both, DRIVER) as store:
        outage.may_write.clear()
        for count in range(1, 9):
            fill(store, window, frame, count)
        assert store.sequence_number(DRIVER).number == 8
        outage.may_write.set()
        until_followed(store, both, DRIVER)


def test_shards_of_a_process_that_has_ended_do_not_stay_behind(
    both: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """What the other process commits after it touches none of their ids."""
    ids = pl.DataFrame({"id": IDS}).with_columns(shard=shard_of("id", 2))
    of_shard = [ids.filter(shard=shard)["id"].to_list() for shard in range(2)]
    with followed_store(both, DRIVER, [1]) as second:
        with followed_store(both, DRIVER, [0]) as first:
            first.apply(DRIVER, frame(window(of_shard[0][0])))
            second.apply(DRIVER, frame(window(of_shard[1][0])))
        second.apply(DRIVER, frame(window(of_shard[1][1])))
        until_followed(second, both, DRIVER)
        second.apply(DRIVER, frame(window(of_shard[1][2])))
    assert client.hgetall(RedisKeys.of(both).sequence(DRIVER)) == {"0": "4", "1": "4"}


def test_a_number_that_its_own_process_has_raised_is_not_lowered(
    both: Settings,
    client: redis.Redis,
    window: Build,
    frame: Build,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another process writes and ends between the last look of the first one and its write."""
    monkeypatch.setattr(follower_module, "_CHECK_SECONDS", 60)
    ids = pl.DataFrame({"id": IDS}).with_columns(shard=shard_of("id", 2))
    of_shard = [ids.filter(shard=shard)["id"].to_list() for shard in range(2)]

    def write_to_second(count: int) -> None:
        with followed_store(both, DRIVER, [1]) as second:
            second.apply(DRIVER, frame(window(of_shard[1][0], trip_count=count)))

    changed_ids = Authority.changed_ids
    interrupted: list[int] = []

    def interrupt(authority: Authority, after: int, until: int) -> pl.Series | None:
        changed = changed_ids(authority, after, until)
        if until == 2 and not interrupted:
            interrupted.append(until)
            write_to_second(2)
        return changed

    write_to_second(1)
    with followed_store(both, DRIVER, [0]) as first:
        until_caught_up = {"0": "1", "1": "1"}
        sequence = RedisKeys.of(both).sequence(DRIVER)
        until(lambda: client.hgetall(sequence), "the first to begin", until_caught_up.__eq__)
        monkeypatch.setattr(Authority, "changed_ids", interrupt)
        first.apply(DRIVER, frame(window(of_shard[0][0])))
    assert interrupted
    assert client.hgetall(sequence) == {"0": "3", "1": "3"}


def test_what_was_read_is_not_replaced_by_what_was_committed_before_it(
    outage: Outage, store: FollowedStore, both: Settings, window: Build, frame: Build
) -> None:
    """An id is read with the change of a backfill while earlier changes of it are still queued."""
    store.apply(DRIVER, frame(window("d1"), window("d2")))
    until_followed(store, both, DRIVER)
    backfill = connect_authority(both, "backfill")
    for count in range(2, 12):
        outage.may_write.clear()
        store.apply(DRIVER, frame(window("d1", trip_count=count)))
        backfill.apply(DRIVER, frame(window("d1", at=count, trip_count=100, generation=1)))
        store.apply(DRIVER, frame(window("d2", trip_count=count)))
        outage.may_write.set()
        until_followed(store, both, DRIVER)
    backfill.close()


def test_changes_are_kept_for_an_hour(
    both: Settings, window: Build, frame: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older ones are deleted; who is further behind gets all recent ids."""
    monkeypatch.setattr(follower_module, "_DELETE_SECONDS", 0.0)
    with followed_store(both, DRIVER) as store, psycopg.connect(both.postgres) as connection:
        fill(store, window, frame)
        connection.execute("UPDATE changes SET at = now() - interval '59 minutes'")
        connection.commit()
        until_followed(store, both, DRIVER)
        count = "SELECT count(*) FROM changes"
        assert connection.execute(count).fetchall() == [(1,)]
        connection.execute("UPDATE changes SET at = now() - interval '61 minutes'")
        connection.commit()

        def kept() -> object:
            rows = connection.execute(count).fetchall()
            connection.commit()
            return rows

        until(kept, "the deletion", [(0,)].__eq__)
