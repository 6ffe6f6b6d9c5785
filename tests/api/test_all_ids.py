"""Questions about all ids at once: sorted lists, tops and summaries, from Postgres."""

import math
from typing import Any

import polars as pl
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from mobility.records import MICRO
from mobility.settings import Settings
from tests.api.counted import (
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
    shown,
    windows,
)

pytestmark = pytest.mark.services

ROWS = windows()
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
    """Return settings with both stores, which hold the windows."""
    fill(settings, ROWS)
    return settings


def counted(over: dict[str, int]) -> pl.DataFrame:
    """Return the exact sums of each id in a range, by one expression."""
    within = pl.col("window_start").is_between(
        over.get("from", 0), over.get("to", 2**60), closed="left"
    )
    return ROWS.filter(within).group_by("id").agg(pl.col(name).sum() for name in SUMS)


def asked(over: dict[str, int]) -> dict[str, str]:
    """Return a range as parameters."""
    return {name: iso(at) for name, at in over.items()}


@pytest.mark.parametrize("over", RANGES, ids=str)
@pytest.mark.parametrize("by", AMOUNTS)
def test_the_first_ids(filled: Settings, by: str, over: dict[str, int]) -> None:
    """They are ranked as sorting all sums does, and their shares are those of the whole."""
    sums = counted(over)
    amount = AMOUNTS[by]
    ranked = sums.with_columns(rank=pl.col(amount).rank("min", descending=True).cast(pl.Int64))
    expected = ranked.sort("rank", "id").to_dicts()
    whole = sums.select(pl.col(name).sum() for name in SUMS).to_dicts()[0]
    with client(filled) as http:
        body = answer(http, "/top/driver", by=by, limit=7, **asked(over))
        assert body["active_ids"] == len(expected)
        assert body["total"] == shown(whole)
        assert [only(item, "id", "rank", "share") for item in body["items"]] == [
            {
                **shown(row),
                "share": row[amount] / whole[amount] if whole[amount] else None,
            }
            for row in expected[:7]
        ]
        assert (body["store"], body["as_of"]) == ("postgres", iso(NOON))
        assert {name: body[name] for name in asked(over)} == asked(over)
        for row in expected:
            one = answer(http, "/top/driver", by=by, id=row["id"], **asked(over))
            assert [(item["id"], item["rank"]) for item in one["items"]] == [
                (row["id"], row["rank"])
            ]
            assert one["total"] == body["total"]


@pytest.mark.parametrize("over", RANGES, ids=str)
def test_the_whole_entity(filled: Settings, over: dict[str, int]) -> None:
    """Sums are those of all ids, and percentiles values that ids have, by their nearest rank."""
    sums = counted(over)
    with client(filled) as http:
        body = answer(http, "/summary/driver", **asked(over))
    assert [only(body)] == added(sums)
    assert body["active_ids"] == sums.height
    for name in SUMS:
        ordered = sums[name].sort().to_list()
        unit = 1 if name == "trip_count" else MICRO
        assert body["distribution"][name] == {
            f"p{share}": ordered[math.ceil(len(ordered) * share / 100) - 1] / unit
            for share in (50, 90, 99)
        }


def test_nothing_was_counted(filled: Settings) -> None:
    """A range without trips and an entity without any have no first ids and no distribution."""
    empty = {"from": iso(NOON + HOUR), "to": iso(NOON + 2 * HOUR)}
    with client(filled) as http:
        for entity, query in (("driver", empty), ("h3", {}), ("h3", empty)):
            top = answer(http, f"/top/{entity}", **query)
            assert (top["items"], top["active_ids"], top["total"]["trip_count"]) == ([], 0, 0)
            summary = answer(http, f"/summary/{entity}", **query)
            assert set(summary["distribution"].values()) == {None}
            assert (summary["trip_count"], summary["avg_duration"]) == (0, 0.0)
            assert summary["complete"] is top["complete"] is False
        assert answer(http, "/top/driver", id="nobody")["items"] == []


def test_a_range_is_complete_when_it_lies_behind_the_watermark(filled: Settings) -> None:
    """A range that ended ten minutes ago is, later ones and one without an end are not."""
    with client(filled) as http:
        for path in ("/top/driver", "/summary/driver"):
            assert answer(http, path, to=iso(NOON - 900_000))["complete"]
            assert not answer(http, path, to=iso(NOON - 600_000))["complete"]
            assert not answer(http, path)["complete"]


@pytest.mark.parametrize("sort", [f"{sign}{by}" for by in AMOUNTS for sign in ("", "-")])
def test_sorted_lists_lead_through_all_ids(filled: Settings, sort: str) -> None:
    """Page by page every id comes once, in the order of the amount, ties by id the same way."""
    sums = counted({})
    amount = AMOUNTS[sort.removeprefix("-")]
    expected = sums.sort(amount, "id", descending=sort.startswith("-"))["id"].to_list()
    with client(filled) as http:
        assert pages(http, sort=sort) == expected


def pages(http: TestClient[Litestar], **query: str) -> list[str]:
    """Return the ids of all pages of a list, whose total must be their number."""
    found: list[str] = []
    totals = set()
    parameters: dict[str, Any] = {"limit": 3, **query}
    while "cursor" not in parameters or parameters["cursor"]:
        page = answer(http, "/metrics/driver", **parameters)
        assert page["as_of"] == iso(NOON)
        found += [item["id"] for item in page["items"]]
        totals.add(page["total"])
        parameters["cursor"] = page["next"]
    assert totals == {len(found)}
    return found


@pytest.mark.parametrize("store", ["redis", "postgres"])
def test_lists_of_a_prefix(settings: Settings, store: str) -> None:
    """Both stores list the ids that begin so, in the order of their bytes, each once."""
    one = alone(settings, store)
    fill(one, ROWS)
    ordered = sorted(IDS, key=str.encode)
    with client(one) as http:
        for prefix in ("", "a", "a/", "水", "%", "🚲", "zzz", "_", "windows"):
            assert pages(http, prefix=prefix) == [i for i in ordered if i.startswith(prefix)]
        by_id = {item["id"]: item for item in answer(http, "/metrics/driver")["items"]}
        for item in added(ROWS, ["id"]):
            assert by_id[item["id"]] == {name: item[name] for name in ("id", *SUMS)}


def test_a_sorted_prefix(filled: Settings) -> None:
    """Prefix and sort go together, and a cursor belongs to both."""
    with client(filled) as http:
        found = pages(http, prefix="a", sort="-trips")
        sums = counted({}).filter(pl.col("id").str.starts_with("a"))
        assert found == sums.sort("trip_count", "id", descending=True)["id"].to_list()
        cursor = answer(http, "/metrics/driver", prefix="a", limit=1)["next"]
        for other in ({"prefix": ""}, {"prefix": "a", "sort": "trips"}):
            refused = http.get("/metrics/driver", params={"cursor": cursor, **other})
            assert refused.status_code == 400
            assert refused.json()["type"] == "/problems/bad-request"


def test_redis_alone_says_what_it_cannot(settings: Settings) -> None:
    """Without Postgres these questions are a documented problem; while it is down they are 503."""
    urls = ("/metrics/driver?sort=-trips", "/top/driver", "/summary/driver")
    with client(alone(settings, "redis")) as http:
        for url in urls:
            problem = http.get(url)
            assert problem.status_code == 404
            assert problem.json()["type"] == "/problems/needs-postgres"
            assert http.get(problem.json()["type"]).status_code == 200
    nowhere = Settings(redis="redis://127.0.0.1:1/0", postgres="postgresql://127.0.0.1:1/x")
    for missing in (Settings(), alone(nowhere, "redis", "postgres")):
        with client(missing) as http:
            for url in urls:
                down = http.get(url)
                assert down.status_code == 503
                assert down.headers["retry-after"]
                assert down.json()["type"] == "/problems/service-unavailable"
