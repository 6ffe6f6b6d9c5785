"""The time zone of a request: `tz`, or else that of the settings."""

from typing import Any

import msgspec
import polars as pl
import pytest
from litestar.testing import TestClient

from mobility.settings import Settings
from tests.api.expected import client, fill_stores, get_json, random_windows
from tests.api.memory_store import MemoryReader, problem_of, totals
from tests.api.memory_store import client as memory_client

ROWS = random_windows()
ROUTES = (
    "/metrics/driver/a",
    "/metrics/driver?id=a",
    "/metrics/driver?sort=-trips",
    "/metrics/driver/a/windows?granularity=PT5M",
    "/windows/driver?id=a",
    "/top/driver",
    "/summary/driver",
    "/compare/driver?id=a&other_id=top",
)
LOCAL = {"from": "2025-03-29T20:00", "to": "2025-03-30T05:00:00"}
"""In New York; clocks went forward in Berlin in the night between them."""


@pytest.fixture
def filled(settings: Settings) -> Settings:
    """Return settings with Postgres, filled with windows, and a time zone."""
    found = msgspec.structs.replace(settings, stores=("postgres",), timezone="America/New_York")
    fill_stores(found, ROWS)
    return found


def ask(http: TestClient[Any], route: str, **query: str) -> Any:  # noqa: ANN401 - JSON
    """Return the answer of a route to these parameters beside its own, without its `tz`."""
    path, _, own = route.partition("?")
    parameters = dict(pair.split("=") for pair in own.split("&") if pair)
    body = get_json(http, path, **parameters, **query)
    body.pop("tz", None)
    return body


@pytest.mark.services
@pytest.mark.parametrize("route", ROUTES)
def test_bounds_without_an_offset_are_local_times(filled: Settings, route: str) -> None:
    """Of the time zone of the settings, or of `tz`; those with an offset stay what they are."""
    with client(filled) as http:
        expected = ask(http, route, **{"from": "2025-03-30T00:00Z", "to": "2025-03-30T09:00Z"})
        assert ask(http, route, **LOCAL) == expected
        as_offset = {"from": "2025-03-30T02:00:00+02:00", "to": LOCAL["to"]}
        assert ask(http, route, **as_offset) == expected
        berlin = {"from": "2025-03-30T01:00", "to": "2025-03-30T11:00", "tz": "Europe/Berlin"}
        assert ask(http, route, **berlin) == expected
        assert ask(http, route, **LOCAL, tz="UTC") != expected


@pytest.mark.services
def test_batches_and_both_sides_of_a_comparison(filled: Settings) -> None:
    """A body changes nothing, and one time zone counts for all bounds."""
    ids = {"ids": ["a", "top"]}
    with client(filled) as http:
        found = http.post("/batch/driver", params=LOCAL, json=ids).json()
        assert (found["from"], found["to"]) == ("2025-03-30T00:00:00Z", "2025-03-30T09:00:00Z")
        found = http.post("/batch/driver", params={"from": "2025-03-30", "tz": "UTC"}, json=ids)
        assert found.json()["from"] == "2025-03-30T00:00:00Z"
        other = {"other_from": "2025-03-29T20:05", "other_to": "2025-03-29T21:00"}
        right = get_json(http, "/compare/driver", **LOCAL, **other)["right"]
        assert (right["from"], right["to"]) == ("2025-03-30T00:05:00Z", "2025-03-30T01:00:00Z")


@pytest.mark.services
@pytest.mark.parametrize("url", ["/windows/driver?id=a", "/windows/driver"])
def test_days_and_hours_are_local(filled: Settings, url: str) -> None:
    """Rows are the same as with `tz`, and a header names the time zone."""
    query = {"from": "2025-03-29", "to": "2025-03-31", "granularity": "P1D", "hours": "0-6"}
    with client(filled) as http:
        found, same, other = (
            http.get(url, params={**query, "format": "csv", **tz})
            for tz in ({}, {"tz": "America/New_York"}, {"tz": "UTC"})
        )
    assert found.headers["mobility-timezone"] == "America/New_York"
    assert other.headers["mobility-timezone"] == "UTC"
    assert found.content == same.content != other.content
    starts = set(pl.read_csv(found.content)["window_start"])
    assert starts == {"2025-03-29T04:00:00Z", "2025-03-30T04:00:00Z"}


def test_a_series_names_the_time_zone() -> None:
    """That of the settings, of `tz`, or else UTC."""
    reader = MemoryReader("postgres", {"d1": totals()})
    for timezone, query, name in (
        (Settings().timezone, "", "UTC"),
        ("America/New_York", "", "America/New_York"),
        ("America/New_York", "?tz=Asia/Kolkata", "Asia/Kolkata"),
    ):
        with memory_client(reader, timezone=timezone) as http:
            found = http.get(f"/metrics/driver/d1/windows{query}")
            assert (found.json()["tz"], found.headers["mobility-timezone"]) == (name, name)


def test_without_a_time_zone_bounds_are_in_utc() -> None:
    """As they have always been."""
    with memory_client(MemoryReader("postgres", {"d1": totals()})) as http:
        found = get_json(
            http, "/metrics/driver/d1", **{"from": "2025-01-01", "to": "2025-01-02T08"}
        )
    assert (found["from"], found["to"]) == ("2025-01-01T00:00:00Z", "2025-01-02T08:00:00Z")


@pytest.mark.parametrize("route", [*ROUTES, "/windows/driver"])
def test_an_unknown_time_zone_is_refused(route: str) -> None:
    """By each route, also without bounds; no part of it comes into a header."""
    joint = "&" if "?" in route else "?"
    with memory_client(MemoryReader("postgres", {"a": totals()})) as http:
        response = http.get(f"{route}{joint}tz=Gotham%0D%0AX: y")
    assert problem_of(response, 400)["detail"].startswith("tz: not the name of a time zone")
    assert "mobility-timezone" not in response.headers


def test_every_query_with_a_range_takes_a_time_zone() -> None:
    """The document has `tz` wherever it has `from`, and says what a time without an offset is."""
    with memory_client(MemoryReader("postgres")) as http:
        paths = get_json(http, "/schema/openapi.json")["paths"]
    operations = [operation for path in paths.values() for operation in path.values()]
    parameters = [
        {parameter["name"]: parameter for parameter in operation.get("parameters", ())}
        for operation in operations
    ]
    ranges = [found for found in parameters if "from" in found]
    assert len(ranges) == 11
    assert all("local time of `tz`" in found["from"]["description"] for found in ranges)
    assert all("MOBILITY_TIMEZONE" in found["tz"]["description"] for found in ranges)
