"""What only Redis has: hashes for any client, expiry, and a ledger of 48 hours."""

import time
from typing import Any

import pytest
import redis

from mobility.entities import BY_NAME
from mobility.keys import RedisKeys
from mobility.measures import TOTALS
from mobility.settings import Settings
from sinks.redis import MAX_EXACT, connect_redis
from sinks.store import AmountTooLargeError, ApplyResult

pytestmark = pytest.mark.services

DRIVER = BY_NAME["driver"]
TWO_DAYS = 48 * 12
"""The retention of the ledger, in windows."""

Build = Any


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
        (10**21, "1000000000000000"),
        (MAX_EXACT - 5, "4503599627370495.999994"),
        (-MAX_EXACT, "-4503599627370495.999999"),
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


def test_a_total_that_does_not_fit_is_refused_by_name(
    redis_only: Settings, window: Build, frame: Build
) -> None:
    """Other ids are written, and this one stays as it was."""
    store = connect_redis(redis_only, "main")
    store.apply(DRIVER, frame(window(total_revenue=MAX_EXACT - 1)))
    with pytest.raises(
        AmountTooLargeError,
        match="total_revenue of driver 'd1': its limit is 4503599627370495999999",
    ):
        store.apply(DRIVER, frame(window("d0"), window(at=1, total_revenue=2)))
    assert store.totals(DRIVER)["total_revenue"].to_list() == [9_990_000, MAX_EXACT - 1]
    store.close()


def test_a_window_that_does_not_fit_is_refused_by_name(
    redis_only: Settings, window: Build, frame: Build
) -> None:
    """Nothing of its batch is written before that is known."""
    store = connect_redis(redis_only, "main")
    with pytest.raises(AmountTooLargeError, match="can't hold total_distance of driver 'd2'"):
        store.apply(DRIVER, frame(window(), window("d2", total_distance=MAX_EXACT + 1)))
    assert store.windows(DRIVER).is_empty()
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
