"""Pages of trips without a price or a distance, as those of bike shares."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from mobility.settings import Settings
from tests.pages.browser_tab import BrowserTab
from tests.pages.conftest import Visit
from tests.pages.system import System, new_system, trip
from tests.waiting import until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.services,
    pytest.mark.xdist_group("pages"),
]

TRIPS = 300
TYPES = ("bike", "ebike", "scooter")
CELLS = 6
NEITHER: dict[str, object] = {"price": None, "distance_km": None}
REVENUE = re.compile(r"revenue|price|0\.00", re.IGNORECASE)
DISTANCE = re.compile(r"distance|km\b", re.IGNORECASE)
NOT_A_NUMBER = re.compile("NaN|null|undefined|Infinity")
NONE = "–"  # noqa: RUF001 - as shown

PAGES = {
    "/?span=1440": "#sum-trips",
    "/?span=1440&metric=total_revenue": "#sum-trips",
    "/?span=1440&metric=avg_revenue": "#sum-trips",
    "/?span=1440&metric=total_distance": "#sum-trips",
    "/overview": "#drivers",
    "/entity": "main tbody",
    "/entity?entity=vehicle_type&id=scooter": ".exports a[href*=from]",
    "/entity?entity=vehicle_type&id=bike": ".exports a[href*=from]",
    "/entity?entity=driver&id=d0": ".exports a[href*=from]",
}
"""By the path: what is on the page when all of it is loaded."""

VISIBLE_TEXT = """
() => [...document.querySelectorAll("main, main option, main [aria-label]")]
  .filter((node) => (node.closest("select") ?? node).checkVisibility())
  .map((node) => `${node.innerText ?? ""} ${node.getAttribute("aria-label") ?? ""}`).join("\\n")
"""
SERIES = """
() => echarts.getInstanceByDom(document.querySelector(".chart")).getOption()
  .series[0].data.map(({ value }) => value[1])
"""


def trips_of(kind: str) -> list[dict[str, object]]:
    """Return trips of two and a half hours.

    "half": bikes and ebikes have both amounts on every second trip, scooters never, so that the
    trips of a cell have all of them or none.
    """
    now = datetime.now(UTC)
    found = []
    for index in range(TRIPS):
        has_both = index % len(TYPES) < 2 and index % 2 == 0
        lacks: dict[str, dict[str, object]] = {
            "no prices": {"price": None},
            "neither": NEITHER,
            "half": {} if has_both else NEITHER,
        }
        start = now - timedelta(minutes=150) * (TRIPS - 1 - index) / TRIPS
        found.append(
            trip(
                **lacks[kind],
                driver_id=f"d{index % 5}",
                vehicle_type=TYPES[index % len(TYPES)],
                start_lat=38.7 + 0.01 * (index % CELLS),
                start_time=start.isoformat(timespec="milliseconds"),
            )
        )
    return found


@pytest.fixture(scope="module")
def system(
    request: pytest.FixtureRequest,
    services: Settings,
    browser: Browser,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[System]:
    """Return a system with the trips that the test names, in place of that of the package.

    Tests of the same trips follow each other, so that each system is started once.
    """
    del browser
    kind: str = request.param
    yield from new_system(services, tmp_path_factory.mktemp("amounts"), lambda: trips_of(kind))


def show_all(tab: BrowserTab, path: str) -> str:
    """Open a page with its tables; return all text, none of which is of a missing number."""
    tab.open(path)
    tab.page.locator(PAGES[path]).first.wait_for()
    for summary in tab.page.locator("summary:visible").all():
        summary.click()
    tab.page.wait_for_timeout(300)
    assert not NOT_A_NUMBER.search(tab.page.locator("main").inner_html())
    return str(tab.evaluate(VISIBLE_TEXT))


def by_type(system: System) -> dict[str, Any]:
    """Return the totals of the vehicle types."""
    items = system.get("/top/vehicle_type", limit=50)["items"]
    return {item["id"]: item for item in items}


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("system", ["no prices"], indirect=True, scope="module")
def test_trips_without_prices(visit: Visit, system: System, path: str) -> None:
    """Revenue is no number, column, choice or label; distances are shown."""
    totals = system.get("/summary/vehicle_type")
    assert (totals["trip_count"], totals["distance_count"]) == (TRIPS, TRIPS)
    assert (totals["revenue_count"], totals["total_revenue"]) == (0, None)
    text = show_all(visit("/pipeline"), path)
    assert not REVENUE.search(text)
    assert path == "/overview" or DISTANCE.search(text)


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("system", ["neither"], indirect=True, scope="module")
def test_trips_without_both(visit: Visit, system: System, path: str) -> None:
    """Neither is a number, column, choice or label."""
    totals = system.get("/summary/vehicle_type")
    assert totals["trip_count"] == TRIPS
    assert (totals["revenue_count"], totals["distance_count"]) == (0, 0)
    text = show_all(visit("/pipeline"), path)
    assert not REVENUE.search(text)
    assert not DISTANCE.search(text)


@pytest.mark.parametrize("system", ["neither"], indirect=True, scope="module")
def test_a_choice_that_no_trip_has(visit: Visit, system: System) -> None:
    """A link to the map by revenue shows the map by trips."""
    tab = visit("/?span=1440&metric=total_revenue")
    expect(tab.page.get_by_role("heading", name="Top cells by trips")).to_be_visible()
    expect(tab.page.locator(".side select").first).to_have_value("trip_count")
    expect(tab.page.locator(".top-cells button")).to_have_count(CELLS)
    tab.wait_for_value("#sum-trips", system.get("/summary/h3")["trip_count"])


# The last test of these trips, as it adds one.
@pytest.mark.parametrize("system", ["neither"], indirect=True, scope="module")
def test_the_first_price_is_shown(visit: Visit, system: System) -> None:
    """A page that is open shows the revenue with the first trip that has one."""
    tab = visit("/entity?entity=vehicle_type&id=bike")
    trips = by_type(system)["bike"]["trip_count"]
    tab.wait_for_value("#trips", trips)
    expect(tab.page.locator("#revenue")).to_have_count(0)
    system.produce([trip(vehicle_type="bike", price=None, distance_km=None)])
    tab.wait_for_value("#trips", trips + 1)
    expect(tab.page.locator("#revenue")).to_have_count(0)
    system.produce([trip(vehicle_type="bike", price=7.5, distance_km=None)])
    tab.wait_for_value("#revenue", 7.5)
    tab.wait_for_value("#trips", trips + 2)
    expect(tab.page.locator(".figure .part").first).to_have_text(f"of 1 of {trips + 2} trips")
    expect(tab.page.locator("#distance")).to_have_count(0)
    options = tab.page.locator(".series-controls select").first.locator("option")
    assert "Revenue" in options.all_text_contents()
    assert "Distance" not in options.all_text_contents()


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("system", ["half"], indirect=True, scope="module")
def test_amounts_of_a_part_of_the_trips(visit: Visit, system: System, path: str) -> None:
    """Revenue is shown, and nothing that is not a number."""
    assert system.get("/summary/vehicle_type")["revenue_count"] == TRIPS / 3
    assert "evenue" in show_all(visit("/pipeline"), path)


@pytest.mark.parametrize("system", ["half"], indirect=True, scope="module")
def test_totals_of_a_part_of_the_trips(visit: Visit, system: System) -> None:
    """Tiles say of how many trips they are; means are those of the trips with a price."""
    totals = by_type(system)["bike"]
    trips, priced = totals["trip_count"], totals["revenue_count"]
    assert 0 < priced < trips
    tab = visit("/entity?entity=vehicle_type&id=bike")
    tab.wait_for_value("#trips", trips)
    tab.wait_for_value("#revenue", totals["total_revenue"])
    tab.wait_for_value("#per-trip", totals["total_revenue"] / priced)
    tab.wait_for_value("#distance", totals["total_distance"])
    part = f"of {priced} of {trips} trips"
    expect(tab.page.locator(".figure .part")).to_have_text([part, part, part])
    tab.open("/overview")
    tab.page.locator("#drivers").wait_for()
    revenue = tab.page.locator(".figure").filter(has=tab.page.locator("#revenue"))
    expect(revenue).to_contain_text(re.compile(r"of \d+ of \d+ trips"))


@pytest.mark.parametrize("system", ["half"], indirect=True, scope="module")
def test_an_id_without_the_amounts(visit: Visit, system: System) -> None:
    """It has dashes, no rank by revenue, and gaps in the chart."""
    totals = by_type(system)["scooter"]
    assert totals["total_revenue"] is None
    tab = visit("/entity?entity=vehicle_type&id=scooter")
    tab.wait_for_value("#trips", totals["trip_count"])
    for number in ("#revenue", "#per-trip", "#distance"):
        expect(tab.page.locator(number)).to_have_text(NONE)
    revenue = tab.page.locator(".figure").filter(has=tab.page.locator("#revenue"))
    none = f"none of {totals['trip_count']} trips has"
    expect(revenue.locator(".more")).to_have_text(f"{none} a price")
    distance = tab.page.locator(".figure").filter(has=tab.page.locator("#distance"))
    expect(distance.locator(".more")).to_have_text(f"{none} a distance")
    expect(tab.page.locator(".facts")).to_contain_text(f"highest price {NONE}")
    tab.page.locator(".series-controls select").first.select_option("total_revenue")
    values = until(lambda: tab.evaluate(SERIES), "gaps in the chart", lambda seen: None in seen)
    assert set(values) <= {None, 0}
    expect(tab.page.locator(".series-controls ~ .note").first).to_contain_text(f"({none} a price)")
    tab.page.get_by_text("As a table").click()
    cells = tab.page.locator("details tbody td:nth-child(3)")
    expect(cells.first).to_have_text(NONE)
    assert {*cells.all_text_contents()} == {NONE}


@pytest.mark.parametrize("system", ["half"], indirect=True, scope="module")
def test_a_type_without_prices(visit: Visit, system: System) -> None:
    """It is last on the overview, with dashes for its revenue, share and change."""
    tab = visit("/overview")
    tab.page.locator("#drivers").wait_for()
    rows = tab.page.locator(".kinds tbody tr")
    expect(rows).to_have_count(len(by_type(system)))
    expect(rows.last).to_contain_text("scooter")
    expect(rows.last.locator("td")).to_have_text([re.compile(r"\d+"), NONE, NONE, NONE])


@pytest.mark.parametrize("system", ["half"], indirect=True, scope="module")
def test_cells_without_prices(visit: Visit, system: System) -> None:
    """By revenue the list leaves them out and says so; selected, they have no revenue."""
    priced = [
        item
        for item in system.get("/top/h3", by="revenue", limit=50)["items"]
        if item["total_revenue"] is not None
    ]
    assert 0 < len(priced) < CELLS
    tab = visit("/?span=1440&metric=total_revenue")
    lines = tab.page.locator(".top-cells button")
    expect(lines).to_have_count(len(priced))
    assert [line.get_attribute("data-id") for line in lines.all()] == [
        item["id"] for item in priced
    ]
    unpriced = f"Not listed: {CELLS - len(priced)} cells without this amount."
    expect(tab.page.get_by_text(unpriced)).to_be_visible()
    tab.page.locator(".side select").first.select_option("trip_count")
    expect(lines).to_have_count(CELLS)
    ids = {item["id"] for item in priced}
    cells = [line for line in lines.all() if line.get_attribute("data-id") not in ids]
    cells[0].click()
    selected = tab.page.locator(".side section[aria-live]")
    expect(selected).to_contain_text(re.compile(r"\d+ trips; [\d.]+ min per trip\."))
