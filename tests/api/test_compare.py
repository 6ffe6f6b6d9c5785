"""Comparisons of two ids or two ranges, and which store answers while the other is down."""

from datetime import datetime
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import polars as pl
import pytest

from mobility.records import MICRO
from mobility.settings import Settings
from tests.api.expected import (
    COUNT_OF,
    NOON,
    SUMS,
    amounts_of,
    client,
    expected_amounts,
    fill_stores,
    get_json,
    iso,
    random_windows,
    wait_for_redis,
    with_stores,
)

pytestmark = pytest.mark.services

ROWS = random_windows()
HOUR = 3_600_000
UNREACHABLE = Settings(redis="redis://127.0.0.1:1/0", postgres="postgresql://127.0.0.1:1/x")


@pytest.fixture
def filled(settings: Settings) -> Settings:
    """Return settings with both stores, filled with the windows."""
    fill_stores(settings, ROWS)
    return settings


def exact(
    start: int, end: int, entity_id: str | None, rows: pl.DataFrame = ROWS
) -> dict[str, Fraction | None]:
    """Return the exact sums and means over a range, None of what no trip has, by one expression."""
    rows = rows.filter(pl.col("window_start").is_between(start, end, "left"))
    if entity_id is not None:
        rows = rows.filter(pl.col("id") == entity_id)
    sums = rows.select(pl.col(name).sum() for name in SUMS).to_dicts()[0]
    found: dict[str, Fraction | None] = {}
    for name, count_name in COUNT_OF.items():
        found[count_name] = count = Fraction(sums[count_name])
        is_absent = sums["trip_count"] and not count
        total = None if is_absent else Fraction(sums[name], MICRO)
        found[name] = total
        found[name.replace("total", "avg")] = (
            total / count if total is not None and count else total
        )
    return found


def rounded(amount: Fraction | None) -> float | None:
    """Return the nearest double."""
    return None if amount is None else float(amount)


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
    """Difference and ratio are rounded once; a ratio to zero is null."""
    query: dict[str, Any] = {"from": iso(left[0]), "to": iso(left[1]), "id": left[2]}
    query |= {"other_from": iso(right[0]), "other_to": iso(right[1]), "other_id": right[2]}
    asked = {name: value for name, value in query.items() if value is not None}
    with client(filled) as http:
        body = get_json(http, "/compare/driver", **asked)
    left_exact, right_exact = exact(*left), exact(*right)
    for side, (start, end, entity_id), amounts in (
        (body["left"], left, left_exact),
        (body["right"], right, right_exact),
    ):
        assert amounts_of(side) == {name: rounded(value) for name, value in amounts.items()}
        assert (side["id"], side["from"], side["to"]) == (entity_id, iso(start), iso(end))
        assert side["complete"] is (end + 600_000 < NOON)
    both = {name: (left_exact[name], right_exact[name]) for name in left_exact}
    assert body["difference"] == {
        name: None if amount is None or other is None else float(amount - other)
        for name, (amount, other) in both.items()
    }
    assert body["ratio"] == {
        name: None if amount is None or not other else float(amount / other)
        for name, (amount, other) in both.items()
    }
    assert body["as_of"] == iso(NOON)


def is_early(start: int) -> bool:
    """Return whether a window starts before 6:00 in Berlin."""
    return datetime.fromtimestamp(start / 1_000, ZoneInfo("Europe/Berlin")).hour < 6


@pytest.mark.parametrize("stores", [("postgres",), ("redis", "postgres"), ("redis",)], ids=str)
@pytest.mark.parametrize("entity_id", ["a", None])
def test_hours(settings: Settings, stores: tuple[str, ...], entity_id: str | None) -> None:
    """One side can have other hours: the ratio is the share of the early trips, across a change."""
    filled = with_stores(settings, *stores)
    fill_stores(filled, ROWS)
    early = ROWS.filter(pl.col("window_start").map_elements(is_early, pl.Boolean))
    start, end = NOON - 39 * HOUR, NOON - 9 * HOUR
    query = {"from": iso(start), "to": iso(end), "hours": "0-6", "tz": "Europe/Berlin"}
    query |= {} if entity_id is None else {"id": entity_id}
    left, right = exact(start, end, entity_id, early), exact(start, end, entity_id)
    with client(filled) as http:
        response = http.get("/compare/driver", params={**query, "other_hours": "0-24"})
        if "postgres" not in stores and entity_id is None:
            assert response.json()["type"] == "/problems/needs-postgres"
            return
        body = response.json()
        none = get_json(http, "/compare/driver", **query, other_weekdays="wed")
        moved = {"other_from": iso(start), "other_to": iso(end + HOUR)}
        inherited = get_json(http, "/compare/driver", **query, **moved)
    assert amounts_of(body["left"]) == {name: rounded(value) for name, value in left.items()}
    assert amounts_of(body["right"]) == {name: rounded(value) for name, value in right.items()}
    early_trips, trips = body["left"]["trip_count"], body["right"]["trip_count"]
    assert body["ratio"]["trip_count"] == early_trips / trips < 1
    assert none["left"] == body["left"]
    assert none["right"]["trip_count"] == 0
    longer = exact(start, end + HOUR, entity_id, early)
    assert inherited["right"]["trip_count"] == longer["trip_count"]
    assert inherited["right"]["trip_count"] > early_trips


def test_two_ids_over_all_time(filled: Settings) -> None:
    """Without a range the running totals are compared, from Redis, too."""
    with client(filled) as http:
        wait_for_redis(http)
        body = get_json(http, "/compare/driver", id="a", other_id="é")
        assert body["store"] == "redis"
        for side, entity_id in (("left", "a"), ("right", "é")):
            assert [amounts_of(body[side])] == expected_amounts(
                ROWS.filter(pl.col("id") == entity_id)
            )


def test_invalid_comparisons(filled: Settings) -> None:
    """Two equal sides are an error, and an unknown id is not found."""
    last = {"from": iso(NOON - HOUR), "to": iso(NOON)}
    same = {"other_from": last["from"], "other_to": last["to"]}
    with client(filled) as http:
        for query in ({}, last, {"id": "a"}, {"id": "a", "other_id": "a"}, {**last, **same}):
            rejected = http.get("/compare/driver", params=query)
            assert rejected.status_code == 400
            assert "same" in rejected.json()["detail"]
        for query in ({"id": "a", "other_id": "nobody"}, {"other_id": "a\0"}):
            assert http.get("/compare/driver", params=query).status_code == 404
        bad = http.get("/compare/driver", params={"id": "a", "other_to": "x"})
    assert bad.json()["detail"].startswith("other_to: ")


TOTALS = ("/metrics/driver/a", "/compare/driver?id=a&other_id=%C3%A9")
ALL_ELSE = (
    "/metrics/driver/a/windows",
    "/metrics/driver/a?from=2025-03-30",
    "/metrics/driver",
    "/metrics/driver?sort=trips",
    "/top/driver",
    "/summary/driver",
)


def test_a_store_answers_while_the_other_is_down(filled: Settings) -> None:
    """Postgres answers all queries, Redis those for totals of ids; without both, none is."""
    no_redis = msgspec.structs.replace(filled, redis=UNREACHABLE.redis)
    no_postgres = msgspec.structs.replace(filled, postgres=UNREACHABLE.postgres)
    with client(no_redis) as http:
        for url in (*TOTALS, *ALL_ELSE):
            assert get_json(http, url)["store"] == "postgres"
        assert http.post("/batch/driver", json={"ids": ["a"]}).json()["store"] == "postgres"
    with client(no_postgres) as http:
        for url in TOTALS:
            assert get_json(http, url)["store"] == "redis"
        assert http.post("/batch/driver", json={"ids": ["a"]}).json()["store"] == "redis"
        for url in (*ALL_ELSE, "/metrics/driver/nobody"):
            down = http.get(url)
            assert (down.status_code, "retry-after" in down.headers) == (503, True)
            assert "postgres cannot be reached" in down.json()["detail"]
    with client(with_stores(UNREACHABLE, "redis", "postgres")) as http:
        for url in (*TOTALS, *ALL_ELSE):
            down = http.get(url)
            assert (down.status_code, "retry-after" in down.headers) == (503, True)
            assert down.json()["type"] == "/problems/service-unavailable"
        assert http.post("/batch/driver", json={"ids": ["a"]}).status_code == 503
