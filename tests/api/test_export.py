"""The windows of all ids in one response, from Postgres."""

import asyncio
import io
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import polars as pl
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from api.queries.postgres_analytics import PostgresAnalytics
from mobility.settings import Settings
from tests.api.expected import (
    DRIVER,
    IDS,
    LENGTH,
    NOON,
    amounts_of,
    client,
    expected_amounts,
    fill_stores,
    get_json,
    iso,
    random_windows,
    rows_of_parquet,
    with_stores,
)

pytestmark = pytest.mark.services

ROWS = random_windows(hours=24 * 9)
HOUR = 3_600_000
BERLIN = ZoneInfo("Europe/Berlin")
WEEK = {"from": iso(NOON - 7 * 24 * HOUR), "to": iso(NOON)}


@pytest.fixture
def filled(settings: Settings) -> Settings:
    """Return settings with Postgres, filled with the windows of nine days."""
    one = with_stores(settings, "postgres")
    fill_stores(one, ROWS)
    return one


def export(http: TestClient[Litestar], **query: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    """Return the rows of an export in NDJSON."""
    response = http.get("/windows/driver", params=query)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/x-ndjson"
    return [msgspec.json.decode(line) for line in response.content.splitlines()]


def assert_series_of_each_id(
    http: TestClient[Litestar], found: list[dict[str, Any]], query: dict[str, str]
) -> None:
    """Compare the rows of each id in an export with the series of that id alone."""
    for entity_id in IDS:
        series = get_json(http, "/windows/driver", id=entity_id, **query)["items"]
        assert [row for row in found if row["id"] == entity_id] == [
            {"id": entity_id, **item} for item in series
        ]


def local(start: int) -> datetime:
    """Return the start of a window in Berlin."""
    return datetime.fromtimestamp(start / 1_000, BERLIN)


def is_weekday_morning(start: int) -> bool:
    """Return whether a window starts from 8:00 until 9:00 in Berlin, on Monday to Friday."""
    return local(start).hour == 8 and local(start).weekday() < 5


def test_all_windows_of_all_ids(filled: Settings) -> None:
    """Each window of a range is there once, in order of time and then of the id."""
    start, end = NOON - 30 * HOUR, NOON - 20 * HOUR
    within = ROWS.filter(pl.col("window_start").is_between(start, end, "left"))
    expected = [
        {
            **amounts_of(item, "id"),
            "window_start": iso(item["window_start"]),
            "window_end": iso(item["window_start"] + LENGTH),
            "complete": True,
        }
        for item in expected_amounts(within, ["window_start", "id"])
    ]
    with client(filled) as http:
        found = export(http, **{"from": iso(start), "to": iso(end)})
    assert found == expected
    assert len(found) == within.height > 100


@pytest.mark.parametrize("tz", ["UTC", "Europe/Berlin"])
@pytest.mark.parametrize("granularity", ["PT5M", "PT15M", "PT1H", "P1D"])
def test_it_has_the_series_of_each_id(filled: Settings, granularity: str, tz: str) -> None:
    """The buckets of an id are those that the id alone has, across a change of clocks."""
    query = {**WEEK, "granularity": granularity, "tz": tz}
    with client(filled) as http:
        found = export(http, **query)
        assert_series_of_each_id(http, found, query)
    assert {row["id"] for row in found} == set(IDS)
    order = [(row["window_start"], row["id"].encode()) for row in found]
    assert order == sorted(order)


@pytest.mark.parametrize("granularity", ["PT5M", "PT1H", "P1D"])
def test_weekday_mornings(filled: Settings, granularity: str) -> None:
    """Windows at some hours of some days count, and no others: for all ids as for one."""
    mornings = ROWS.filter(
        pl.col("window_start").is_between(NOON - 7 * 24 * HOUR, NOON, "left"),
        pl.col("window_start").map_elements(is_weekday_morning, pl.Boolean),
    )
    query = {**WEEK, "granularity": granularity, "tz": "Europe/Berlin"}
    query |= {"hours": "8-9", "weekdays": "mon-fri"}
    with client(filled) as http:
        found = export(http, **query)
        assert_series_of_each_id(http, found, query)
    sums = expected_amounts(mornings, ["id"])
    for item in sums:
        trips = sum(row["trip_count"] for row in found if row["id"] == item["id"])
        assert trips == item["trip_count"]
    assert sum(row["trip_count"] for row in found) == mornings["trip_count"].sum() > 0
    dates = {local_date(row["window_start"]) for row in found}
    assert dates == {local(start).date() for start in mornings["window_start"]}


def local_date(text: str) -> Any:  # noqa: ANN401 - a date
    """Return the date in Berlin of a time of the API."""
    return datetime.fromisoformat(text).astimezone(BERLIN).date()


def test_formats_have_the_same_rows(filled: Settings) -> None:
    """NDJSON, CSV and Parquet, by `format` or by Accept, with the headers of the answer."""
    with client(filled) as http:
        rows = export(http, **WEEK)
        csv = http.get("/windows/driver", params={**WEEK, "format": "csv"})
        accept = {"accept": "application/vnd.apache.parquet"}
        parquet = http.get("/windows/driver", params=WEEK, headers=accept)
        rejected = [
            http.get("/windows/driver", params={"format": "json"}),
            http.get("/windows/driver", headers={"accept": "application/json"}),
        ]
    assert csv.headers["content-type"] == "text/csv; charset=utf-8"
    assert csv.headers["content-disposition"] == 'attachment; filename="driver-windows.csv"'
    for response in (csv, parquet):
        assert response.headers["mobility-as-of"] == iso(NOON)
        assert response.headers["mobility-store"] == "postgres"
        assert response.headers["mobility-complete"] == "false"
        assert response.headers["vary"] == "Accept"
    assert pl.read_csv(csv.content).to_dicts() == rows
    frame = pl.read_parquet(io.BytesIO(parquet.content))
    times = pl.col("window_start", "window_end").str.to_datetime(time_unit="ms", time_zone="UTC")
    assert frame.equals(pl.DataFrame(rows).with_columns(times))
    assert [response.status_code for response in rejected] == [400, 406]
    assert all("ndjson" in response.json()["detail"] for response in rejected)


def test_an_export_in_the_past_is_complete(filled: Settings) -> None:
    """The header says of the whole range what each row says of its window."""
    with client(filled) as http:
        query = {"from": WEEK["from"], "to": iso(NOON - HOUR)}
        response = http.get("/windows/driver", params=query)
        assert response.headers["mobility-complete"] == "true"
        rows = export(http, **WEEK)
    completes = [datetime.fromisoformat(row["window_end"]).timestamp() * 1_000 for row in rows]
    assert [row["complete"] for row in rows] == [end + 600_000 < NOON for end in completes]


def test_without_a_range_it_is_the_last_day(filled: Settings) -> None:
    """As with the series of one id; days are those of a month."""
    newest = ROWS["window_start"].max()
    assert isinstance(newest, int)
    with client(filled) as http:
        day = export(http)
        assert day == export(http, **{"from": iso(newest + LENGTH - 24 * HOUR)})
        days = export(http, granularity="P1D")
    assert {row["window_start"][:10] for row in days} > {row["window_start"][:10] for row in day}


def test_a_range_of_all_time_is_quick(filled: Settings) -> None:
    """Days without windows are not looked at: there are three million in this range."""
    query = {"from": "0003-01-01T00:00:00Z", "to": "9998-01-01T00:00:00Z"}
    with client(filled) as http:
        for granularity in ("PT5M", "PT1H", "P1D"):
            found = export(http, granularity=granularity, tz="Asia/Kolkata", **query)
            assert sum(row["trip_count"] for row in found) == ROWS["trip_count"].sum()


def test_nothing_is_no_rows(filled: Settings) -> None:
    """An entity without windows, and a range or hours without any, are no error."""
    empty = {"from": iso(NOON + HOUR), "to": iso(NOON + 2 * HOUR)}
    with client(filled) as http:
        assert export(http, **empty) == []
        assert export(http, hours="3-4", **{"from": iso(NOON - HOUR), "to": iso(NOON)}) == []
        header = http.get("/windows/h3?format=csv").text
        assert header.splitlines() == [",".join(export_columns(http))]
        parquet = http.get("/windows/h3?format=parquet")
    assert pl.read_parquet(io.BytesIO(parquet.content)).height == 0


def export_columns(http: TestClient[Litestar]) -> list[str]:
    """Return the columns of CSV."""
    return http.get("/windows/driver?format=csv").text.partition("\n")[0].split(",")


@pytest.mark.parametrize("of_range", [False, True])
@pytest.mark.parametrize("sort", [None, "trips", "-revenue"])
def test_lists_in_one_response(filled: Settings, sort: str | None, *, of_range: bool) -> None:
    """In other formats than JSON a list has no pages: all ids, in the same order, each once."""
    query = {**(WEEK if of_range else {}), **({"sort": sort} if sort else {})}
    with client(filled) as http:
        items = get_json(http, "/metrics/driver", **query)["items"]
        csv = http.get("/metrics/driver", params={**query, "format": "csv"})
        ndjson = http.get(
            "/metrics/driver", params=query, headers={"accept": "application/x-ndjson"}
        )
        parquet = http.get("/metrics/driver", params={**query, "format": "parquet"})
        first = http.get("/metrics/driver", params={**query, "format": "csv", "limit": "3"})
        some = http.get("/metrics/driver", params={**query, "format": "csv", "prefix": "a"})
    assert len(items) == len(IDS)
    assert pl.read_csv(csv.content).to_dicts() == items
    assert csv.headers["content-disposition"] == 'attachment; filename="driver.csv"'
    assert csv.headers["mobility-as-of"] == iso(NOON)
    assert [msgspec.json.decode(line) for line in ndjson.content.splitlines()] == items
    assert rows_of_parquet(parquet.content) == items
    assert pl.read_csv(first.content).to_dicts() == items[:3]
    with_prefix = [item for item in items if item["id"].startswith("a")]
    assert pl.read_csv(some.content).to_dicts() == with_prefix


def test_what_lists_in_one_response_do_not_take(filled: Settings) -> None:
    """A cursor is of pages; the totals of one id are JSON; a page has a size."""
    with client(filled) as http:
        cursor = get_json(http, "/metrics/driver", limit=1)["next"]
        for url, detail in {
            f"/metrics/driver?format=csv&cursor={cursor}": "cursor: csv has no pages",
            "/metrics/driver?format=csv&id=a": "format: here it is one of json",
            "/metrics/driver?limit=501": "limit: a page has up to 500 ids; `format=csv`",
        }.items():
            response = http.get(url)
            assert response.status_code == 400
            assert response.json()["detail"].startswith(detail)
        assert http.get("/metrics/driver?format=csv&limit=501").status_code == 200


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("hours=25", "hours: "),
        ("weekdays=monday", "weekdays: "),
        ("tz=Berlin", "tz: "),
        ("from=yesterday", "from: "),
        ("granularity=P1W", "granularity: "),
        ("limit=10", "limit: unknown; the parameters are "),
    ],
)
def test_invalid_parameters_are_named(filled: Settings, query: str, detail: str) -> None:
    """Before anything is sent."""
    with client(filled) as http:
        response = http.get(f"/windows/driver?{query}")
    assert response.status_code == 400
    assert response.json()["detail"].startswith(detail)


def test_it_needs_postgres(settings: Settings) -> None:
    """Redis alone can't answer; a Postgres that is down is 503, before the headers."""
    with client(with_stores(settings, "redis")) as http:
        for url in ("/windows/driver", "/metrics/driver?format=csv"):
            problem = http.get(url)
            assert problem.status_code == 404
            assert problem.json()["type"] == "/problems/needs-postgres"
    down = Settings(postgres="postgresql://127.0.0.1:1/x", stores=("postgres",))
    with client(down) as http:
        problem = http.get("/windows/driver?format=csv")
    assert problem.status_code == 503
    assert problem.headers["retry-after"]


def test_an_export_stays_as_it_is(filled: Settings) -> None:
    """What is written while it is read is not in it, so that its watermark is true."""
    more = random_windows(seed=8, hours=24 * 9)
    bounds = tuple(range(NOON - 24 * HOUR, NOON + LENGTH, LENGTH))

    async def run() -> list[object]:
        analytics = PostgresAnalytics(filled.postgres)
        found: list[object] = []
        begun = await analytics.begin_export(DRIVER)
        fill_stores(filled, more, NOON + HOUR)
        for reader in (begun, await analytics.begin_export(DRIVER)):
            batches = [one async for one in reader.windows(bounds, [(bounds[0], bounds[-1])])]
            found.append(pl.concat(batches)["trip_count"].sum())
            await reader.close()
        await analytics.close()
        return found

    day = ROWS.filter(pl.col("window_start") >= bounds[0])["trip_count"].sum()
    before, after = asyncio.run(run())
    assert before == day != after
