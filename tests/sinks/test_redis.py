"""What only the fast store has: readable hashes, forgetting, filling and a lease."""

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
from sinks.postgres_session import open_session
from sinks.redis import CHUNK, RedisStore, connect_redis
from sinks.redis_session import Link
from sinks.store import Applied, StoreError
from sinks.versions import coalesced

pytestmark = pytest.mark.services

DRIVER = BY_NAME["driver"]
TWO_DAYS = 48 * 12
"""The retention of the ledger, in windows."""

Build = Any
Both = tuple[PostgresStore, RedisStore]
T = TypeVar("T")


@pytest.fixture
def both(settings: Settings) -> Iterator[Both]:
    """Return the two stores of these settings, each on its own."""
    lasting, fast = connect_postgres(settings, "main"), connect_redis(settings, "main")
    yield lasting, fast
    for store in (lasting, fast):
        store.close()


def hash_of(client: redis.Redis, settings: Settings, entity_id: str = "d1") -> dict[str, str]:
    """Return what HGETALL answers for an id."""
    held = client.hgetall(RedisKeys.of(settings).totals(DRIVER, entity_id))
    return {str(name): str(value) for name, value in held.items()}


def test_the_hash_is_readable(
    alone: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """Any client finds units as exact decimals, a mean, and the start in ISO 8601."""
    store = connect_redis(alone, "main")
    store.apply(DRIVER, frame(window(trip_count=3, total_revenue=-50_000, total_distance=7)))
    assert hash_of(client, alone) == {
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
    alone: Settings, client: redis.Redis, window: Build, frame: Build, micro: int, text: str
) -> None:
    """Amounts beyond 2^53, where doubles have gaps, are exact to the last place."""
    store = connect_redis(alone, "main")
    store.apply(DRIVER, frame(window(total_revenue=micro), window(at=1, total_revenue=5)))
    store.apply(DRIVER, frame(window(at=1, total_revenue=0, trip_count=2)))
    assert hash_of(client, alone)["total_revenue"] == text
    assert store.totals(DRIVER)["total_revenue"].to_list() == [micro]
    store.close()


def test_a_store_of_an_older_version_goes_on(
    alone: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """What stands in the hashes of an id is read as it was always written, and written so again."""
    keys, store = RedisKeys.of(alone), connect_redis(alone, "main")
    ledger, start = keys.ledger(DRIVER, "d1"), window()["window_start"]
    held = "0 2 25000000 9007199254740993 -50000 2025-01-01T00:00:05Z early"
    state = "3 37 500000 9007199260 990993 -1 999999 {0} {0} 2024-12-31T23:59:59.500Z {1}"
    client.hset(
        ledger,
        mapping={str(start): held, "totals": state.format(start, "2024-12-31T23:59:59.500Z")},
    )
    client.hset(keys.totals(DRIVER, "d1"), "trip_count", "3")
    grown = window(trip_count=3, total_distance=2**53 + 3, total_revenue=0)
    assert store.apply(DRIVER, frame(grown)) == Applied(applied=1)
    now_held = client.hgetall(ledger)
    assert now_held[str(start)] == (
        "0 3 12500000 9007199254740995 0 2025-01-01T00:00:05Z early 2025-01-01T00:01:05Z"
    )
    totals, renewed, *last = str(now_held["totals"]).rsplit(" ", 3)
    assert last == ["2025-01-01T00:01:05Z", "2024-12-31T23:59:59.500Z"]
    assert totals == "4 25 0 9007199260 990995 0 49999 {0} {0} 2024-12-31T23:59:59.500Z {1}".format(
        start, "2024-12-31T23:59:59.500Z"
    )
    assert abs(int(renewed) / 1_000 - time.time()) < 30
    assert client.ttl(ledger) == 86_400
    assert hash_of(client, alone) == {
        "trip_count": "4",
        "avg_duration": "6.25",
        "total_duration": "25",
        "total_distance": "9007199260.990995",
        "total_revenue": "0.049999",
        "last_start_time": "2025-01-01T00:01:05Z",
    }
    store.close()


def test_what_knew_no_latest_start_finds_it(
    alone: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """An earlier release kept the earliest alone: it stands for both until the id has news."""
    keys, store = RedisKeys.of(alone), connect_redis(alone, "main")
    ledger, start = keys.ledger(DRIVER, "d1"), window()["window_start"]
    moments = ["2025-01-01T00:00:05Z", "2025-01-01T00:05:05Z"]
    for at, moment in enumerate(moments):
        client.hset(ledger, str(start + at * 300_000), f"0 1 1 1 1 {moment} on_time")
    state = f"2 0 2 0 2 0 2 {start} {start + 300_000} {moments[0]} -"
    client.hset(ledger, "totals", f"{state} 1735689600000")
    totals = {"trip_count": "2", "start_time": moments[0]} | dict.fromkeys(TOTALS, "0.000002")
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
def test_an_index_that_was_lost_comes_back(
    alone: Settings, client: redis.Redis, window: Build, frame: Build, index: str
) -> None:
    """The next news of an id puts it back into a sorted set that somebody has deleted."""
    keys, store = RedisKeys.of(alone), connect_redis(alone, "main")
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
def test_a_mean_reads_back(
    alone: Settings, client: redis.Redis, window: Build, frame: Build, micro: int, count: int
) -> None:
    """The mean is the shortest text of 15 digits, or of 17, that is the same double."""
    store = connect_redis(alone, "main")
    store.apply(DRIVER, frame(window(total_duration=micro, trip_count=count)))
    mean = micro / (count * 1_000_000)
    short = f"{mean:.15g}"
    text = short if float(short) == mean else f"{mean:.17g}"
    assert hash_of(client, alone)["avg_duration"] == text
    store.close()


def test_both_halves_expire(
    alone: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """Totals and ledger live for the same time after the last news; a repeat is none."""
    keys, store = RedisKeys.of(alone), connect_redis(alone, "main")
    halves = [keys.totals(DRIVER, "d1"), keys.ledger(DRIVER, "d1")]
    store.apply(DRIVER, frame(window()))
    assert {client.ttl(half) for half in halves} == {86_400}
    age(client, keys.ledger(DRIVER, "d1"), 60_000)
    for half in halves:
        client.expire(half, 100)
    store.apply(DRIVER, frame(window()))
    assert {client.ttl(half) for half in halves} == {100}
    store.apply(DRIVER, frame(window(at=1)))
    assert {client.ttl(half) for half in halves} == {86_400}
    store.close()


def test_news_of_the_same_minute_renew_nothing(
    alone: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """So an id lives for a day after its last news, less a minute at most, and costs half."""
    keys, store = RedisKeys.of(alone), connect_redis(alone, "main")
    halves = [keys.totals(DRIVER, "d1"), keys.ledger(DRIVER, "d1")]
    store.apply(DRIVER, frame(window()))
    seen = client.zscore(keys.seen(DRIVER), "d1")
    age(client, keys.ledger(DRIVER, "d1"), 55_000)
    for half in halves:
        client.expire(half, 86_345)
    store.apply(DRIVER, frame(window(at=1)))
    assert {client.ttl(half) for half in halves} == {86_345}
    assert client.zscore(keys.seen(DRIVER), "d1") == seen
    age(client, keys.ledger(DRIVER, "d1"), 5_000)
    store.apply(DRIVER, frame(window(at=2)))
    assert {client.ttl(half) for half in halves} == {86_400}
    assert store.totals(DRIVER)["trip_count"].to_list() == [3]
    store.close()


def age(client: redis.Redis, ledger: str, milliseconds: int) -> None:
    """Make an id's time to live as long ago as if the clock had gone on by so much."""
    totals, renewed, *last = str(client.hget(ledger, "totals")).rsplit(" ", 3)
    client.hset(ledger, "totals", " ".join([totals, str(int(renewed) - milliseconds), *last]))


@pytest.mark.parametrize("half", ["totals", "ledger"])
def test_half_an_id_is_none(
    alone: Settings, client: redis.Redis, window: Build, frame: Build, half: str
) -> None:
    """Where one hash is gone the other is worth nothing, and the id starts afresh."""
    store = connect_redis(alone, "main")
    store.apply(DRIVER, frame(window(at=0), window(at=1)))
    client.delete(getattr(RedisKeys.of(alone), half)(DRIVER, "d1"))
    store.apply(DRIVER, frame(window(at=1, trip_count=5)))
    assert store.totals(DRIVER)["trip_count"].to_list() == [5]
    assert store.windows(DRIVER).height == 1
    store.close()


def test_what_is_older_than_the_ledger_is_refused(
    alone: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """A window over 48 h behind its id's newest is counted as refused and never added."""
    store = connect_redis(alone, "main")
    store.apply(DRIVER, frame(window(at=TWO_DAYS)))
    late = frame(window(at=-1), window(at=0), window("d2", at=-1))
    assert store.apply(DRIVER, late) == Applied(applied=2, refused=1)
    assert store.totals(DRIVER)["trip_count"].to_list() == [2, 1]
    assert client.hget(RedisKeys.of(alone).meta, "refused:driver") == "1"
    store.close()


def test_the_ledger_is_pruned(alone: Settings, window: Build, frame: Build) -> None:
    """The ledger stays bounded while the totals keep all windows, also their earliest start."""
    store = connect_redis(alone, "main")
    for day in range(10):
        rows = frame(*(window(at=day * 288 + n) for n in range(288)))
        assert store.apply(DRIVER, rows) == Applied(applied=288)
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


def test_a_leap_leaves_one_window(alone: Settings, window: Build, frame: Build) -> None:
    """Windows of one batch are applied oldest first, then what became too old is dropped."""
    store = connect_redis(alone, "main")
    assert store.apply(DRIVER, frame(window(at=0), window(at=9_999))) == Applied(applied=2)
    assert store.windows(DRIVER).height == 1
    assert store.totals(DRIVER)["trip_count"].to_list() == [2]
    store.close()


def test_expired_ids_leave_the_index(
    alone: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """The next call takes ids without news for a day out of the index, and keeps the others."""
    keys, store = RedisKeys.of(alone), connect_redis(alone, "main")
    store.apply(DRIVER, frame(window("gone"), window("here")))
    client.zincrby(keys.seen(DRIVER), -86_402, "gone")
    client.delete(keys.totals(DRIVER, "gone"), keys.ledger(DRIVER, "gone"))
    store.apply(DRIVER, frame(window("new")))
    for members in (keys.index(DRIVER), keys.seen(DRIVER)):
        assert client.zrange(members, 0, -1) == ["here", "new"]
    assert client.zrangebylex(keys.index(DRIVER), "[i", "+") == ["new"]
    assert store.totals(DRIVER)["id"].to_list() == ["here", "new"]
    store.close()


def test_a_forgotten_id_is_filled_from_postgres(
    both: Both, settings: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """After Redis lost everything, each id's next window brings all of its totals back."""
    lasting, fast = both
    ids = ["d1", "d 2", 'd"3', "é:4"]
    history = [window(name, at=at) for name in ids for at in (0, 5, TWO_DAYS + 9)]
    for store in (lasting, fast):
        store.apply(DRIVER, coalesced(frame(*history)))
    for key in client.scan_iter(f"{settings.redis_prefix}*driver*"):
        client.delete(key)

    news = coalesced(frame(*(window(name, at=TWO_DAYS + 10) for name in [*ids, "new"])))
    lasting.apply(DRIVER, news)
    assert fast.apply(DRIVER, news) == Applied(unchanged=5)
    assert_frame_equal(fast.totals(DRIVER), lasting.totals(DRIVER))
    recent = lasting.windows(DRIVER).filter(pl.col("window_start") > window(at=6)["window_start"])
    assert_frame_equal(fast.windows(DRIVER), recent)


@pytest.mark.parametrize("lasting_first", [True, False])
def test_a_fill_counts_nothing_twice(
    both: Both, window: Build, frame: Build, lasting_first: bool
) -> None:
    """The totals are right whether or not the fill already holds the windows being applied."""
    lasting, fast = both
    lasting.apply(DRIVER, frame(window(at=0), window(at=1)))
    news = frame(window(at=1, trip_count=4), window(at=2))
    for store in (lasting, fast) if lasting_first else (fast, lasting):
        store.apply(DRIVER, news)
    assert_frame_equal(fast.totals(DRIVER), lasting.totals(DRIVER))
    assert_frame_equal(fast.windows(DRIVER), lasting.windows(DRIVER))
    assert fast.totals(DRIVER)["trip_count"].to_list() == [6]


def test_an_id_that_nobody_has_seen_is_not_asked_for(
    settings: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """It begins with its first batch, also over several calls; a lost one is asked for again."""
    rows = [window("first"), *(window("long", at=at) for at in range(CHUNK + 5)), window("new")]
    asked: list[list[str]] = []

    class Watched(PostgresHistory):
        def hold(self, entity: Entity, ids: list[str], use: Callable[[History], T]) -> T:
            asked.append(ids)
            return super().hold(entity, ids, use)

    lasting = connect_postgres(settings, "main")
    link = Link(client, settings, "main")
    fast = RedisStore(link, settings, Watched(open_session(settings), settings), link.sign())
    unseen = lasting.apply(DRIVER, frame(*rows)).unseen
    assert sorted(unseen) == ["first", "long", "new"]
    fast.apply(DRIVER, frame(*rows), unseen)
    assert asked == []
    news = [window(name, at=CHUNK + 9) for name in ("first", "long", "new")]
    client.delete(RedisKeys.of(settings).ledger(DRIVER, "long"))
    assert lasting.apply(DRIVER, frame(*news)).unseen == ()
    fast.apply(DRIVER, frame(*news))
    assert asked == [["long"]]
    assert_frame_equal(fast.totals(DRIVER), lasting.totals(DRIVER))
    for store in (lasting, fast):
        store.close()


def test_what_redis_has_of_an_unseen_id_stays(both: Both, window: Build, frame: Build) -> None:
    """Somebody else may have filled it in since Postgres took the batch, with more than that."""
    lasting, fast = both
    first, second = frame(window(at=0)), frame(window(at=TWO_DAYS + 1))
    unseen = lasting.apply(DRIVER, first).unseen
    lasting.apply(DRIVER, second)
    fast.refill(DRIVER, ["d1"])
    for rows in (first, second):
        assert fast.apply(DRIVER, rows, unseen) == Applied(unchanged=1)
    assert_frame_equal(fast.totals(DRIVER), lasting.totals(DRIVER))


def test_an_unseen_id_that_is_lost_half_way_is_whole(
    both: Both, settings: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """What its second call finds absent it asks for: only the first may begin it."""
    rows = frame(*(window(at=at) for at in range(CHUNK + 5)))
    lasting, fast = both
    unseen = lasting.apply(DRIVER, rows).unseen
    run, calls = fast._link.run, count()

    def lose(script: str, keys: list[str], args: list[str | int | bytes]) -> list[Any]:
        if next(calls) == 1:
            assert client.delete(RedisKeys.of(settings).ledger(DRIVER, "d1"))
        done: list[Any] = run(script, keys, args)
        return done

    with patch.object(fast._link, "run", lose):
        fast.apply(DRIVER, rows, unseen)
    assert_frame_equal(fast.totals(DRIVER), lasting.totals(DRIVER))


@pytest.mark.parametrize("since", ["it was emptied", "a backfill is at work"])
def test_an_unseen_id_is_asked_for(
    both: Both, settings: Settings, client: redis.Redis, window: Build, frame: Build, since: str
) -> None:
    """Where somebody may have brought what the flow does not bring again, and Redis lost it."""
    lasting, fast = both
    rows = frame(window(at=0))
    unseen = lasting.apply(DRIVER, rows).unseen
    lasting.apply(DRIVER, frame(window(at=1, generation=1)))
    if since == "it was emptied":
        assert client.delete(*client.scan_iter(f"{settings.redis_prefix}*"))
        connect_redis(settings, "main").close()
    else:
        until = f"{(time.time() + 30) * 1_000:.0f}"
        client.hset(RedisKeys.of(settings).meta, "backfill_until", until)
    assert fast.apply(DRIVER, rows, unseen) == Applied(unchanged=1)
    assert_frame_equal(fast.totals(DRIVER), lasting.totals(DRIVER))


def test_a_filled_id_keeps_its_earliest_start(both: Both, window: Build, frame: Build) -> None:
    """A trip from before the filled windows stays the first when those are corrected or dropped."""
    lasting, fast = both
    lasting.apply(DRIVER, frame(window(at=0), window(at=TWO_DAYS + 1)))
    recent = window(at=TWO_DAYS + 1)
    corrected = recent | {"generation": 1, "start_time": recent["start_time"] + 60_000}
    fast.apply(DRIVER, frame(corrected))
    fast.apply(DRIVER, frame(window(at=TWO_DAYS * 3)))  # prunes the ledger
    assert fast.totals(DRIVER)["start_time"].to_list() == [window()["start_time"]]


def test_a_filled_id_keeps_its_latest_start(both: Both, window: Build, frame: Build) -> None:
    """Where the filled windows are all emptied, the last trip is one from before them.

    It need not be in the last of those: by their ends, a later window can hold an earlier start.
    """
    lasting, fast = both
    recent = window(at=TWO_DAYS + 2)
    long = window(at=1, **dict.fromkeys(STARTS, window()["start_time"] - 7_200_000))
    lasting.apply(DRIVER, frame(window(at=0), long, recent))
    fast.refill(DRIVER, ["d1"])
    empty = {"trip_count": 0, "total_duration": 0, "total_distance": 0, "total_revenue": 0}
    for store in (lasting, fast):
        store.apply(DRIVER, frame(recent | {"generation": 1, **empty}))
        assert store.totals(DRIVER)["last_start_time"].to_list() == [window()["last_start_time"]]


def test_what_knew_no_latest_start_is_filled_from_postgres(
    both: Both, settings: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """An id of an earlier release counts as lost, and its next news bring it back whole."""
    lasting, fast = both
    for store in (lasting, fast):
        store.apply(DRIVER, frame(window("d1"), window("d2")))
    keys = RedisKeys.of(settings)
    for name in ("d1", "d2"):
        client.hdel(keys.totals(DRIVER, name), "last_start_time")
        ledger = keys.ledger(DRIVER, name)
        earlier, *_ = str(client.hget(ledger, "totals")).rsplit(" ", 2)
        client.hset(ledger, "totals", earlier)
    assert fast.absent(DRIVER, ["d1", "d2"]) == ["d1", "d2"]
    fast.refill(DRIVER, ["d1"])
    for store in (lasting, fast):
        store.apply(DRIVER, frame(window("d2", trip_count=2)))
    assert fast.absent(DRIVER, ["d1", "d2"]) == []
    assert_frame_equal(fast.totals(DRIVER), lasting.totals(DRIVER))


def test_the_lease_is_checked_at_every_call(
    alone: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """When the lease has run out another flow takes over, and the first is refused from then on."""
    main = connect_redis(alone, "main")
    meta = RedisKeys.of(alone).meta
    client.hset(meta, "lease_until", "0")
    serving = connect_redis(alone, "serving")
    serving.apply(DRIVER, frame(window()))
    with pytest.raises(StoreError, match="by the flow `serving`, so `main` may not"):
        main.apply(DRIVER, frame(window(at=1)))
    with pytest.raises(StoreError, match="`serving`"):
        main.record_progress(DRIVER, 0, 1, 1)
    assert serving.totals(DRIVER)["trip_count"].to_list() == [1]
    for store in (main, serving):
        store.close()


def test_news_and_progress_renew_the_lease(
    alone: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """Every call of the flow that holds the store extends its lease."""
    store, meta = connect_redis(alone, "main"), RedisKeys.of(alone).meta
    for call in (
        lambda: store.apply(DRIVER, frame(window())),
        lambda: store.record_progress(DRIVER, 0, 1, 1),
    ):
        client.hset(meta, "lease_until", "1")
        call()
        assert int(client.hget(meta, "lease_until") or 0) > 1
    store.close()


def test_a_lost_connection_comes_back(
    alone: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """After the server closed the connection, and forgot the script, the next batch is written."""
    store = connect_redis(alone, "main")
    client.script_flush()
    # Its own connection alone: other tests are at work on the same server.
    client.client_kill_filter(_id=str(store._client.client_id()))
    assert store.apply(DRIVER, frame(window())) == Applied(applied=1)
    store.close()


def test_an_unreachable_redis_is_named(alone: Settings) -> None:
    """The message names the store without its password, after a bounded number of attempts."""
    waits: list[float] = []
    nowhere = msgspec.structs.replace(alone, redis="redis://:secret@127.0.0.1:1/0")
    with pytest.raises(StoreError, match=r"Redis at redis://:\*\*\*@127\.0\.0\.1:1") as error:
        connect_redis(nowhere, "main", wait=waits.append)
    assert "secret" not in str(error.value)
    assert "MOBILITY_REDIS" in str(error.value)
    assert sum(waits) < 20
