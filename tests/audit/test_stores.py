"""Redis hashes of any name, read from a real Redis."""

import uuid

import pytest
import redis
from msgspec.structs import replace

from audit.stores import read_redis_index, read_redis_totals
from mobility.entities import BY_NAME
from mobility.keys import RedisKeys
from mobility.measures import NULLABLE
from mobility.settings import Settings

pytestmark = pytest.mark.services


def test_redis_is_read_under_any_prefix_and_id(services: Settings) -> None:
    """A prefix of glob characters matches only itself, and every id is returned unchanged."""
    settings = replace(services, redis_prefix=f"[a*]?\\{uuid.uuid4().hex}:")
    keys, driver = RedisKeys.of(settings), BY_NAME["driver"]
    fields = {
        "trip_count": 2,
        "total_duration": "0.000001",
        "total_distance": "9007199254.740993",
        "total_revenue": "-1.5",
        "avg_duration": "0.0000005",
        "start_time": "2025-01-01T00:00:00Z",
        "last_start_time": "2025-01-01T00:00:01Z",
    }
    ids = sorted(["a:b", "*", "ü\n", "ledger:driver:x"])
    with redis.Redis.from_url(services.redis) as client:
        names = [keys.totals(driver, entity_id) for entity_id in ids]
        other = names[0].replace("[a*]", "a")
        try:
            for name in (*names, other):
                client.hset(name, mapping=fields)
            client.hdel(names[0], "total_revenue")
            client.zadd(keys.index(driver), dict.fromkeys(ids, 0))
            totals = read_redis_totals(settings).sort("id")
            index = read_redis_index(settings)
        finally:
            client.delete(*names, other, keys.index(driver))
    assert totals["id"].to_list() == sorted(index["id"]) == ids
    assert totals["total_revenue"].to_list() == [None, *[-1_500_000] * 3]
    assert totals.row(1, named=True) == {
        "entity": "driver",
        "id": ids[1],
        "trip_count": 2,
        "distance_count": 2,
        "revenue_count": 2,
        "total_duration": 1,
        "total_distance": 9_007_199_254_740_993,
        "total_revenue": -1_500_000,
        "avg_duration": 0.0000005,
        "start_time": 1_735_689_600_000,
        "last_start_time": 1_735_689_601_000,
        **{each.name: None for each in NULLABLE},
        "last_window_start": None,
    }
