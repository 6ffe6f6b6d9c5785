"""Batches: the totals of many ids at once."""

from typing import Any

import msgspec
import pytest
from redis import Redis

from mobility.keys import RedisKeys
from mobility.measures import EXTREMES
from mobility.settings import Settings
from tests.api.expected import (
    DRIVER,
    IDS,
    NOON,
    amounts_of,
    client,
    fill_stores,
    get_json,
    iso,
    random_windows,
    wait_for_redis,
    with_stores,
)

pytestmark = pytest.mark.services

ROWS = random_windows()


@pytest.mark.parametrize("store", ["redis", "postgres"])
def test_items_are_in_the_order_of_the_ids(settings: Settings, store: str) -> None:
    """Each id has its totals, as often as it is in the batch; unknown ids are null."""
    one = with_stores(settings, store)
    fill_stores(one, ROWS)
    ids = [*reversed(IDS), "nobody", "a\0b", IDS[0], ""]
    with client(one) as http:
        response = http.post("/batch/driver", json={"ids": ids})
        assert response.status_code == 200
        body = response.json()
        assert (body["store"], body["as_of"]) == (store, iso(NOON))
        for entity_id, item in zip(ids, body["items"], strict=True):
            if entity_id in IDS:
                single = get_json(http, "/metrics/driver", id=entity_id)
                assert item == {name: single[name] for name in item}
                assert set(item) == {"id", *EXTREMES, *amounts_of(single)}
            else:
                assert item is None
        assert http.post("/batch/h3", json={"ids": ids}).json()["items"] == [None] * len(ids)


def test_a_batch_of_a_range(settings: Settings) -> None:
    """Each id has the totals that it has alone; one without trips in the range has zeros."""
    fill_stores(settings, ROWS)
    ids = [*IDS, "nobody", IDS[0]]
    ranges = [(NOON - 3 * 3_600_000, NOON - 3_600_000), (NOON, NOON + 300_000), (0, NOON)]
    with client(settings) as http, client(with_stores(settings, "redis")) as redis_only:
        for start, end in ranges:
            query = {"from": iso(start), "to": iso(end)}
            body = http.post("/batch/driver", params=query, json={"ids": ids}).json()
            assert (body["from"], body["to"]) == (iso(start), iso(end))
            assert (body["store"], body["as_of"]) == ("postgres", iso(NOON))
            singles = [get_json(http, "/metrics/driver", id=each, **query) for each in IDS]
            expected = [
                {name: single[name] for name in ("id", *EXTREMES, *amounts_of(single))}
                for single in singles
            ]
            assert body["items"] == [*expected, None, expected[0]]
        open_range = {"from": iso(NOON)}
        found = http.post("/batch/h3", params=open_range, json={"ids": ids}).json()["items"]
        assert found == [None] * len(ids)
        problem = redis_only.post("/batch/driver", params=open_range, json={"ids": ids})
    assert problem.status_code == 404
    assert problem.json()["type"] == "/problems/needs-postgres"


def test_the_size_is_limited(settings: Settings) -> None:
    """A thousand ids are allowed; more, none, and anything that is not an id is an error."""
    fill_stores(settings, ROWS)
    with client(settings) as http:
        many = [*IDS, *(f"nobody-{number}" for number in range(1_000 - len(IDS)))]
        body = http.post("/batch/driver", json={"ids": many}).json()
        assert [item["id"] for item in body["items"][: len(IDS)]] == list(IDS)
        bad: list[Any] = [{"ids": [*many, "x"]}, {"ids": []}, {"ids": [1]}, {}, [], "x"]
        for wrong in bad:
            rejected = http.post("/batch/driver", json=wrong)
            assert rejected.status_code == 400, wrong
            assert rejected.json()["type"] == "/problems/bad-request"
        raw = http.post("/batch/driver", content=b'{"ids": ["\\ud800"]}')
        assert raw.status_code == 400


def test_a_batch_comes_from_one_store(settings: Settings) -> None:
    """If Redis lacks an id, all come from Postgres; while that is down, the answer is 503."""
    fill_stores(settings, ROWS)
    ids = {"ids": list(IDS)}
    no_postgres = msgspec.structs.replace(settings, postgres="postgresql://127.0.0.1:1/x")
    with (
        client(settings) as http,
        client(no_postgres) as redis_only,
        Redis.from_url(settings.redis) as redis,
    ):
        wait_for_redis(http)
        whole = http.post("/batch/driver", json=ids).json()
        assert whole.pop("store") == "redis"
        assert redis_only.post("/batch/driver", json=ids).json()["store"] == "redis"
        redis.delete(RedisKeys.of(settings).totals(DRIVER, IDS[0]))
        filled = http.post("/batch/driver", json=ids).json()
        assert filled.pop("store") == "postgres"
        assert filled == whole
        assert redis_only.post("/batch/driver", json=ids).status_code == 503
