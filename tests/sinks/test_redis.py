"""What only Redis has: hashes for any client, expiry, and a ledger of 48 hours."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from polars.testing import assert_frame_equal

from mobility.entities import BY_NAME
from mobility.keys import RedisKeys
from mobility.measures import NULLABLE
from mobility.settings import Settings
from sinks.redis import connect_redis
from sinks.store import ApplyResult
from tests.sinks.memory_store import MemoryStore

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
    store.close()


def test_the_ledger_is_readable(
    redis_only: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """A window is a JSON object with its measures in micro-units, times in epoch ms."""
    built = window(total_revenue=2**70, generation=2, **{each.name: -5 for each in NULLABLE})
    store = connect_redis(redis_only, "main")
    store.apply(DRIVER, frame(built))
    ledger = client.hgetall(RedisKeys.of(redis_only).ledger(DRIVER, "d1"))
    start = str(built["window_start"])
    assert list(ledger) == [start]
    del built["id"], built["window_start"]
    assert json.loads(ledger[start]) == built
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
        (10**27 + 1, "1000000000000000000000.000001"),
        (-(10**27) - 1, "-1000000000000000000000.000001"),
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


def test_both_hashes_expire(
    redis_only: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """Totals and ledger expire together after the last change; a repeat changes nothing."""
    keys, store = RedisKeys.of(redis_only), connect_redis(redis_only, "main")
    hashes = [keys.totals(DRIVER, "d1"), keys.ledger(DRIVER, "d1")]
    store.apply(DRIVER, frame(window()))
    assert {client.ttl(key) for key in hashes} == {86_400}
    for key in hashes:
        client.expire(key, 100)
    store.apply(DRIVER, frame(window()))
    assert {client.ttl(key) for key in hashes} == {100}
    store.apply(DRIVER, frame(window(at=1)))
    assert {client.ttl(key) for key in hashes} == {86_400}
    store.close()


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
    assert store.apply(DRIVER, late) == ApplyResult(applied=2, too_old=1)
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


def test_two_writers_of_the_same_ids_take_turns(
    redis_only: Settings, window: Build, frame: Build
) -> None:
    """A flow and a backfill at the same moment: each transaction sees what the others have done."""
    writers = [connect_redis(redis_only, role) for role in ("main", "main", "backfill")]
    start = threading.Barrier(len(writers))
    batches = [
        [
            frame(*(window(f"d{n % 4}", at=n % 7, trip_count=2 + writer + n) for n in part))
            for part in (range(first, first + 4) for first in range(0, 40, 4))
        ]
        for writer in range(len(writers))
    ]

    def write(writer: int) -> None:
        start.wait()
        for rows in batches[writer]:
            writers[writer].apply(DRIVER, rows)

    with ThreadPoolExecutor(len(writers)) as pool:
        list(pool.map(write, range(len(writers))))
    reference = MemoryStore()
    for rows in (rows for of_writer in batches for rows in of_writer):
        reference.apply(DRIVER, rows)
    assert_frame_equal(writers[0].totals(DRIVER), reference.totals(DRIVER))
    assert_frame_equal(writers[0].windows(DRIVER), reference.windows(DRIVER))
    assert writers[0]._session.read_sequence_number(DRIVER).number == 30
    for store in writers:
        store.close()
