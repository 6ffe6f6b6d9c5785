"""Sums beyond a bigint and beyond a double: every answer has all of their digits."""

import csv
import io
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from mobility.records import MICRO
from mobility.settings import Settings
from tests.api.expected import (
    LENGTH,
    NOON,
    client,
    fill_stores,
    get_json,
    iso,
    wait_for_redis,
    with_stores,
)
from tests.windows import window, window_frame

pytestmark = pytest.mark.services

LARGEST = 2**63 - 1
HOURS = 30
REVENUES = {"a": LARGEST, "b": LARGEST - 2, "c": -LARGEST, "d": 12_500_000}
"""By id: the revenue of each of its windows, of which it has one an hour."""

EXPECTED = {name: Decimal(HOURS * each) / MICRO for name, each in REVENUES.items()}
RANGE = f"from={iso(NOON - HOURS * 12 * LENGTH)}&to={iso(NOON)}"

Http = TestClient[Litestar]


def rows() -> pl.DataFrame:
    """Return the windows of all ids."""
    starts = range(NOON - HOURS * 12 * LENGTH, NOON, 12 * LENGTH)
    return window_frame(
        window(name, start, 1, total_revenue=revenue)
        for name, revenue in REVENUES.items()
        for start in starts
    )


@pytest.fixture
def postgres(settings: Settings) -> Settings:
    """Return settings with Postgres, which has these windows."""
    one = with_stores(settings, "postgres")
    fill_stores(one, rows())
    return one


def exact(http: Http, path: str) -> Any:  # noqa: ANN401 - JSON
    """Return an answer whose numbers have all of their digits."""
    answer = http.get(path)
    assert answer.status_code == 200, answer.text
    return json.loads(answer.content, parse_float=Decimal)


def revenues(items: list[dict[str, Any]]) -> dict[str, Decimal]:
    """Return the revenue of each id in a list."""
    return {each["id"]: each["total_revenue"] for each in items}


@pytest.mark.parametrize("stores", [("postgres",), ("redis",), ("redis", "postgres")], ids=str)
def test_totals_of_an_id(settings: Settings, stores: tuple[str, ...]) -> None:
    """Of each store that the API reads; small ones are written as ever."""
    chosen = with_stores(settings, *stores)
    fill_stores(chosen, rows())
    with client(chosen) as http:
        if len(stores) > 1:
            wait_for_redis(http)
        for name, expected in EXPECTED.items():
            answer = exact(http, f"/metrics/driver/{name}")
            assert (answer["total_revenue"], answer["store"]) == (expected, stores[0])
        assert b'"total_revenue":375.0,' in http.get("/metrics/driver/d").content
        mean = get_json(http, "/metrics/driver/a")["avg_revenue"]
        assert mean == LARGEST / MICRO


@pytest.mark.parametrize("unbounded", [True, False])
def test_lists(postgres: Settings, unbounded: bool) -> None:
    """By a sum that no bigint holds, page by page, and by id; of all time and over a range."""
    span = "" if unbounded else f"&{RANGE}"
    with client(postgres) as http:
        for order, ids in (("-revenue", "abdc"), ("revenue", "cdba")):
            path, following = f"/metrics/driver?sort={order}&limit=1{span}", ""
            found: dict[str, Decimal] = {}
            while len(found) < len(ids):
                page = exact(http, path + following)
                found |= revenues(page["items"])
                following = f"&cursor={page['next']}"
            assert list(found.items()) == [(name, EXPECTED[name]) for name in ids]
            assert page["next"] is None
        assert revenues(exact(http, f"/metrics/driver?limit=9{span}")["items"]) == EXPECTED
        batch = http.post("/batch/driver", params=span[1:], json={"ids": [*EXPECTED]})
        items = json.loads(batch.content, parse_float=Decimal)["items"]
        assert revenues(items) == EXPECTED


@pytest.mark.parametrize("span", ["", f"&{RANGE}", f"&{RANGE}&hours=0-24"])
def test_whole_entities(postgres: Settings, span: str) -> None:
    """Top ids with the sum of all, and the percentiles of a summary."""
    total = sum(EXPECTED.values())
    with client(postgres) as http:
        top = exact(http, f"/top/driver?by=revenue{span}")
        assert revenues(top["items"]) == EXPECTED
        assert [each["id"] for each in top["items"]] == ["a", "b", "d", "c"]
        assert top["total"]["total_revenue"] == total
        summary = exact(http, f"/summary/driver?tz=UTC{span}")
        assert summary["total_revenue"] == total
        assert summary["distribution"]["total_revenue"] == {
            "p50": EXPECTED["d"],
            "p90": EXPECTED["a"],
            "p99": EXPECTED["a"],
        }


def test_over_time(postgres: Settings) -> None:
    """The buckets of a series, the hours of the week, and the difference of two ids."""
    with client(postgres) as http:
        series = exact(http, f"/metrics/driver/a/windows?granularity=P1D&{RANGE}&tz=UTC")["items"]
        expected = [Decimal(number * LARGEST) / MICRO for number in (18, 12)]
        assert [each["total_revenue"] for each in series] == expected
        week = exact(http, f"/week/driver?id=a&{RANGE}&tz=UTC")["items"]
        assert sum(each["total_revenue"] for each in week) == EXPECTED["a"]
        found = exact(http, f"/compare/driver?id=a&other_id=c&{RANGE}")
        assert found["difference"]["total_revenue"] == 2 * EXPECTED["a"]
        assert found["right"]["total_revenue"] == EXPECTED["c"]
        assert found["ratio"]["total_revenue"] == -1


def from_csv(content: bytes) -> list[dict[str, Any]]:
    """Return the rows of CSV, with the revenue as it is written there."""
    return list(csv.DictReader(io.StringIO(content.decode())))


def from_ndjson(content: bytes) -> list[dict[str, Any]]:
    """Return the rows of NDJSON."""
    return [json.loads(line, parse_float=Decimal) for line in content.splitlines()]


def from_parquet(content: bytes) -> list[dict[str, Any]]:
    """Return the rows of Parquet."""
    return pl.read_parquet(io.BytesIO(content)).to_dicts()


@pytest.mark.parametrize(
    ("name", "read"),
    [("csv", from_csv), ("ndjson", from_ndjson), ("parquet", from_parquet)],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_rows(postgres: Settings, name: str, read: Callable[[bytes], list[dict[str, Any]]]) -> None:
    """Of lists, top ids, series of an id, and windows of all ids, in every format of rows."""
    with client(postgres) as http:

        def sums_of(path: str) -> dict[str, Decimal]:
            answer = http.get(f"{path}format={name}")
            assert answer.status_code == 200, answer.text
            sums: dict[str, Decimal] = {}
            for row in read(answer.content):
                revenue = Decimal(row["total_revenue"])
                sums[row["id"]] = sums.get(row["id"], Decimal()) + revenue
            return sums

        assert sums_of("/metrics/driver?") == EXPECTED
        assert sums_of(f"/metrics/driver?sort=-revenue&{RANGE}&") == EXPECTED
        assert sums_of("/top/driver?by=revenue&") == EXPECTED
        assert sums_of(f"/windows/driver?granularity=P1D&{RANGE}&tz=UTC&") == EXPECTED
        assert sums_of(f"/windows/driver?{RANGE}&") == EXPECTED
        alone = sums_of(f"/metrics/driver/a/windows?granularity=PT1H&{RANGE}&")
        assert alone == {"a": EXPECTED["a"]}
        small = http.get(f"/metrics/driver?prefix=d&format={name}").content
        if name != "parquet":
            assert b"375.0" in small
            assert b"375.00" not in small
