"""What only Redis has: readable hashes, expiry, filling and a lease."""

import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, TypeVar
from unittest.mock import patch

import msgspec
import polars as pl
import pytest
import redis
from polars.testing import assert_frame_equal

from mobility.entities import BY_NAME, Entity
from mobility.keys import RedisKeys
from mobility.records import STARTS, TOTALS
from mobility.settings import Settings
from sinks.history import History, PostgresHistory
from sinks.postgres import PostgresStore, connect_postgres
from sinks.postgres_session import open_postgres_session
from sinks.redis import CHUNK, RedisStore, connect_redis
from sinks.redis_session import RedisSession
from sinks.store import ApplyResult, StoreError
from sinks.versions import highest_versions

pytestmark = pytest.mark.services

DRIVER = BY_NAME["driver"]
TWO_DAYS = 48 * 12
"""The retention of the ledger, in windows."""

Build = Any
Both = tuple[PostgresStore, RedisStore]
T = TypeVar("T")


@pytest.fixture
def both(settings: Settings) -> Iterator[Both]:
    """Return the two stores of these settings, as two."""
    postgres_store, redis_store = (
        connect_postgres(settings, "main"),
        connect_redis(settings, "main"),
    )
    yield postgres_store, redis_store
    for store in (postgres_store, redis_store):
        store.close()


def hash_of(client: redis.Redis, settings: Settings, entity_id: str = "d1") -> dict[str, str]:
    """Return the totals of an id, as HGETALL returns them."""
    fields = client.hgetall(RedisKeys.of(settings).totals(DRIVER, entity_id))
    return {str(name): str(value) for name, value in fields.items()}


def test_the_hash_is_readable(
    redis_only: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """Totals as exact decimals in units, the mean, and starts in ISO 8601."""
    store = connect_redis(redis_only, "main")
    store.apply(DRIVER, frame(window(trip_count=3, total_revenue=-50_000, total_distance=7)))
    assert hash_of(client, redis_only) == {
        "trip_count": "3",
        "avg_duration": repr(12_500_000 / 3_000_000),
        "total_duration": "12.5",
        "total_distance": "0.000007",
        "total_revenue": "-0.05",
        "start_time": "2025-01-01T00:00:05Z",
        "last_start_time": "2025-01-01T00:01:05Z",
    }
    store.close()


@pytest.mark.parametrize(
    ("micro", "text"),
    [
        (0, "0"),
        (1, "0.000001"),
        (-1, "-0.000001"),
        (-1_000_000, "-1"),
        (-1_500_000, "-1.5"),
        (10_000_000, "10"),
        (2**53 + 1, "9007199254.740993"),
        (2**63 - 1, "9223372036854.775807"),
        (-(2**63) + 1, "-9223372036854.775807"),
    ],
)
def test_amounts_are_exact(
    redis_only: Settings, client: redis.Redis, window: Build, frame: Build, micro: int, text: str
) -> None:
    """Amounts beyond 2^53, where doubles have gaps, are exact to the last digit."""
    store = connect_redis(redis_only, "main")
    store.apply(DRIVER, frame(window(total_revenue=micro), window(at=1, total_revenue=5)))
    store.apply(DRIVER, frame(window(at=1, total_revenue=0, trip_count=2)))
    assert hash_of(client, redis_only)["total_revenue"] == text
    assert store.totals(DRIVER)["total_revenue"].to_list() == [micro]
    store.close()


def test_hashes_of_an_older_version_are_read(
    redis_only: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """The hashes of an id, in the format of an older version, are read and continued."""
    keys, store = RedisKeys.of(redis_only), connect_redis(redis_only, "main")
    ledger, start = keys.ledger(DRIVER, "d1"), window()["window_start"]
    stored = "0 2 25000000 9007199254740993 -50000 2025-01-01T00:00:05Z early"
    state = "3 37 500000 9007199260 990993 -1 999999 {0} {0} 2024-12-31T23:59:59.500Z {1}"
    client.hset(
        ledger,
        mapping={str(start): stored, "totals": state.format(start, "2024-12-31T23:59:59.500Z")},
    )
    client.hset(keys.totals(DRIVER, "d1"), "trip_count", "3")
    grown = window(trip_count=3, total_distance=2**53 + 3, total_revenue=0)
    assert store.apply(DRIVER, frame(grown)) == ApplyResult(applied=1)
    written = client.hgetall(ledger)
    assert written[str(start)] == (
        "0 3 12500000 9007199254740995 0 2025-01-01T00:00:05Z early 2025-01-01T00:01:05Z"
    )
    totals, renewed, *last = str(written["totals"]).rsplit(" ", 3)
    assert last == ["2025-01-01T00:01:05Z", "2024-12-31T23:59:59.500Z"]
    assert totals == "4 25 0 9007199260 990995 0 49999 {0} {0} 2024-12-31T23:59:59.500Z {1}".format(
        start, "2024-12-31T23:59:59.500Z"
    )
    assert abs(int(renewed) / 1_000 - time.time()) < 30
    assert client.ttl(ledger) == 86_400
    assert hash_of(client, redis_only) == {
        "trip_count": "4",
        "avg_duration": "6.25",
        "total_duration": "25",
        "total_distance": "9007199260.990995",
        "total_revenue": "0.049999",
        "last_start_time": "2025-01-01T00:01:05Z",
    }
    store.close()


def test_an_id_without_a_latest_start_gets_one(
    redis_only: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """Release 0.1 had only the earliest start: it is the latest until the id has a new window."""
    keys, store = RedisKeys.of(redis_only), connect_redis(redis_only, "main")
    ledger, start = keys.ledger(DRIVER, "d1"), window()["window_start"]
    times = ["2025-01-01T00:00:05Z", "2025-01-01T00:05:05Z"]
    for at, time_text in enumerate(times):
        client.hset(ledger, str(start + at * 300_000), f"0 1 1 1 1 {time_text} on_time")
    state = f"2 0 2 0 2 0 2 {start} {start + 300_000} {times[0]} -"
    client.hset(ledger, "totals", f"{state} 1735689600000")
    totals = {"trip_count": "2", "start_time": times[0]} | dict.fromkeys(TOTALS, "0.000002")
    for name, value in totals.items():
        client.hset(keys.totals(DRIVER, "d1"), name, value)
    for members in (keys.index(DRIVER), keys.seen(DRIVER)):
        client.zadd(members, {"d1": time.time() if members == keys.seen(DRIVER) else 0})
    first, second = start + 5_000, start + 305_000
    assert store.totals(DRIVER).row(0)[-2:] == (first, first)
    assert store.windows(DRIVER)["last_start_time"].to_list() == [first, second]
    store.apply(DRIVER, frame(window(generation=1)))
    assert store.totals(DRIVER).row(0)[-2:] == (first, second)
    store.close()


@pytest.mark.parametrize("index", ["index", "seen"])
def test_a_deleted_index_is_written_again(
    redis_only: Settings, client: redis.Redis, window: Build, frame: Build, index: str
) -> None:
    """The next window of an id adds it again to a sorted set that was deleted."""
    keys, store = RedisKeys.of(redis_only), connect_redis(redis_only, "main")
    store.apply(DRIVER, frame(window("a"), window("b")))
    client.delete(getattr(keys, index)(DRIVER))
    store.apply(DRIVER, frame(window("a", at=1)))
    store.apply(DRIVER, frame(window("b", at=1)))
    for members in (keys.index(DRIVER), keys.seen(DRIVER)):
        assert client.zrange(members, 0, -1) == ["a", "b"]
    store.close()


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64, 999, 1_000])
@pytest.mark.parametrize(
    "micro", [1, 7, 99, 100, 101, 123_456, 10**6, 12_340_000, 10**15 - 1, 10**15, -5, -(10**13) - 1]
)
def test_a_mean_parses_to_the_same_double(
    redis_only: Settings, client: redis.Redis, window: Build, frame: Build, micro: int, count: int
) -> None:
    """It is the shortest text of 15 or 17 digits that does."""
    store = connect_redis(redis_only, "main")
    store.apply(DRIVER, frame(window(total_duration=micro, trip_count=count)))
    mean = micro / (count * 1_000_000)
    short = f"{mean:.15g}"
    text = short if float(short) == mean else f"{mean:.17g}"
    assert hash_of(client, redis_only)["avg_duration"] == text
    store.close()


def test_both_hashes_expire(
    redis_only: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """Totals and ledger expire together after the last change; a repeat changes nothing."""
    keys, store = RedisKeys.of(redis_only), connect_redis(redis_only, "main")
    hashes = [keys.totals(DRIVER, "d1"), keys.ledger(DRIVER, "d1")]
    store.apply(DRIVER, frame(window()))
    assert {client.ttl(key) for key in hashes} == {86_400}
    age_expiry(client, keys.ledger(DRIVER, "d1"), 60_000)
    for key in hashes:
        client.expire(key, 100)
    store.apply(DRIVER, frame(window()))
    assert {client.ttl(key) for key in hashes} == {100}
    store.apply(DRIVER, frame(window(at=1)))
    assert {client.ttl(key) for key in hashes} == {86_400}
    store.close()


def test_a_change_within_a_minute_keeps_the_expiry(
    redis_only: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """So an id expires up to a minute too early, and a change costs half as many commands."""
    keys, store = RedisKeys.of(redis_only), connect_redis(redis_only, "main")
    hashes = [keys.totals(DRIVER, "d1"), keys.ledger(DRIVER, "d1")]
    store.apply(DRIVER, frame(window()))
    seen = client.zscore(keys.seen(DRIVER), "d1")
    age_expiry(client, keys.ledger(DRIVER, "d1"), 55_000)
    for key in hashes:
        client.expire(key, 86_345)
    store.apply(DRIVER, frame(window(at=1)))
    assert {client.ttl(key) for key in hashes} == {86_345}
    assert client.zscore(keys.seen(DRIVER), "d1") == seen
    age_expiry(client, keys.ledger(DRIVER, "d1"), 5_000)
    store.apply(DRIVER, frame(window(at=2)))
    assert {client.ttl(key) for key in hashes} == {86_400}
    assert store.totals(DRIVER)["trip_count"].to_list() == [3]
    store.close()


def age_expiry(client: redis.Redis, ledger: str, milliseconds: int) -> None:
    """Move the time at which the time to live of an id was set into the past."""
    totals, renewed, *last = str(client.hget(ledger, "totals")).rsplit(" ", 3)
    client.hset(ledger, "totals", " ".join([totals, str(int(renewed) - milliseconds), *last]))


@pytest.mark.parametrize("lost", ["totals", "ledger"])
def test_an_id_with_one_hash_is_missing(
    redis_only: Settings, client: redis.Redis, window: Build, frame: Build, lost: str
) -> None:
    """Where one hash is lost the other is deleted, and the id starts again."""
    store = connect_redis(redis_only, "main")
    store.apply(DRIVER, frame(window(at=0), window(at=1)))
    client.delete(getattr(RedisKeys.of(redis_only), lost)(DRIVER, "d1"))
    store.apply(DRIVER, frame(window(at=1, trip_count=5)))
    assert store.totals(DRIVER)["trip_count"].to_list() == [5]
    assert store.windows(DRIVER).height == 1
    store.close()


def test_a_window_older_than_the_ledger_is_refused(
    redis_only: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """A window over 48 h before the newest of its id is counted as refused and not added."""
    store = connect_redis(redis_only, "main")
    store.apply(DRIVER, frame(window(at=TWO_DAYS)))
    late = frame(window(at=-1), window(at=0), window("d2", at=-1))
    assert store.apply(DRIVER, late) == ApplyResult(applied=2, refused=1)
    assert store.totals(DRIVER)["trip_count"].to_list() == [2, 1]
    assert client.hget(RedisKeys.of(redis_only).meta, "refused:driver") == "1"
    store.close()


def test_the_ledger_is_pruned(redis_only: Settings, window: Build, frame: Build) -> None:
    """The ledger stays bounded while the totals keep all windows, also their earliest start."""
    store = connect_redis(redis_only, "main")
    for day in range(10):
        rows = frame(*(window(at=day * 288 + n) for n in range(288)))
        assert store.apply(DRIVER, rows) == ApplyResult(applied=288)
    starts = store.windows(DRIVER)["window_start"]
    newest = window(at=2_879)["window_start"]
    assert starts.max() == newest
    assert TWO_DAYS < starts.len() <= TWO_DAYS * 1.25 + 1
    totals = store.totals(DRIVER)
    assert totals["trip_count"].to_list() == [2_880]
    assert totals["start_time"].to_list() == [window()["start_time"]]

    later = window(at=2_879)["start_time"] + 1
    store.apply(DRIVER, frame(window(at=2_879, generation=1, start_time=later)))
    assert store.totals(DRIVER)["start_time"].to_list() == [window()["start_time"]]
    store.close()


def test_a_jump_in_time_leaves_one_window(
    redis_only: Settings, window: Build, frame: Build
) -> None:
    """Windows of a batch are applied oldest first; then those that became too old are removed."""
    store = connect_redis(redis_only, "main")
    assert store.apply(DRIVER, frame(window(at=0), window(at=9_999))) == ApplyResult(applied=2)
    assert store.windows(DRIVER).height == 1
    assert store.totals(DRIVER)["trip_count"].to_list() == [2]
    store.close()


def test_expired_ids_leave_the_index(
    redis_only: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """The next call removes ids without changes for a day from the index, and keeps the others."""
    keys, store = RedisKeys.of(redis_only), connect_redis(redis_only, "main")
    store.apply(DRIVER, frame(window("gone"), window("here")))
    client.zincrby(keys.seen(DRIVER), -86_402, "gone")
    client.delete(keys.totals(DRIVER, "gone"), keys.ledger(DRIVER, "gone"))
    store.apply(DRIVER, frame(window("new")))
    for members in (keys.index(DRIVER), keys.seen(DRIVER)):
        assert client.zrange(members, 0, -1) == ["here", "new"]
    assert client.zrangebylex(keys.index(DRIVER), "[i", "+") == ["new"]
    assert store.totals(DRIVER)["id"].to_list() == ["here", "new"]
    store.close()


def test_a_lost_id_is_filled_from_postgres(
    both: Both, settings: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """After Redis was emptied, the next window of an id fills all of its totals."""
    postgres_store, redis_store = both
    ids = ["d1", "d 2", 'd"3', "é:4"]
    history = [window(name, at=at) for name in ids for at in (0, 5, TWO_DAYS + 9)]
    for store in (postgres_store, redis_store):
        store.apply(DRIVER, highest_versions(frame(*history)))
    for key in client.scan_iter(f"{settings.redis_prefix}*driver*"):
        client.delete(key)

    changes = highest_versions(frame(*(window(name, at=TWO_DAYS + 10) for name in [*ids, "new"])))
    postgres_store.apply(DRIVER, changes)
    assert redis_store.apply(DRIVER, changes) == ApplyResult(unchanged=5)
    assert_frame_equal(redis_store.totals(DRIVER), postgres_store.totals(DRIVER))
    recent = postgres_store.windows(DRIVER).filter(
        pl.col("window_start") > window(at=6)["window_start"]
    )
    assert_frame_equal(redis_store.windows(DRIVER), recent)


@pytest.mark.parametrize("postgres_first", [True, False])
def test_a_fill_counts_nothing_twice(
    both: Both, window: Build, frame: Build, postgres_first: bool
) -> None:
    """Totals are the same whether or not the history contains the windows of the batch."""
    postgres_store, redis_store = both
    postgres_store.apply(DRIVER, frame(window(at=0), window(at=1)))
    changes = frame(window(at=1, trip_count=4), window(at=2))
    for store in (postgres_store, redis_store) if postgres_first else (redis_store, postgres_store):
        store.apply(DRIVER, changes)
    assert_frame_equal(redis_store.totals(DRIVER), postgres_store.totals(DRIVER))
    assert_frame_equal(redis_store.windows(DRIVER), postgres_store.windows(DRIVER))
    assert redis_store.totals(DRIVER)["trip_count"].to_list() == [6]


def test_a_new_id_is_not_filled(
    settings: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """It starts with its first batch, also over several script calls; a lost id is filled."""
    rows = [window("first"), *(window("long", at=at) for at in range(CHUNK + 5)), window("new")]
    read: list[list[str]] = []

    class RecordingHistory(PostgresHistory):
        def lock_and_read(self, entity: Entity, ids: list[str], use: Callable[[History], T]) -> T:
            read.append(ids)
            return super().lock_and_read(entity, ids, use)

    postgres_store = connect_postgres(settings, "main")
    session = RedisSession(client, settings, "main")
    redis_store = RedisStore(
        session,
        settings,
        RecordingHistory(open_postgres_session(settings), settings),
        session.initialize(),
    )
    new_ids = postgres_store.apply(DRIVER, frame(*rows)).new_ids
    assert sorted(new_ids) == ["first", "long", "new"]
    redis_store.apply(DRIVER, frame(*rows), new_ids)
    assert read == []
    changes = [window(name, at=CHUNK + 9) for name in ("first", "long", "new")]
    client.delete(RedisKeys.of(settings).ledger(DRIVER, "long"))
    assert postgres_store.apply(DRIVER, frame(*changes)).new_ids == ()
    redis_store.apply(DRIVER, frame(*changes))
    assert read == [["long"]]
    assert_frame_equal(redis_store.totals(DRIVER), postgres_store.totals(DRIVER))
    for store in (postgres_store, redis_store):
        store.close()


def test_a_new_id_that_exists_is_kept(both: Both, window: Build, frame: Build) -> None:
    """It may have been filled since Postgres took the batch, with later windows as well."""
    postgres_store, redis_store = both
    first, second = frame(window(at=0)), frame(window(at=TWO_DAYS + 1))
    new_ids = postgres_store.apply(DRIVER, first).new_ids
    postgres_store.apply(DRIVER, second)
    redis_store.refill(DRIVER, ["d1"])
    for rows in (first, second):
        assert redis_store.apply(DRIVER, rows, new_ids) == ApplyResult(unchanged=1)
    assert_frame_equal(redis_store.totals(DRIVER), postgres_store.totals(DRIVER))


def test_a_new_id_that_is_lost_between_two_calls_is_filled(
    both: Both, settings: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """Only the first script call may start a new id; the second fills it where it is missing."""
    rows = frame(*(window(at=at) for at in range(CHUNK + 5)))
    postgres_store, redis_store = both
    new_ids = postgres_store.apply(DRIVER, rows).new_ids
    run, calls = redis_store._session.run_script, count()

    def lose(script: str, keys: list[str], args: list[str | int | bytes]) -> list[Any]:
        if next(calls) == 1:
            assert client.delete(RedisKeys.of(settings).ledger(DRIVER, "d1"))
        done: list[Any] = run(script, keys, args)
        return done

    with patch.object(redis_store._session, "run_script", lose):
        redis_store.apply(DRIVER, rows, new_ids)
    assert_frame_equal(redis_store.totals(DRIVER), postgres_store.totals(DRIVER))


@pytest.mark.parametrize("since", ["it was emptied", "a backfill is running"])
def test_a_new_id_is_filled_where_it_may_have_been_lost(
    both: Both, settings: Settings, client: redis.Redis, window: Build, frame: Build, since: str
) -> None:
    """A backfill may have written windows that the flow does not repeat, and Redis lost them."""
    postgres_store, redis_store = both
    rows = frame(window(at=0))
    new_ids = postgres_store.apply(DRIVER, rows).new_ids
    postgres_store.apply(DRIVER, frame(window(at=1, generation=1)))
    if since == "it was emptied":
        assert client.delete(*client.scan_iter(f"{settings.redis_prefix}*"))
        connect_redis(settings, "main").close()
    else:
        until = f"{(time.time() + 30) * 1_000:.0f}"
        client.hset(RedisKeys.of(settings).meta, "backfill_until", until)
    assert redis_store.apply(DRIVER, rows, new_ids) == ApplyResult(unchanged=1)
    assert_frame_equal(redis_store.totals(DRIVER), postgres_store.totals(DRIVER))


def test_a_filled_id_keeps_its_earliest_start(both: Both, window: Build, frame: Build) -> None:
    """A trip from before the filled windows stays the first when these change or are removed."""
    postgres_store, redis_store = both
    postgres_store.apply(DRIVER, frame(window(at=0), window(at=TWO_DAYS + 1)))
    recent = window(at=TWO_DAYS + 1)
    corrected = recent | {"generation": 1, "start_time": recent["start_time"] + 60_000}
    redis_store.apply(DRIVER, frame(corrected))
    redis_store.apply(DRIVER, frame(window(at=TWO_DAYS * 3)))  # prunes the ledger
    assert redis_store.totals(DRIVER)["start_time"].to_list() == [window()["start_time"]]


def test_a_filled_id_keeps_its_latest_start(both: Both, window: Build, frame: Build) -> None:
    """Where all filled windows lose their trips, the last trip is one from before them.

    It need not be in the last of those: by their ends, a later window can hold an earlier start.
    """
    postgres_store, redis_store = both
    recent = window(at=TWO_DAYS + 2)
    long = window(at=1, **dict.fromkeys(STARTS, window()["start_time"] - 7_200_000))
    postgres_store.apply(DRIVER, frame(window(at=0), long, recent))
    redis_store.refill(DRIVER, ["d1"])
    empty = {"trip_count": 0, "total_duration": 0, "total_distance": 0, "total_revenue": 0}
    for store in (postgres_store, redis_store):
        store.apply(DRIVER, frame(recent | {"generation": 1, **empty}))
        assert store.totals(DRIVER)["last_start_time"].to_list() == [window()["last_start_time"]]


def test_an_id_without_a_latest_start_is_filled_from_postgres(
    both: Both, settings: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """An id of release 0.1 counts as missing, and is filled at its next window."""
    postgres_store, redis_store = both
    for store in (postgres_store, redis_store):
        store.apply(DRIVER, frame(window("d1"), window("d2")))
    keys = RedisKeys.of(settings)
    for name in ("d1", "d2"):
        client.hdel(keys.totals(DRIVER, name), "last_start_time")
        ledger = keys.ledger(DRIVER, name)
        earlier, *_ = str(client.hget(ledger, "totals")).rsplit(" ", 2)
        client.hset(ledger, "totals", earlier)
    assert redis_store.missing_ids(DRIVER, ["d1", "d2"]) == ["d1", "d2"]
    redis_store.refill(DRIVER, ["d1"])
    for store in (postgres_store, redis_store):
        store.apply(DRIVER, frame(window("d2", trip_count=2)))
    assert redis_store.missing_ids(DRIVER, ["d1", "d2"]) == []
    assert_frame_equal(redis_store.totals(DRIVER), postgres_store.totals(DRIVER))


def test_the_lease_is_checked_at_every_call(
    redis_only: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """After the lease expired another flow may write, and the first is refused from then on."""
    main = connect_redis(redis_only, "main")
    meta = RedisKeys.of(redis_only).meta
    client.hset(meta, "lease_until", "0")
    serving = connect_redis(redis_only, "serving")
    serving.apply(DRIVER, frame(window()))
    with pytest.raises(StoreError, match="by the flow `serving`, so `main` may not"):
        main.apply(DRIVER, frame(window(at=1)))
    with pytest.raises(StoreError, match="`serving`"):
        main.record_progress(DRIVER, 0, 1, 1)
    assert serving.totals(DRIVER)["trip_count"].to_list() == [1]
    for store in (main, serving):
        store.close()


def test_every_write_extends_the_lease(
    redis_only: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """Windows and progress: the lease ends 30 s after the last call."""
    store, meta = connect_redis(redis_only, "main"), RedisKeys.of(redis_only).meta
    for call in (
        lambda: store.apply(DRIVER, frame(window())),
        lambda: store.record_progress(DRIVER, 0, 1, 1),
    ):
        client.hset(meta, "lease_until", "1")
        call()
        seconds_left = int(client.hget(meta, "lease_until") or 0) / 1_000 - time.time()
        assert 20 < seconds_left <= 31
    store.close()


def test_a_lost_connection_is_replaced(
    redis_only: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """After the server closed the connection and lost the script, the next batch is written."""
    store = connect_redis(redis_only, "main")
    client.script_flush()
    # Only its own connection: other tests use the same server.
    client.client_kill_filter(_id=str(store._client.client_id()))
    assert store.apply(DRIVER, frame(window())) == ApplyResult(applied=1)
    store.close()


def test_an_unreachable_redis_is_named(redis_only: Settings) -> None:
    """The message names the store without its password; retries are bounded."""
    sleeps: list[float] = []
    nowhere = msgspec.structs.replace(redis_only, redis="redis://:secret@127.0.0.1:1/0")
    with pytest.raises(StoreError, match=r"Redis at redis://:\*\*\*@127\.0\.0\.1:1") as error:
        connect_redis(nowhere, "main", sleep=sleeps.append)
    assert "secret" not in str(error.value)
    assert "MOBILITY_REDIS" in str(error.value)
    assert sum(sleeps) < 20
