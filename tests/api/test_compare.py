"""Two ids or two ranges beside each other, and many ids at once."""

from fractions import Fraction
from typing import Any

import msgspec
import polars as pl
import pytest
from redis import Redis

from mobility.keys import RedisKeys
from mobility.records import MICRO
from mobility.settings import Settings
from tests.api.counted import (
    DRIVER,
    IDS,
    NOON,
    SUMS,
    added,
    alone,
    answer,
    client,
    fill,
    iso,
    only,
    windows,
)

pytestmark = pytest.mark.services

ROWS = windows()
HOUR = 3_600_000
NOWHERE = Settings(redis="redis://127.0.0.1:1/0", postgres="postgresql://127.0.0.1:1/x")


@pytest.fixture
def filled(settings: Settings) -> Settings:
    """Return settings with both stores, which hold the windows."""
    fill(settings, ROWS)
    return settings


def exact(start: int, end: int, entity_id: str | None) -> dict[str, Fraction]:
    """Return the sums and means of a range, by one expression and without rounding."""
    rows = ROWS.filter(pl.col("window_start").is_between(start, end, "left"))
    if entity_id is not None:
        rows = rows.filter(pl.col("id") == entity_id)
    sums = rows.select(pl.col(name).sum() for name in SUMS).to_dicts()[0]
    count = Fraction(sums.pop("trip_count"))
    totals = {name: Fraction(value, MICRO) for name, value in sums.items()}
    means = {
        name.replace("total", "avg"): value / count if count else count
        for name, value in totals.items()
    }
    return {"trip_count": count, **totals, **means}


HOUR_BEFORE = (NOON - 2 * HOUR, NOON - HOUR)
LAST_HOUR = (NOON - HOUR, NOON)
AFTER = (NOON, NOON + HOUR)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((*LAST_HOUR, None), (*HOUR_BEFORE, None)),
        ((*LAST_HOUR, "a"), (*LAST_HOUR, "a/b")),
        ((*LAST_HOUR, "a"), (*HOUR_BEFORE, "a")),
        ((NOON - 30 * HOUR, NOON, "🚲"), (NOON - 40 * HOUR, NOON - HOUR, "windows")),
        ((*LAST_HOUR, "a"), (*AFTER, "a")),
        ((*AFTER, None), (*LAST_HOUR, None)),
    ],
    ids=str,
)
def test_difference_and_ratio_are_exact(
    filled: Settings, left: tuple[int, int, str | None], right: tuple[int, int, str | None]
) -> None:
    """Both sides are what was counted; difference and ratio are rounded once, and not by zero."""
    query: dict[str, Any] = {"from": iso(left[0]), "to": iso(left[1]), "id": left[2]}
    query |= {"other_from": iso(right[0]), "other_to": iso(right[1]), "other_id": right[2]}
    asked = {name: value for name, value in query.items() if value is not None}
    with client(filled) as http:
        body = answer(http, "/compare/driver", **asked)
    ours, others = exact(*left), exact(*right)
    for side, (start, end, entity_id), amounts in (
        (body["left"], left, ours),
        (body["right"], right, others),
    ):
        assert only(side) == {name: float(value) for name, value in amounts.items()}
        assert (side["id"], side["from"], side["to"]) == (entity_id, iso(start), iso(end))
        assert side["complete"] is (end + 600_000 < NOON)
    assert body["difference"] == {name: float(ours[name] - others[name]) for name in ours}
    assert body["ratio"] == {
        name: float(ours[name] / others[name]) if others[name] else None for name in ours
    }
    assert body["as_of"] == iso(NOON)


def test_the_whole_life_of_two_ids(filled: Settings) -> None:
    """Without a range all that was ever counted is compared, from Redis too."""
    with client(alone(filled, "redis")) as http:
        body = answer(http, "/compare/driver", id="a", other_id="é")
        assert body["store"] == "redis"
        for side, entity_id in (("left", "a"), ("right", "é")):
            assert [only(body[side])] == added(ROWS.filter(pl.col("id") == entity_id))


def test_what_cannot_be_compared(filled: Settings) -> None:
    """A side that is the other one is refused, and an id that nobody knows is not found."""
    last = {"from": iso(NOON - HOUR), "to": iso(NOON)}
    same = {"other_from": last["from"], "other_to": last["to"]}
    with client(filled) as http:
        for query in ({}, last, {"id": "a"}, {"id": "a", "other_id": "a"}, {**last, **same}):
            refused = http.get("/compare/driver", params=query)
            assert refused.status_code == 400
            assert "same" in refused.json()["detail"]
        for query in ({"id": "a", "other_id": "nobody"}, {"other_id": "a\0"}):
            assert http.get("/compare/driver", params=query).status_code == 404
        bad = http.get("/compare/driver", params={"id": "a", "other_to": "x"})
    assert bad.json()["detail"].startswith("other_to: ")


@pytest.mark.parametrize("store", ["redis", "postgres"])
def test_a_batch_is_in_the_order_of_its_ids(settings: Settings, store: str) -> None:
    """Each id has the totals that it has alone, as often as it is asked for; others are null."""
    one = alone(settings, store)
    fill(one, ROWS)
    ids = [*reversed(IDS), "nobody", "a\0b", IDS[0], ""]
    with client(one) as http:
        response = http.post("/batch/driver", json={"ids": ids})
        assert response.status_code == 200
        body = response.json()
        assert (body["store"], body["as_of"]) == (store, iso(NOON))
        for entity_id, item in zip(ids, body["items"], strict=True):
            if entity_id in IDS:
                single = answer(http, "/metrics/driver", id=entity_id)
                assert item == {name: single[name] for name in item}
                assert set(item) == {"id", "start_time", "last_start_time", *only(single)}
            else:
                assert item is None
        assert http.post("/batch/h3", json={"ids": ids}).json()["items"] == [None] * len(ids)


def test_a_batch_has_limits(settings: Settings) -> None:
    """A thousand ids can be asked for; more, none, and anything else than ids is refused."""
    fill(settings, ROWS)
    with client(settings) as http:
        many = [*IDS, *(f"nobody-{number}" for number in range(1_000 - len(IDS)))]
        body = http.post("/batch/driver", json={"ids": many}).json()
        assert [item["id"] for item in body["items"][: len(IDS)]] == list(IDS)
        bad: list[Any] = [{"ids": [*many, "x"]}, {"ids": []}, {"ids": [1]}, {}, [], "x"]
        for wrong in bad:
            refused = http.post("/batch/driver", json=wrong)
            assert refused.status_code == 400, wrong
            assert refused.json()["type"] == "/problems/bad-request"
        raw = http.post("/batch/driver", content=b'{"ids": ["\\ud800"]}')
        assert raw.status_code == 400


def test_a_batch_comes_from_one_store(settings: Settings) -> None:
    """Where Redis lacks an id Postgres gives all, and without it nobody can tell."""
    fill(settings, ROWS)
    ids = {"ids": list(IDS)}
    broken = msgspec.structs.replace(settings, postgres=NOWHERE.postgres)
    with client(settings) as http, client(broken) as lame, Redis.from_url(settings.redis) as redis:
        whole = http.post("/batch/driver", json=ids).json()
        assert whole.pop("store") == "redis"
        assert lame.post("/batch/driver", json=ids).json()["store"] == "redis"
        redis.delete(RedisKeys.of(settings).totals(DRIVER, IDS[0]))
        filled = http.post("/batch/driver", json=ids).json()
        assert filled.pop("store") == "postgres"
        assert filled == whole
        assert lame.post("/batch/driver", json=ids).status_code == 503


QUICK = ("/metrics/driver/a", "/metrics/driver/a/windows", "/compare/driver?id=a&other_id=%C3%A9")
LASTING = ("/metrics/driver", "/metrics/driver?sort=trips", "/top/driver", "/summary/driver")


def test_one_store_stands_in_for_the_other(filled: Settings) -> None:
    """Without Redis Postgres answers all; without Postgres Redis what is about ids; else nobody."""
    no_redis = msgspec.structs.replace(filled, redis=NOWHERE.redis)
    no_postgres = msgspec.structs.replace(filled, postgres=NOWHERE.postgres)
    with client(no_redis) as http:
        for url in (*QUICK, *LASTING):
            assert answer(http, url)["store"] == "postgres"
        assert http.post("/batch/driver", json={"ids": ["a"]}).json()["store"] == "postgres"
    with client(no_postgres) as http:
        for url in QUICK:
            assert answer(http, url)["store"] == "redis"
        assert http.post("/batch/driver", json={"ids": ["a"]}).json()["store"] == "redis"
        beyond = "/metrics/driver/a/windows?from=2025-03-20&to=2025-03-21"
        for url in (*LASTING, beyond, "/metrics/driver/nobody"):
            down = http.get(url)
            assert (down.status_code, "retry-after" in down.headers) == (503, True)
    with client(alone(NOWHERE, "redis", "postgres")) as http:
        for url in (*QUICK, *LASTING):
            down = http.get(url)
            assert (down.status_code, "retry-after" in down.headers) == (503, True)
            assert down.json()["type"] == "/problems/service-unavailable"
        assert http.post("/batch/driver", json={"ids": ["a"]}).status_code == 503
