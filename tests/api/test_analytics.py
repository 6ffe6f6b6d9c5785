"""Queries over all ids: sorted lists, top ids and summaries, from Postgres."""

import math
from collections.abc import Container
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import polars as pl
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from mobility.records import MICRO
from mobility.settings import Settings
from tests.api.expected import (
    COUNT_OF,
    IDS,
    NOON,
    SUMS,
    amounts_of,
    client,
    expected_amounts,
    fill_stores,
    get_json,
    iso,
    random_windows,
    rows_of_parquet,
    to_amounts,
    with_stores,
)

pytestmark = pytest.mark.services

ROWS = random_windows()
HOUR = 3_600_000
AMOUNTS = {
    "trips": "trip_count",
    "revenue": "total_revenue",
    "distance": "total_distance",
    "duration": "total_duration",
}
RANGES: list[dict[str, int]] = [
    {},
    {"from": NOON - 3 * HOUR, "to": NOON - HOUR},
    {"from": NOON - 12 * HOUR},
    {"to": NOON - 30 * HOUR},
    {"from": NOON - 300_000},
]


@pytest.fixture
def filled(settings: Settings) -> Settings:
    """Return settings with both stores, filled with the windows."""
    fill_stores(settings, ROWS)
    return settings


def exact_sums(time_range: dict[str, int]) -> pl.DataFrame:
    """Return the exact sums of each id over a range, by one expression."""
    within = pl.col("window_start").is_between(
        time_range.get("from", 0), time_range.get("to", 2**60), closed="left"
    )
    return ROWS.filter(within).group_by("id").agg(pl.col(name).sum() for name in SUMS)


def parameters(time_range: dict[str, int]) -> dict[str, str]:
    """Return a range as parameters of a request."""
    return {name: iso(at) for name, at in time_range.items()}


def share_of(amount: float | None, part: int, whole: int) -> float | None:
    """Return a share of exact sums; none of 0, and none where no trip has the amount."""
    return None if amount is None or not whole else part / whole


@pytest.mark.parametrize("time_range", RANGES, ids=str)
@pytest.mark.parametrize("by", AMOUNTS)
def test_top_ids(filled: Settings, by: str, time_range: dict[str, int]) -> None:
    """They are ranked by the sorted sums of all ids, and have their share of the total."""
    sums = exact_sums(time_range)
    amount = AMOUNTS[by]
    ranked = sums.with_columns(rank=pl.col(amount).rank("min", descending=True).cast(pl.Int64))
    expected = ranked.sort("rank", "id").to_dicts()
    whole = sums.select(pl.col(name).sum() for name in SUMS).to_dicts()[0]
    with client(filled) as http:
        body = get_json(http, "/top/driver", by=by, limit=7, **parameters(time_range))
        assert body["active_ids"] == len(expected)
        assert body["total"] == to_amounts(whole)
        assert [amounts_of(item, "id", "rank", "share") for item in body["items"]] == [
            {**amounts, "share": share_of(amounts[amount], row[amount], whole[amount])}
            for row in expected[:7]
            for amounts in [to_amounts(row)]
        ]
        assert (body["store"], body["as_of"]) == ("postgres", iso(NOON))
        assert {name: body[name] for name in parameters(time_range)} == parameters(time_range)
        for row in expected:
            one = get_json(http, "/top/driver", by=by, id=row["id"], **parameters(time_range))
            assert [(item["id"], item["rank"]) for item in one["items"]] == [
                (row["id"], row["rank"])
            ]
            assert one["total"] == body["total"]


def test_top_ids_as_rows(filled: Settings) -> None:
    """NDJSON, CSV and Parquet have the items; headers have what is of the whole."""
    query = {"by": "revenue", **parameters(RANGES[1])}
    with client(filled) as http:
        items = get_json(http, "/top/driver", **query)["items"]
        csv = http.get("/top/driver", params={**query, "format": "csv"})
        accept = {"accept": "application/x-ndjson"}
        ndjson = http.get("/top/driver", params=query, headers=accept)
        parquet = http.get("/top/driver", params={**query, "format": "parquet"})
    assert pl.read_csv(csv.content).to_dicts() == items
    assert csv.headers["content-disposition"] == 'attachment; filename="driver-top.csv"'
    assert csv.headers["mobility-complete"] == "true"
    assert csv.headers["mobility-as-of"] == iso(NOON)
    assert [msgspec.json.decode(line) for line in ndjson.content.splitlines()] == items
    assert rows_of_parquet(parquet.content) == items


@pytest.mark.parametrize("time_range", RANGES, ids=str)
def test_summary(filled: Settings, time_range: dict[str, int]) -> None:
    """It has the sums of all ids, and percentiles by the nearest rank."""
    sums = exact_sums(time_range)
    with client(filled) as http:
        body = get_json(http, "/summary/driver", **parameters(time_range))
    assert [amounts_of(body)] == expected_amounts(sums)
    assert body["active_ids"] == sums.height
    for name in SUMS:
        ordered = sums[name].sort().to_list()
        unit = MICRO if name in COUNT_OF else 1
        assert body["distribution"][name] == {
            f"p{share}": ordered[math.ceil(len(ordered) * share / 100) - 1] / unit
            for share in (50, 90, 99)
        }


NIGHT = {hour % 24 for hour in range(22, 30)}
WEEKDAYS = range(5)


@pytest.mark.parametrize("tz", ["UTC", "Europe/Berlin"])
@pytest.mark.parametrize(
    ("query", "hours", "weekdays"),
    [
        ({"hours": "22-6"}, NIGHT, range(7)),
        ({"weekdays": "mon-fri"}, range(24), WEEKDAYS),
        ({"hours": "8-9,22-6", "weekdays": "sun"}, {8, *NIGHT}, {6}),
        ({"hours": "12-13", "weekdays": "wed"}, set(), set()),
    ],
)
def test_hours_and_weekdays(
    filled: Settings,
    query: dict[str, str],
    hours: Container[int],
    weekdays: Container[int],
    tz: str,
) -> None:
    """Only windows that start in them count, by the clocks of a zone, also across their change."""

    def counts(start: int) -> bool:
        local = datetime.fromtimestamp(start / 1_000, ZoneInfo(tz))
        return local.hour in hours and local.weekday() in weekdays

    rows = ROWS.filter(pl.col("window_start").map_elements(counts, pl.Boolean))
    query = {**query, "tz": tz, "from": iso(NOON - 39 * HOUR), "to": iso(NOON)}
    rows = rows.filter(pl.col("window_start") >= NOON - 39 * HOUR)
    with client(filled) as http:
        top = get_json(http, "/top/driver", by="revenue", limit=len(IDS), **query)
        summary = get_json(http, "/summary/driver", **query)
    assert [amounts_of(top["total"])] == [amounts_of(summary)] == expected_amounts(rows)
    by_id = {item["id"]: item for item in expected_amounts(rows, ["id"])}
    assert {item["id"]: amounts_of(item, "id") for item in top["items"]} == by_id
    assert top["active_ids"] == summary["active_ids"] == len(by_id)
    bounds = {name: query[name] for name in ("from", "to")}
    assert {name: top[name] for name in bounds} == bounds
    assert not top["complete"]


@pytest.mark.parametrize("path", ["/top/driver", "/summary/driver", "/compare/driver"])
def test_hours_need_a_range(filled: Settings, path: str) -> None:
    """One that has an end, and in which they are not thousands of times."""
    day = "from=2025-03-30&to=2025-03-31"
    with client(filled) as http:
        for query, detail in {
            "hours=8-9": "hours: only with `from` and `to`",
            "weekdays=mon&from=2025-03-30": "weekdays: only with `from` and `to`",
            "hours=8-9&from=2001-01-01&to=2025-01-01": "from: the range has these hours more",
            f"hours=25&{day}": "hours: not hours",
            f"weekdays=x&{day}": "weekdays: not days",
            f"tz=x&{day}": "tz: not the name",
        }.items():
            rejected = http.get(f"{path}?{query}")
            assert rejected.status_code == 400
            assert rejected.json()["detail"].startswith(detail)


def test_a_range_without_trips(filled: Settings) -> None:
    """A range or an entity without trips has no top ids and no distribution."""
    empty = {"from": iso(NOON + HOUR), "to": iso(NOON + 2 * HOUR)}
    with client(filled) as http:
        for entity, query in (("driver", empty), ("h3", {}), ("h3", empty)):
            top = get_json(http, f"/top/{entity}", **query)
            assert (top["items"], top["active_ids"], top["total"]["trip_count"]) == ([], 0, 0)
            summary = get_json(http, f"/summary/{entity}", **query)
            assert set(summary["distribution"].values()) == {None}
            assert (summary["trip_count"], summary["avg_duration"]) == (0, 0.0)
            assert summary["complete"] is top["complete"] is False
        assert get_json(http, "/top/driver", id="nobody")["items"] == []


def test_a_range_is_complete_by_the_watermark(filled: Settings) -> None:
    """It is complete if it ended ten minutes before the watermark; without an end it is not."""
    with client(filled) as http:
        for path in ("/top/driver", "/summary/driver"):
            assert get_json(http, path, to=iso(NOON - 900_000))["complete"]
            assert not get_json(http, path, to=iso(NOON - 600_000))["complete"]
            assert not get_json(http, path)["complete"]


@pytest.mark.parametrize("sort", [f"{sign}{by}" for by in AMOUNTS for sign in ("", "-")])
def test_sorted_lists_have_all_ids(filled: Settings, sort: str) -> None:
    """The pages have every id once, sorted by the sum and then the id, in the same direction."""
    sums = exact_sums({})
    amount = AMOUNTS[sort.removeprefix("-")]
    expected = sums.sort(amount, "id", descending=sort.startswith("-"))["id"].to_list()
    with client(filled) as http:
        assert pages(http, sort=sort) == expected


def pages(http: TestClient[Litestar], **query: str) -> list[str]:
    """Return the ids on all pages of a list; check that its total is their number."""
    found: list[str] = []
    totals = set()
    asked: dict[str, Any] = {"limit": 3, **query}
    while "cursor" not in asked or asked["cursor"]:
        page = get_json(http, "/metrics/driver", **asked)
        assert page["as_of"] == iso(NOON)
        found += [item["id"] for item in page["items"]]
        totals.add(page["total"])
        asked["cursor"] = page["next"]
    assert totals == {len(found)}
    return found


@pytest.mark.parametrize("time_range", RANGES[1:], ids=str)
@pytest.mark.parametrize("sort", [None, "trips", "-revenue"])
def test_lists_of_a_range(filled: Settings, sort: str | None, time_range: dict[str, int]) -> None:
    """They have the ids with trips in it and their sums over it, in any order, in pages."""
    sums = exact_sums(time_range)
    key = sort or ""
    columns = [AMOUNTS[key.removeprefix("-")], "id"] if sort else ["id"]
    ordered = sums.sort(columns, descending=key.startswith("-"))
    query = {**parameters(time_range), **({"sort": sort} if sort else {})}
    with client(filled) as http:
        assert pages(http, **query) == ordered["id"].to_list()
        with_prefix = [name for name in ordered["id"] if name.startswith("a")]
        assert pages(http, prefix="a", **query) == with_prefix
        body = get_json(http, "/metrics/driver", **query)
    by_id = {item["id"]: item for item in expected_amounts(sums, ["id"])}
    for item in body["items"]:
        assert item == {name: by_id[item["id"]][name] for name in ("id", *SUMS)}
    bounds = {"from": None, "to": None, **parameters(time_range)}
    assert {name: body[name] for name in bounds} == bounds


def test_a_cursor_is_for_its_range(filled: Settings) -> None:
    """One of another range would leave out ids."""
    with client(filled) as http:
        query = parameters(RANGES[1])
        cursor = get_json(http, "/metrics/driver", limit=1, **query)["next"]
        other = http.get("/metrics/driver", params={"cursor": cursor, **parameters(RANGES[2])})
        assert other.status_code == 400
        assert "`from` or `to`" in other.json()["detail"]
        assert get_json(http, "/metrics/driver", cursor=cursor, **query)["items"]


@pytest.mark.parametrize("store", ["redis", "postgres"])
def test_lists_with_a_prefix(settings: Settings, store: str) -> None:
    """Both stores list the ids with a prefix, sorted by their bytes, each once."""
    one = with_stores(settings, store)
    fill_stores(one, ROWS)
    ordered = sorted(IDS, key=str.encode)
    with client(one) as http:
        for prefix in ("", "a", "a/", "水", "%", "🚲", "zzz", "_", "windows"):
            assert pages(http, prefix=prefix) == [i for i in ordered if i.startswith(prefix)]
        by_id = {item["id"]: item for item in get_json(http, "/metrics/driver")["items"]}
        for item in expected_amounts(ROWS, ["id"]):
            assert by_id[item["id"]] == {name: item[name] for name in ("id", *SUMS)}


def test_a_sorted_list_with_a_prefix(filled: Settings) -> None:
    """Prefix and sort can be combined, and a cursor is valid for both only."""
    with client(filled) as http:
        found = pages(http, prefix="a", sort="-trips")
        sums = exact_sums({}).filter(pl.col("id").str.starts_with("a"))
        assert found == sums.sort("trip_count", "id", descending=True)["id"].to_list()
        cursor = get_json(http, "/metrics/driver", prefix="a", limit=1)["next"]
        for other in ({"prefix": ""}, {"prefix": "a", "sort": "trips"}):
            rejected = http.get("/metrics/driver", params={"cursor": cursor, **other})
            assert rejected.status_code == 400
            assert rejected.json()["type"] == "/problems/bad-request"


def test_without_postgres_it_is_a_problem(settings: Settings) -> None:
    """Without Postgres these queries have their problem type; while it is down they are 503."""
    of_range = f"/metrics/driver?from={iso(NOON)}"
    urls = ("/metrics/driver?sort=-trips", of_range, "/top/driver", "/summary/driver")
    with client(with_stores(settings, "redis")) as http:
        for url in urls:
            problem = http.get(url)
            assert problem.status_code == 404
            assert problem.json()["type"] == "/problems/needs-postgres"
            assert http.get(problem.json()["type"]).status_code == 200
    unreachable = Settings(redis="redis://127.0.0.1:1/0", postgres="postgresql://127.0.0.1:1/x")
    for missing in (Settings(), with_stores(unreachable, "redis", "postgres")):
        with client(missing) as http:
            for url in urls:
                down = http.get(url)
                assert down.status_code == 503
                assert down.headers["retry-after"]
                assert down.json()["type"] == "/problems/service-unavailable"
