"""What release 0.1 has stored in Redis as the only store is rewritten at the next start."""

from typing import Any

import pytest
import redis
from polars.testing import assert_frame_equal

from mobility.entities import BY_NAME
from mobility.keys import RedisKeys
from mobility.measures import STARTS, SUMS
from mobility.settings import Settings
from sinks import take_fencing_token
from sinks.redis import connect_redis

pytestmark = pytest.mark.services

DRIVER = BY_NAME["driver"]
START = 1_735_689_600_000
"""2025-01-01T00:00:00Z, the start of the first window."""

Build = Any


def store_as_release_0_1(
    client: redis.Redis,
    settings: Settings,
    entity_id: str,
    **hashes: Any,  # noqa: ANN401 - as redis annotates it
) -> None:
    """Write the two hashes of an id, the index and the meta hash as release 0.1 did."""
    keys = RedisKeys.of(settings)
    client.hset(
        keys.meta,
        mapping={
            "fingerprint": settings.fingerprint,
            "answers": settings.answers,
            "life": "1735689600000 process 1 on host",
            "number:driver": "7",
            "fence": "12",
            "writer": "main",
            "lease_until": "1735689600000",
        },
    )
    for name, fields in hashes.items():
        key = getattr(keys, name)(DRIVER, entity_id)
        client.hset(key, mapping=fields)
        client.expire(key, 5_000)
    client.zadd(keys.index(DRIVER), {entity_id: 0})
    client.zadd(keys.seen(DRIVER), {entity_id: client.time()[0]})


def test_ids_are_rewritten(
    redis_only: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """Windows, totals, what was removed of the ledger, and the time to live."""
    early, late = "2024-12-31T23:59:59.500Z", "2025-01-01T00:01:05Z"
    store_as_release_0_1(
        client,
        redis_only,
        "d1",
        ledger={
            str(START): f"1 2 25000000 9007199254740993 -50000 2025-01-01T00:00:05Z late {late}",
            "totals": f"3 37 500000 9007199260 990993 -1 999999 {START} {START} {early} {early} "
            f"1735689600000 {late} {early}",
        },
        totals={
            "trip_count": "3",
            "avg_duration": "12.5",
            "total_duration": "37.5",
            "total_distance": "9007199260.990993",
            "total_revenue": "-0.000001",
            "start_time": early,
            "last_start_time": late,
        },
    )
    keys, store = RedisKeys.of(redis_only), connect_redis(redis_only, "main")
    expected = window(
        trip_count=2,
        total_duration=25_000_000,
        total_distance=9007199254740993,
        total_revenue=-50_000,
        pane="late",
        generation=1,
    )
    assert_frame_equal(store.windows(DRIVER), frame(expected))
    totals = ("d1", 3, 37_500_000, 9007199260990993, -1, 3, 3, START - 500, START + 65_000)
    columns = ["id", *SUMS, *STARTS]
    assert store.totals(DRIVER).select(columns).rows() == [totals]
    assert 4_000 < client.ttl(keys.totals(DRIVER, "d1")) <= 5_000
    assert 4_000 < client.ttl(keys.ledger(DRIVER, "d1")) <= 5_000
    assert store.sequence_number(DRIVER).number == 7

    # The earliest start was removed with its window, and the latest is taken away now.
    store.apply(DRIVER, frame(expected | {"generation": 2, "last_start_time": START + 9_000}))
    assert store.totals(DRIVER).select(columns).rows() == [(*totals[:-1], START + 9_000)]
    store.close()


def test_ids_without_a_latest_start_are_rewritten(
    redis_only: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """The first builds had only the earliest start: it is the latest until a window is replaced."""
    times = ["2025-01-01T00:00:05Z", "2025-01-01T00:05:05Z"]
    store_as_release_0_1(
        client,
        redis_only,
        "d1",
        ledger={
            **{
                str(START + at * 300_000): f"0 1 1 1 1 {text} on_time"
                for at, text in enumerate(times)
            },
            "totals": f"2 0 2 0 2 0 2 {START} {START + 300_000} {times[0]} - 1735689600000",
        },
        totals={
            "trip_count": "2",
            "start_time": times[0],
            **dict.fromkeys(("total_duration", "total_distance", "total_revenue"), "0.000002"),
        },
    )
    store = connect_redis(redis_only, "main")
    first, second = START + 5_000, START + 305_000
    assert store.totals(DRIVER).select(STARTS).row(0) == (first, first)
    assert store.windows(DRIVER)["last_start_time"].to_list() == [first, second]
    store.apply(DRIVER, frame(window(generation=1, trip_count=0)))
    assert store.totals(DRIVER).select(STARTS).row(0) == (second, second)
    store.close()


def test_it_is_done_once_and_continues(
    redis_only: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """Ids of both layouts stand beside each other where a start was interrupted."""
    keys, store = RedisKeys.of(redis_only), connect_redis(redis_only, "main")
    store.apply(DRIVER, frame(window("new")))
    before = store.totals(DRIVER), store.windows(DRIVER)
    store.close()
    client.hdel(keys.meta, "layout")
    store = connect_redis(redis_only, "main")
    assert client.hget(keys.meta, "layout") == "2"
    for found, expected in zip((store.totals(DRIVER), store.windows(DRIVER)), before, strict=True):
        assert_frame_equal(found, expected)
    store.close()


def test_a_token_is_above_that_of_the_first_release(
    redis_only: Settings, client: redis.Redis
) -> None:
    """Which looks for it in the meta hash, so that a cluster of it is refused from now on."""
    store_as_release_0_1(client, redis_only, "d1")
    meta = RedisKeys.of(redis_only).meta
    client.hset(meta, "fence", "9000000000000000")
    assert take_fencing_token(redis_only, "next") == 9_000_000_000_000_001
    assert client.hget(meta, "fence") == "9000000000000001"
