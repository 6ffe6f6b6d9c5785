"""Pages of files as most people have them: of another year, without drivers or coordinates."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from tests.pages.browser_tab import BrowserTab
from tests.pages.conftest import Visit
from tests.pages.system import System

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.services,
    pytest.mark.xdist_group("pages"),
]

LATER = timedelta(days=800)


def change(tab: BrowserTab, path: str, edit: Callable[[Any], Any]) -> None:
    """Let the page get changed responses of the API."""

    def answer(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, json=edit(response.json()))

    tab.page.route(path, answer)


def ended(status: Any, **extent: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return a status that says that the data has ended."""
    return status | {"extent": status["extent"] | {"ended": True} | extent}


def open_later(visit: Visit, path: str, **extent: object) -> BrowserTab:
    """Open a page when the trips are more than two years old, and all are read."""
    tab = visit("/pipeline")
    tab.page.clock.set_fixed_time(datetime.now(UTC) + LATER)
    change(tab, "**/status", lambda status: ended(status, **extent))
    tab.open(path)
    return tab


def test_the_header_of_a_file_that_has_ended(visit: Visit) -> None:
    """It has the year; and no change is claimed that the page has not seen."""
    fresh = open_later(visit, "/entity").page.locator("#fresh")
    expect(fresh).to_contain_text(re.compile(r"\d{4} [\d:]{8} UTC, replay, all trips are read"))
    expect(fresh).not_to_contain_text("ago")
    expect(fresh).to_have_attribute("data-state", "live")


@pytest.mark.parametrize(
    ("start", "end", "shown"),
    [
        ("2021-01-01T00:00:00Z", "2021-02-01T00:00:00Z", "1 to 31 January 2021"),
        ("2021-01-31T08:00:00Z", "2021-02-01T00:05:00Z", "31 January to 1 February 2021"),
        ("2021-01-31T08:00:00Z", "2021-01-31T23:55:00Z", "31 January 2021"),
    ],
)
def test_the_header_of_final_data(visit: Visit, start: str, end: str, shown: str) -> None:
    """It has the days of the data, and nothing to warn of."""
    final = {"from": start, "to": end, "complete": True}
    fresh = open_later(visit, "/pipeline", **final).page.locator("#fresh")
    expect(fresh).to_have_text(f"Data of {shown}, finalUTC")
    expect(fresh).to_have_attribute("data-state", "live")


def test_final_data_has_nothing_that_is_not_complete(visit: Visit, system: System) -> None:
    """Also where a range ends after it, which the watermark has not reached."""
    assert not system.get("/status")["extent"]["complete"]
    tab = open_later(visit, "/", complete=True)
    expect(tab.page.locator(".sums")).to_contain_text("CompleteYes")
    tab.open("/entity?entity=vehicle_type&id=car")
    tab.page.get_by_text("As a table").click()
    last = tab.page.locator("details tbody td:last-child")
    last.first.wait_for()
    assert set(last.all_text_contents()) == {"yes"}
    expect(tab.page.locator(".facts")).to_contain_text(", complete")
    expect(tab.page.locator("main")).not_to_contain_text("not complete")


def test_the_timeline_ends_with_the_trips(visit: Visit, system: System) -> None:
    """The watermark of a file's end is after the last trip; the shown period is not."""
    end = datetime.fromisoformat(
        max(
            system.get("/metrics/vehicle_type", id=item["id"])["last_window"]["window_end"]
            for item in system.get("/top/vehicle_type", limit=50)["items"]
        )
    )
    status = system.get("/status")
    watermark = (end + timedelta(minutes=30)).isoformat(timespec="seconds")
    later = dict.fromkeys(status["as_of"], watermark)
    tab = visit("/pipeline")
    tab.page.clock.set_fixed_time(datetime.now(UTC) + LATER)
    tab.page.route("**/status", lambda route: route.fulfill(json=ended(status) | {"as_of": later}))
    tab.open("/?span=60")
    expect(tab.page.locator(".time output")).to_have_text(
        f"{end - timedelta(hours=1):%-d %b %Y %H:%M}–{end:%H:%M}"  # noqa: RUF001 - as shown
    )
    latest = tab.page.get_by_role("button", name="Latest")
    expect(latest).to_have_attribute("aria-pressed", "true")


def test_the_map_of_a_file_that_has_ended_has_all_of_it(visit: Visit, system: System) -> None:
    """Until people choose a period: the end of a file is thin. The period stays in the address."""
    every = system.get("/summary/h3")["trip_count"]
    extent = system.get("/status")["extent"]
    begin, end = (datetime.fromisoformat(extent[name]) for name in ("from", "to"))
    last = end - timedelta(milliseconds=1)
    tab = open_later(visit, "/")
    tab.wait_for_value("#sum-trips", every)
    shown = tab.page.locator(".time output")
    expect(shown).to_have_text(re.compile(rf"^{begin.day}\b.*{last:%B %Y}$"))
    chosen = tab.page.get_by_role("group", name="Range", exact=True).locator(".chosen")
    chosen.click()
    tab.page.get_by_role("button", name="Last hour").click()
    hour = f"{end - timedelta(hours=1):%Y-%m-%dT%H:%M}"
    expect(shown).to_have_text(f"{end - timedelta(hours=1):%-d %b %Y %H:%M}–{end:%H:%M}")  # noqa: RUF001 - as shown
    tab.wait_for_value("#sum-trips", system.get("/summary/h3", **{"from": hour})["trip_count"])
    assert "from=now-1h" in tab.page.url
    chosen.click()
    tab.page.get_by_role("button", name="All data").click()
    tab.wait_for_value("#sum-trips", every)
    assert f"from={begin:%Y-%m-%d}&to={last + timedelta(days=1):%Y-%m-%d}" in tab.page.url
    tab.page.reload()
    tab.wait_for_value("#sum-trips", every)


def test_the_overview_of_a_file_that_has_ended(visit: Visit, system: System) -> None:
    """It is of all the data, with its days, and there is no rate of trips where none come."""
    tab = open_later(visit, "/overview")
    tab.wait_for_value("#trips", system.get("/summary/vehicle_type")["trip_count"])
    note = tab.page.locator(".heading .note")
    expect(note).to_contain_text(re.compile(r"\d{4} UTC of event time\."))
    expect(tab.page.get_by_role("columnheader", name="Change")).to_have_count(0)
    expect(tab.page.locator("#rate")).to_have_count(0)
    expect(tab.page.get_by_role("heading", name="Trips counted per second")).to_be_hidden()


def test_trips_without_drivers(visit: Visit, system: System) -> None:
    """There is no empty number, but a line that says why, and where to look instead."""
    tab = visit("/pipeline")
    change(tab, "**/summary/driver?*", lambda answer: answer | {"active_ids": 0})
    change(tab, "**/top/driver?*", lambda answer: answer | {"active_ids": 0, "items": []})
    tab.open("/overview")
    expect(tab.page.locator("main")).to_contain_text("None of these trips has a driver id")
    expect(tab.page.locator("#drivers")).to_have_count(0)
    tab.open("/entity")
    trips = system.get("/summary/vehicle_type")["trip_count"]
    expect(tab.page.locator("main")).to_contain_text(f"None of the {trips:,} trips has a driver id")
    tab.page.get_by_role("link", name="the vehicle types").click()
    tab.page.get_by_role("heading", name="The busiest vehicle types").wait_for()


def test_a_type_without_revenue_is_not_new(visit: Visit) -> None:
    """It had trips in the hour before, too."""

    def for_nothing(answer: Any) -> Any:  # noqa: ANN401 - any JSON
        items = [item | {"total_revenue": 0} for item in answer["items"]]
        return answer | {"items": items}

    tab = visit("/pipeline")
    change(tab, "**/top/vehicle_type?*by=revenue*", for_nothing)
    tab.open("/overview")
    car = tab.page.locator(".kinds tbody tr").filter(has_text=re.compile("^car"))
    expect(car.locator("td").last).to_have_text("–")  # noqa: RUF001 - as shown


def test_a_map_without_coordinates(visit: Visit) -> None:
    """It says what is missing and what to do; the locations have their number of trips."""

    def without_cells(answer: Any) -> Any:  # noqa: ANN401 - any JSON
        places = [item for item in answer["items"] if not re.fullmatch("8[0-9a-f]{14}", item["id"])]
        return answer | {"items": places, "active_ids": len(places)}

    tab = visit("/pipeline")
    change(tab, "**/top/h3?*", without_cells)
    with tab.page.expect_response(lambda response: "/top/h3" in response.url) as found:
        tab.open("/?span=1440")
    places = without_cells(found.value.json())["items"]
    tab.page.get_by_text("No trip has coordinates").wait_for()
    expect(tab.page.locator(".map")).to_contain_text("--locations TABLE.csv")
    expect(tab.page.get_by_text("Locations with trips")).to_be_visible()
    tab.wait_for_value("#sum-places", sum(place["trip_count"] for place in places))


def test_trips_without_a_place(visit: Visit, system: System) -> None:
    """They are in no cell, but are a number beside the map."""
    everywhere, placed = (
        system.get(f"/summary/{entity}")["trip_count"] for entity in ("vehicle_type", "h3")
    )
    tab = visit("/pipeline")
    change(
        tab,
        "**/summary/vehicle_type?*",
        lambda answer: answer | {"trip_count": answer["trip_count"] + 7},
    )
    tab.open("/")
    tab.wait_for_value("#unplaced", everywhere - placed + 7)


def test_nothing_stale_or_hidden_on_the_map(visit: Visit) -> None:
    """The tooltip disappears when the map moves below it; the legend is not over the map."""
    tab = visit("/?span=1440")
    tab.page.locator(".top-cells button").first.click()
    tab.page.locator("canvas").hover()
    tip = tab.page.locator(".tip")
    expect(tip).to_be_visible()
    tab.page.locator("canvas").press("ArrowLeft")
    expect(tip).to_be_hidden()
    (legend, canvas) = (tab.page.locator(name).bounding_box() for name in (".legend", ".map"))
    assert legend is not None
    assert canvas is not None
    assert legend["y"] >= canvas["y"] + canvas["height"]
