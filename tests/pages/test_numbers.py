"""The pages show the exact numbers of the API."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import Response, Route, expect

from tests.pages.browser_tab import BrowserTab
from tests.pages.conftest import Visit
from tests.pages.system import System
from tests.waiting import until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.services,
    pytest.mark.xdist_group("pages"),
]


def response_of_page(tab: BrowserTab, path: str, page: str) -> Response:
    """Open a page; return the response to its request whose URL contains `path`."""
    with tab.page.expect_response(lambda response: path in response.url) as answer:
        tab.open(page)
    return answer.value


def repeat(response: Response) -> Any:  # noqa: ANN401 - any JSON
    """Repeat a request without the browser; return its body."""
    return httpx.get(response.url).raise_for_status().json()


def period_by_revenue(url: str) -> tuple[str, str] | None:
    """Return the period of a request for the top cells by revenue; None for another request."""
    query = parse_qs(urlsplit(url).query)
    if "/top/h3?" not in url or query.get("by") != ["revenue"]:
        return None
    return query["from"][0], query["to"][0]


def test_city(visit: Visit) -> None:
    """Sums, top cells in order, and locations that are not cells."""
    tab = visit("/")
    # By revenue, as the bars of the timeline request top ids by trips.
    answer = repeat(response_of_page(tab, "by=revenue", "/?metric=total_revenue&span=60"))
    assert answer["total"]["trip_count"] > 0
    tab.wait_for_value("#sum-trips", answer["total"]["trip_count"])
    tab.wait_for_value("#sum-revenue", answer["total"]["total_revenue"])
    tab.wait_for_value("#sum-cells", answer["active_ids"])
    cells = [item for item in answer["items"] if re.fullmatch("8[0-9a-f]{14}", item["id"])]
    top_cells = tab.page.locator(".top-cells button")
    expect(top_cells).to_have_count(min(12, len(cells)))
    shown = [
        (line.get_attribute("data-id"), float(line.locator("data").get_attribute("value") or 0))
        for line in top_cells.all()
    ]
    assert shown == [(item["id"], item["total_revenue"]) for item in cells[:12]]
    places = [item["id"] for item in answer["items"] if item not in cells]
    texts = tab.page.locator(".places a").all_text_contents()
    assert len(texts) == len(places)
    assert all(text.startswith(place) for text, place in zip(texts, places, strict=True))


def test_city_over_another_period(visit: Visit) -> None:
    """The slider sets an earlier period, and the page shows the numbers of that period."""
    tab = visit("/?metric=total_revenue&span=60")
    tab.page.locator("#sum-trips").wait_for()
    slider = tab.page.get_by_role("slider")
    slider.focus()
    # By revenue, as in `test_city`; and a refresh of the current period may answer in between.
    earliest = min(filter(None, map(period_by_revenue, tab.requests)))

    def is_earlier(response: Response) -> bool:
        period = period_by_revenue(response.url)
        return period is not None and period < earliest

    for _ in range(12):
        with tab.page.expect_response(is_earlier) as found:
            slider.press("ArrowLeft")
        earliest = period_by_revenue(found.value.url) or earliest
    answer = repeat(found.value)
    tab.wait_for_value("#sum-trips", answer["total"]["trip_count"])
    shown = tab.page.locator(".time output").text_content() or ""
    query = parse_qs(urlsplit(found.value.url).query)
    assert [time[11:16] for time in (query["from"][0], query["to"][0])] == re.findall(
        r"\d\d:\d\d", shown
    )
    live = tab.page.get_by_role("button", name="Live")
    expect(live).to_have_attribute("aria-pressed", "false")
    live.click()
    expect(live).to_have_attribute("aria-pressed", "true")


def test_overview(visit: Visit, system: System) -> None:
    """While trips come: the last hour, and its vehicle types."""
    tab = visit("/overview")
    tab.page.locator("#drivers").wait_for()
    # It requests the last hour and the hour before.
    hours = [parse_qs(urlsplit(url).query) for url in tab.requests if "/summary/driver?" in url]
    hour = {name: max(query[name][0] for query in hours) for name in ("from", "to")}
    drivers = system.get("/summary/driver", **hour)
    top = system.get("/top/vehicle_type", by="revenue", limit=50, **hour)
    tab.wait_for_value("#drivers", drivers["active_ids"])
    tab.wait_for_value("#trips", top["total"]["trip_count"])
    tab.wait_for_value("#revenue", top["total"]["total_revenue"])
    rows = tab.page.locator(".kinds tbody tr")
    expect(rows).to_have_count(len(top["items"]))
    values = [float(cell.get_attribute("value") or 0) for cell in rows.locator("data").all()]
    assert values == [
        amount for item in top["items"] for amount in (item["trip_count"], item["total_revenue"])
    ]


def test_totals_with_more_digits_than_a_double(visit: Visit, system: System) -> None:
    """The page of an id shows what the API says, to the last digit."""
    busiest = system.get("/top/driver", by="trips", limit=1)["items"][0]
    tab = visit("/pipeline")

    def enlarge(route: Route) -> None:
        text = route.fetch().text()
        large = re.sub(r'"total_revenue":[^,]+', '"total_revenue":1000000000000000000001.13', text)
        route.fulfill(body=large, content_type="application/json")

    tab.page.route(re.compile(r"/metrics/driver[?/](?!.*granularity)"), enlarge)
    tab.open(f"/entity?entity=driver&id={busiest['id']}")
    expect(tab.page.locator("#revenue")).to_have_text("1,000,000,000,000,000,000,001.13")
    expect(tab.page.locator("#revenue")).to_have_attribute("value", "1000000000000000000001.13")


def test_entity(visit: Visit, system: System) -> None:
    """Totals, rank and series of the busiest driver, found by the prefix of the id."""
    busiest = system.get("/top/driver", by="trips", limit=1)["items"][0]
    tab = visit("/entity")
    tab.page.get_by_role("combobox", name="Id or prefix").fill(busiest["id"][:-1])
    tab.page.get_by_role("option", name=busiest["id"]).click()
    totals = system.get("/metrics/driver", id=busiest["id"])
    tab.wait_for_value("#trips", totals["trip_count"])
    tab.wait_for_value("#revenue", totals["total_revenue"])
    tab.wait_for_value("#distance", totals["total_distance"])
    tab.wait_for_value("#duration", totals["total_duration"])
    tab.wait_for_value(".figure:first-child .rank", busiest["rank"])
    tab.page.get_by_text("As a table").click()
    link = tab.page.get_by_role("link", name="CSV")
    # The series comes after the totals.
    expect(link).to_have_attribute("href", re.compile("from="))
    query = {name: found[0] for name, found in parse_qs(urlsplit(link_of(tab)).query).items()}
    series = system.get("/windows/driver", **query)["items"]
    rows = tab.page.locator("details tbody tr")
    expect(rows).to_have_count(len(series))
    shown = sum(
        int((row or "0").replace(",", ""))
        for row in rows.locator("td:nth-child(2)").all_text_contents()
    )
    assert shown == sum(item["trip_count"] for item in series) == totals["trip_count"]
    with tab.page.expect_download() as download:
        link.click()
    lines = download.value.path().read_text().splitlines()
    assert len(lines) == len(series) + 1


def test_the_series_reaches_the_newest_window(visit: Visit, system: System) -> None:
    """The totals hold trips of windows that not all partitions have reached; so does the series."""
    tab = visit("/pipeline")
    status = system.get("/status")
    # As where a partition is far behind.
    past = datetime.now(UTC) - timedelta(hours=2)
    behind = dict.fromkeys(status["as_of"], past.isoformat(timespec="milliseconds"))
    tab.page.route("**/status", lambda route: route.fulfill(json=status | {"as_of": behind}))
    tab.open("/entity?entity=vehicle_type&id=car")
    tab.page.get_by_text("As a table").click()
    totals = system.get("/metrics/vehicle_type", id="car")
    trips = tab.page.locator("details tbody td:nth-child(2)")
    until(
        lambda: sum(int(text.replace(",", "")) for text in trips.all_text_contents()),
        f"{totals['trip_count']} trips in the series",
        lambda shown: shown == totals["trip_count"],
    )


def test_the_city_reaches_the_newest_window(visit: Visit, system: System) -> None:
    """Trips of the newest window are shown, though the watermark is before it."""
    newest = system.get("/metrics/vehicle_type", id="car")["last_window"]["window_start"]
    before = datetime.fromisoformat(newest) - timedelta(seconds=1)
    watermark = before.isoformat(timespec="milliseconds")
    status = system.get("/status")
    status["as_of"] = dict.fromkeys(status["as_of"], watermark)
    for partition in status["processes"][0]["partitions"]:
        partition["watermark"] = watermark
    tab = visit("/pipeline")
    tab.page.route("**/status", lambda route: route.fulfill(json=status))
    tab.open("/?span=1440")
    tab.wait_for_value("#sum-trips", system.get("/summary/h3")["trip_count"])


def link_of(tab: BrowserTab) -> str:
    """Return the URL of the CSV button."""
    return tab.page.get_by_role("link", name="CSV").get_attribute("href") or ""


def test_other_formats_of_a_series(visit: Visit, system: System) -> None:
    """Parquet and NDJSON are downloaded for the same series."""
    tab = visit("/entity?entity=vehicle_type&id=car")
    tab.page.locator("#trips").wait_for()
    for name, magic in (("Parquet", b"PAR1"), ("NDJSON", b"{")):
        with tab.page.expect_download() as download:
            tab.page.get_by_role("link", name=name).click()
        assert download.value.path().read_bytes().startswith(magic)
        assert download.value.suggested_filename.startswith("vehicle_type-car-")
    assert system.trips > 0


def test_a_series_is_downloaded_once_it_is_there(visit: Visit) -> None:
    """Before, there is no link that could be clicked in vain."""
    tab = visit("/pipeline")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    tab.page.route("**/windows/vehicle_type?*", hold)
    tab.open("/entity?entity=vehicle_type&id=car")
    tab.page.locator("#trips").wait_for()
    link = tab.page.get_by_role("link", name="Parquet")
    expect(tab.page.get_by_text("Parquet", exact=True)).to_be_visible()
    expect(link).to_have_count(0)
    assert held
    for route in held:
        route.continue_()
    expect(link).to_have_attribute("href", re.compile("^/windows/vehicle_type"))


def test_pipeline(visit: Visit, system: System) -> None:
    """The numbers of the flow, and a row for each partition."""
    tab = visit("/pipeline")
    status = system.get("/status")
    counts = status["processes"][0]["counts"]
    tab.wait_for_value("#counted", counts["counted"])
    tab.wait_for_value("#late", counts["late"])
    tab.wait_for_value("#dead", counts["dead"])
    tab.wait_for_value("#lag", 0)
    partitions = tab.page.get_by_role("region", name="Partitions: table").locator("tbody tr")
    expect(partitions).to_have_count(len(status["processes"][0]["partitions"]))
