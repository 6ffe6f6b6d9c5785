"""Series and ranges of single ids, from each store."""

import io
from datetime import datetime, timedelta
from urllib.parse import quote
from zoneinfo import ZoneInfo

import httpx
import msgspec
import polars as pl
import pytest

from mobility.settings import Settings
from tests.api.expected import (
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
    wait_for_redis,
    with_stores,
)
from tests.windows import window, window_frame

pytestmark = pytest.mark.services

ROWS = random_windows()
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture(params=["redis", "postgres"])
def filled(request: pytest.FixtureRequest, settings: Settings) -> Settings:
    """Return settings with one store, filled with the windows."""
    one = with_stores(settings, request.param)
    fill_stores(one, ROWS)
    return one


def path(entity_id: str, tail: str = "") -> str:
    """Return the path of an id, encoded as by encodeURIComponent."""
    return f"/metrics/driver/{quote(entity_id, safe='')}{tail}"


def local(start: int, step: str) -> int:
    """Return the start of the hour or day of a window in Berlin, as epoch ms."""
    time = datetime.fromtimestamp(start / 1_000, BERLIN)
    # Clocks in Berlin change on full hours, so that hours are the same as in UTC.
    if step == "PT1H":
        return start // 3_600_000 * 3_600_000
    return int(time.replace(hour=0, minute=0, fold=0).timestamp() * 1_000)


def test_a_series_has_the_windows(filled: Settings) -> None:
    """It has the windows of the id, of the last day by default, and whether each is complete."""
    with client(filled) as http:
        for entity_id in IDS:
            mine = ROWS.filter(pl.col("id") == entity_id)
            end = max(mine["window_start"].to_list()) + LENGTH
            body = get_json(http, path(entity_id, "/windows"))
            assert (body["entity"], body["id"]) == ("driver", entity_id)
            assert (body["granularity"], body["tz"]) == ("PT5M", "UTC")
            assert (body["from"], body["to"]) == (iso(end - 86_400_000), iso(end))
            assert (body["store"], body["as_of"]) == (filled.stores[0], iso(NOON))
            day = mine.filter(pl.col("window_start") >= end - 86_400_000)
            expected = expected_amounts(day, ["window_start"])
            for window in expected:
                start = window["window_start"]
                closes = start + LENGTH + 600_000
                window |= {
                    "window_start": iso(start),
                    "window_end": iso(start + LENGTH),
                    "complete": closes < NOON,
                }
            assert body["items"] == expected
            assert get_json(http, "/windows/driver", id=entity_id) == body


@pytest.mark.parametrize("step", ["PT1H", "P1D"])
def test_hours_and_days_of_a_time_zone(filled: Settings, step: str) -> None:
    """Windows are summed by local hours and days, across a change of clocks."""
    start, end = NOON - 30 * 3_600_000, NOON
    with client(filled) as http:
        for entity_id in IDS:
            query = {"from": iso(start), "to": iso(end), "granularity": step}
            body = get_json(http, path(entity_id, "/windows"), tz="Europe/Berlin", **query)
            mine = ROWS.filter(
                pl.col("id") == entity_id, pl.col("window_start").is_between(start, end, "left")
            ).with_columns(
                span=pl.col("window_start").map_elements(
                    lambda at: max(local(at, step), start), pl.Int64
                )
            )
            expected = expected_amounts(mine, ["span"])
            found = [amounts_of(item, "window_start") for item in body["items"]]
            assert found == [
                {**amounts_of(item), "window_start": iso(item["span"])} for item in expected
            ]
            lengths = {
                datetime.fromisoformat(item["window_end"])
                - datetime.fromisoformat(item["window_start"])
                for item in body["items"][1:-1]
            }
            assert lengths <= {timedelta(hours=1 if step == "PT1H" else 23)}


@pytest.mark.parametrize("step", ["PT5M", "PT1H", "P1D"])
def test_hours_of_days(filled: Settings, step: str) -> None:
    """Each store has the windows at these hours only, in buckets of any length."""
    start, end = NOON - 30 * 3_600_000, NOON
    query = {"from": iso(start), "to": iso(end), "granularity": step, "tz": "Europe/Berlin"}
    query |= {"hours": "9-10,22-1", "weekdays": "sat,sun"}

    def is_wanted(at: int) -> bool:
        time = datetime.fromtimestamp(at / 1_000, BERLIN)
        return time.hour in {9, 22, 23, 0} and time.weekday() >= 5

    within = pl.col("window_start").is_between(start, end, "left")
    wanted = ROWS.filter(
        within, pl.col("window_start").map_elements(is_wanted, return_dtype=pl.Boolean)
    )
    with client(filled) as http:
        for entity_id in IDS:
            items = get_json(http, path(entity_id, "/windows"), **query)["items"]
            mine = wanted.filter(pl.col("id") == entity_id)
            assert sum(item["trip_count"] for item in items) == mine["trip_count"].sum()
            if step == "PT5M":
                starts = [item["window_start"] for item in items]
                assert starts == [iso(at) for at in sorted(mine["window_start"])]
    assert wanted.height > 0


def test_totals_over_a_range(filled: Settings) -> None:
    """They are the sums of its windows; a range without trips has zeros, and is not a 404."""
    start, end = NOON - 20 * 3_600_000, NOON - 7 * 3_600_000
    with client(filled) as http:
        for entity_id in IDS:
            query = {"from": iso(start), "to": iso(end)}
            body = get_json(http, path(entity_id), **query)
            mine = ROWS.filter(
                pl.col("id") == entity_id, pl.col("window_start").is_between(start, end, "left")
            )
            assert [amounts_of(body)] == expected_amounts(mine)
            assert body["start_time"] == iso(min(mine["start_time"].to_list()))
            assert body["last_start_time"] == iso(max(mine["last_start_time"].to_list()))
            assert (body["from"], body["to"], body["complete"]) == (iso(start), iso(end), True)
            assert get_json(http, "/metrics/driver", id=entity_id, **query) == body
        empty = {"from": iso(NOON + LENGTH), "to": iso(NOON + 2 * LENGTH)}
        body = get_json(http, path("a"), **empty)
        assert (body["trip_count"], body["avg_revenue"]) == (0, 0.0)
        assert (body["start_time"], body["last_start_time"]) == (None, None)
        assert body["complete"] is False
        assert get_json(http, path("a", "/windows"), **empty)["items"] == []
        nothing = {"from": iso(NOON), "to": iso(NOON)}
        assert get_json(http, path("a", "/windows"), **nothing)["items"] == []
        for tail in ("", "/windows"):
            assert http.get(path("nobody", tail), params=empty).status_code == 404


def test_ids_that_are_like_paths(filled: Settings) -> None:
    """An id that is equal to a route or ends like one has its own totals and series."""
    with client(filled) as http:
        for entity_id in ("windows", "a/windows", "a"):
            assert get_json(http, path(entity_id))["id"] == entity_id
            assert get_json(http, path(entity_id, "/windows"))["id"] == entity_id
        # A slash needs no encoding, unless `/windows` follows at the end.
        assert get_json(http, "/metrics/driver/a/b")["id"] == "a/b"
        assert "items" not in get_json(http, "/metrics/driver/windows")
        assert get_json(http, "/metrics/driver/a/windows")["items"]
        assert get_json(http, "/metrics/driver/windows/windows")["id"] == "windows"
        assert get_json(http, "/metrics/driver/a/b/windows")["id"] == "a/b"


def test_formats_of_a_series(filled: Settings) -> None:
    """NDJSON, CSV and Parquet have the rows of JSON with the id, and the freshness headers."""

    def ask(media_type: str) -> httpx.Response:
        response = http.get(path("a", "/windows"), headers={"accept": media_type})
        assert response.status_code == 200
        assert response.headers["content-type"].partition(";")[0] == media_type
        assert response.headers["mobility-as-of"] == iso(NOON)
        assert response.headers["mobility-store"] == filled.stores[0]
        assert response.headers["vary"] == "Accept"
        return response

    with client(filled) as http:
        items = ask("application/json").json()["items"]
        ndjson = ask("application/x-ndjson").content
        csv = ask("text/csv").content
        parquet = ask("application/vnd.apache.parquet").content
        browser = {"accept": "text/html,application/xml;q=0.9,*/*;q=0.8"}
        assert http.get(path("a", "/windows"), headers=browser).json()["items"] == items
        rejected = http.get(path("a", "/windows"), headers={"accept": "image/png"})
    rows = [{"id": "a", **item} for item in items]
    assert [msgspec.json.decode(line) for line in ndjson.splitlines()] == rows
    expected = pl.DataFrame(rows).with_columns(
        pl.col("window_start", "window_end").str.to_datetime(time_unit="ms", time_zone="UTC")
    )
    columns = pl.read_parquet(io.BytesIO(parquet)).columns
    assert pl.read_parquet(io.BytesIO(parquet)).equals(expected.select(columns))
    read = pl.read_csv(io.BytesIO(csv)).select(columns)
    assert read.equals(pl.DataFrame(rows).select(columns))
    assert columns[0] == "id"
    assert rejected.status_code == 406
    assert rejected.json()["type"] == "/problems/not-acceptable"


def test_the_format_as_a_parameter(filled: Settings) -> None:
    """`format` stands in place of the Accept header, and names the file that a browser saves."""
    wanted = {"accept": "application/json"}
    with client(filled) as http:
        for name, media_type in {
            "json": "application/json",
            "ndjson": "application/x-ndjson",
            "csv": "text/csv; charset=utf-8",
            "parquet": "application/vnd.apache.parquet",
        }.items():
            by_header = http.get(path("a", "/windows"), headers={"accept": media_type})
            for url in (path("a", "/windows?"), "/windows/driver?id=a&"):
                by_name = http.get(f"{url}format={name}", headers=wanted)
                assert by_name.content == by_header.content
                assert by_name.headers["content-type"] == media_type
                saved = by_name.headers.get("content-disposition")
                ending = f'attachment; filename="driver-windows.{name}"'
                assert saved == (None if name == "json" else ending)
        unknown = http.get("/windows/driver?id=a&format=xlsx")
    assert unknown.status_code == 400
    assert unknown.json()["detail"] == "format: Invalid enum value 'xlsx'"


def test_cells_of_csv_are_safe_in_spreadsheets(settings: Settings) -> None:
    """An id that is a formula gets an apostrophe in CSV, unless it is wanted raw."""
    one = with_stores(settings, "postgres")
    formula = '=HYPERLINK("http://x.example","a")'
    fill_stores(one, window_frame([window(formula, NOON - LENGTH)]))
    with client(one) as http:
        safe, raw = (
            pl.read_csv(http.get("/windows/driver", params=query).content)["id"].to_list()
            for query in (
                {"id": formula, "format": "csv"},
                {"id": formula, "format": "csv", "raw": "1"},
            )
        )
    assert (safe, raw) == ([f"'{formula}"], [formula])


def test_conditional_requests(filled: Settings) -> None:
    """With the tag of the response the API answers 304 until a number changes."""
    with client(filled) as http:
        first = http.get(path("a"))
        tag = first.headers["etag"]
        for wanted in (tag, tag.removeprefix("W/"), f'"x", {tag}', "*"):
            again = http.get(path("a"), headers={"if-none-match": wanted})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == tag
            assert again.headers["mobility-as-of"] == iso(NOON)
            assert "content-type" not in again.headers
        others = [http.get(path("b")), http.get(path("a", "/windows")), http.get("/top/tram")]
        assert {response.headers.get("etag") for response in others} & {tag} == set()
        fill_stores(filled, ROWS.filter(pl.col("id") == "a"), NOON + 1)
        moved = http.get(path("a"), headers={"if-none-match": tag})
    assert moved.status_code == 200
    assert moved.json() == {**first.json(), "as_of": "2025-03-30T12:00:00.001000Z"}


def test_ranges_before_the_ledger_without_postgres(settings: Settings) -> None:
    """They have their problem type, and the problem says from when on there are windows."""
    short = msgspec.structs.replace(with_stores(settings, "redis"), redis_ledger_hours=10)
    fill_stores(short, ROWS)
    newest = max(ROWS.filter(pl.col("id") == "a")["window_start"].to_list())
    reaches = newest - 10 * 3_600_000
    with client(short) as http:
        inside = {"from": iso(reaches), "to": iso(NOON)}
        found = get_json(http, path("a", "/windows"), **inside)["items"]
        assert (
            len(found) == ROWS.filter(pl.col("id") == "a", pl.col("window_start") >= reaches).height
        )
        for url in (path("a"), path("a", "/windows")):
            beyond = http.get(url, params={"from": iso(reaches - LENGTH), "to": iso(NOON)})
            assert beyond.status_code == 404
            problem = beyond.json()
            assert problem["type"] == "/problems/beyond-ledger"
            assert problem["reaches"] == iso(reaches)
            assert http.get(problem["type"]).json()["do"]


def test_redis_as_a_follower_has_no_series(settings: Settings) -> None:
    """With both stores, Redis answers for totals, and Postgres for ranges of any age."""
    fill_stores(settings, ROWS)
    recent = {"from": iso(NOON - 3_600_000), "to": iso(NOON)}
    whole = {"from": iso(NOON - 40 * 3_600_000), "to": iso(NOON)}
    with (
        client(settings) as http,
        client(with_stores(settings, "postgres")) as postgres_only,
    ):
        wait_for_redis(http)
        for query in (recent, whole):
            for tail in ("", "/windows"):
                found = get_json(http, path("a", tail), **query)
                assert found["store"] == "postgres"
                assert found == get_json(postgres_only, path("a", tail), **query)
        totals = get_json(http, path("a"))
        assert totals == {**get_json(postgres_only, path("a")), "store": "redis"}
