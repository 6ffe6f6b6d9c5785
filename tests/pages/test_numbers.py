"""What the pages show is what the API answers, to the last digit."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import Response, expect

from tests.pages.conftest import Visit
from tests.pages.system import System
from tests.pages.visitor import Visitor

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.services,
    pytest.mark.xdist_group("pages"),
]


def asked(visitor: Visitor, path: str, act: str) -> Response:
    """Return the answer to the question that a page asks when it is shown `act`."""
    with visitor.page.expect_response(lambda response: path in response.url) as answer:
        visitor.open(act)
    return answer.value


def again(response: Response) -> Any:  # noqa: ANN401 - any JSON
    """Ask the API the same once more, without a browser."""
    return httpx.get(response.url).raise_for_status().json()


def test_city(visit: Visit) -> None:
    """Sums, hot cells in their order, and places that are no cells."""
    visitor = visit("/")
    # SortKey revenue: the page before, and the bars of this one, ask by trips.
    answer = again(asked(visitor, "by=revenue", "/?metric=total_revenue&span=60"))
    assert answer["total"]["trip_count"] > 0
    visitor.wait_for_value("#sum-trips", answer["total"]["trip_count"])
    visitor.wait_for_value("#sum-revenue", answer["total"]["total_revenue"])
    visitor.wait_for_value("#sum-cells", answer["active_ids"])
    cells = [item for item in answer["items"] if re.fullmatch("8[0-9a-f]{14}", item["id"])]
    hot = visitor.page.locator(".hot button")
    expect(hot).to_have_count(min(12, len(cells)))
    shown = [
        (line.get_attribute("data-id"), float(line.locator("data").get_attribute("value") or 0))
        for line in hot.all()
    ]
    assert shown == [(item["id"], item["total_revenue"]) for item in cells[:12]]
    places = [item["id"] for item in answer["items"] if item not in cells]
    texts = visitor.page.locator(".places a").all_text_contents()
    assert len(texts) == len(places)
    assert all(text.startswith(place) for text, place in zip(texts, places, strict=True))


def test_city_over_another_time(visit: Visit) -> None:
    """The slider goes back in event time: the map shows that time, and the API agrees."""
    visitor = visit("/?span=60")
    visitor.page.locator("#sum-trips").wait_for()
    slider = visitor.page.get_by_role("slider")
    slider.focus()
    with visitor.page.expect_response(lambda response: "/top/h3?" in response.url) as found:
        slider.press("ArrowLeft")
    for _ in range(11):
        with visitor.page.expect_response(lambda response: "/top/h3?" in response.url) as found:
            slider.press("ArrowLeft")
    answer = again(found.value)
    visitor.wait_for_value("#sum-trips", answer["total"]["trip_count"])
    shown = visitor.page.locator(".time output").text_content() or ""
    query = parse_qs(urlsplit(found.value.url).query)
    assert [time[11:16] for time in (query["from"][0], query["to"][0])] == re.findall(
        r"\d\d:\d\d", shown
    )
    live = visitor.page.get_by_role("button", name="Live")
    expect(live).to_have_attribute("aria-pressed", "false")
    live.click()
    expect(live).to_have_attribute("aria-pressed", "true")


def test_now(visit: Visit, system: System) -> None:
    """The last hour, and the vehicle types in it."""
    visitor = visit("/now")
    visitor.page.locator("#drivers").wait_for()
    # It asks for the last hour and for the one before.
    hours = [parse_qs(urlsplit(url).query) for url in visitor.asked if "/summary/driver?" in url]
    hour = {name: max(asked[name][0] for asked in hours) for name in ("from", "to")}
    drivers = system.get("/summary/driver", **hour)
    top = system.get("/top/vehicle_type", by="revenue", limit=50, **hour)
    visitor.wait_for_value("#drivers", drivers["active_ids"])
    visitor.wait_for_value("#trips", top["total"]["trip_count"])
    visitor.wait_for_value("#revenue", top["total"]["total_revenue"])
    rows = visitor.page.locator(".kinds tbody tr")
    expect(rows).to_have_count(len(top["items"]))
    values = [float(cell.get_attribute("value") or 0) for cell in rows.locator("data").all()]
    assert values == [
        amount for item in top["items"] for amount in (item["trip_count"], item["total_revenue"])
    ]


def test_entity(visit: Visit, system: System) -> None:
    """Totals, rank and series of the busiest driver, found by how the id begins."""
    busiest = system.get("/top/driver", by="trips", limit=1)["items"][0]
    visitor = visit("/entity")
    visitor.page.get_by_role("combobox", name="Id, or how it begins").fill(busiest["id"][:-1])
    visitor.page.get_by_role("option", name=busiest["id"]).click()
    totals = system.get("/metrics/driver", id=busiest["id"])
    visitor.wait_for_value("#trips", totals["trip_count"])
    visitor.wait_for_value("#revenue", totals["total_revenue"])
    visitor.wait_for_value("#distance", totals["total_distance"])
    visitor.wait_for_value("#duration", totals["total_duration"])
    visitor.wait_for_value(".figure:first-child .rank", busiest["rank"])
    visitor.page.get_by_text("As a table").click()
    link = visitor.page.get_by_role("link", name="CSV")
    query = {name: found[0] for name, found in parse_qs(urlsplit(link_of(visitor)).query).items()}
    series = system.get("/windows/driver", **query)["items"]
    rows = visitor.page.locator("details tbody tr")
    expect(rows).to_have_count(len(series))
    shown = sum(
        int((row or "0").replace(",", ""))
        for row in rows.locator("td:nth-child(2)").all_text_contents()
    )
    assert shown == sum(item["trip_count"] for item in series) == totals["trip_count"]
    with visitor.page.expect_download() as download:
        link.click()
    lines = download.value.path().read_text().splitlines()
    assert len(lines) == len(series) + 1


def link_of(visitor: Visitor) -> str:
    """Return the address behind the CSV button."""
    return visitor.page.get_by_role("link", name="CSV").get_attribute("href") or ""


def test_parquet_is_the_same_series(visit: Visit, system: System) -> None:
    """The other formats come from the same question."""
    visitor = visit("/entity?entity=vehicle_type&id=car")
    visitor.page.locator("#trips").wait_for()
    for name, magic in (("Parquet", b"PAR1"), ("NDJSON", b"{")):
        with visitor.page.expect_download() as download:
            visitor.page.get_by_role("link", name=name).click()
        assert download.value.path().read_bytes().startswith(magic)
        assert download.value.suggested_filename.startswith("vehicle_type-car-")
    assert system.trips > 0


def test_pipeline(visit: Visit, system: System) -> None:
    """What the flow says of itself, box by box and partition by partition."""
    visitor = visit("/pipeline")
    status = system.get("/status")
    counts = status["processes"][0]["counts"]
    visitor.wait_for_value("#counted", counts["counted"])
    visitor.wait_for_value("#late", counts["late"])
    visitor.wait_for_value("#dead", counts["dead"])
    visitor.wait_for_value("#lag", 0)
    partitions = visitor.page.get_by_role("region", name="Partitions: table").locator("tbody tr")
    expect(partitions).to_have_count(len(status["processes"][0]["partitions"]))
