"""The range of a page: presets, steps, times and the brush, all in its URL."""

import re
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, Route, expect

from tests.pages.browser_tab import BrowserTab
from tests.pages.conftest import Visit
from tests.pages.system import System

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.services,
    pytest.mark.xdist_group("pages"),
]

WINDOW = timedelta(minutes=5)


def control(tab: BrowserTab) -> Locator:
    """Return the control of the range."""
    return tab.page.get_by_role("group", name="Range", exact=True)


def url_range(tab: BrowserTab) -> dict[str, str]:
    """Return the parameters of the URL of the page."""
    query = parse_qs(urlsplit(tab.page.url).query)
    return {name: found[0] for name, found in query.items()}


def window_end(system: System) -> datetime:
    """Return the end of the newest window."""
    return datetime.fromisoformat(system.get("/status")["extent"]["to"])


def local(time: datetime) -> str:
    """Return a time as it is in the URL and in fields."""
    return f"{time:%Y-%m-%dT%H:%M}"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/?span=60", {"from": "now-1h"}),
        ("/?span=15&metric=total_revenue", {"from": "now-15m", "metric": "total_revenue"}),
        ("/?span=banana", {}),
    ],
)
def test_links_of_the_release_before(visit: Visit, path: str, expected: dict[str, str]) -> None:
    """The length that they name becomes a range."""
    tab = visit(path)
    tab.page.locator("#sum-trips").wait_for()
    assert url_range(tab) == expected


def test_old_links_to_all_dates(visit: Visit, system: System) -> None:
    """They have all of the data, from its first day on."""
    tab = visit("/?span=all")
    tab.wait_for_value("#sum-trips", system.get("/summary/h3")["trip_count"])
    begin = datetime.fromisoformat(system.get("/status")["extent"]["from"])
    assert url_range(tab) == {"from": f"{begin:%Y-%m-%d}"}
    expect(control(tab).locator(".chosen")).to_have_text("All data")


@pytest.mark.parametrize(
    ("path", "number", "api"),
    [
        ("/", "#sum-trips", "/summary/h3"),
        ("/overview", "#trips", "/summary/vehicle_type"),
        ("/entity?entity=vehicle_type&id=car", "#trips", "/metrics/vehicle_type"),
    ],
    ids=["city", "overview", "entity"],
)
def test_one_range_back_and_forth(
    visit: Visit, system: System, path: str, number: str, api: str
) -> None:
    """By buttons and by keys; numbers follow, and there is no step out of the data."""
    end = window_end(system)
    start = end - timedelta(hours=1)
    joint = "&" if "?" in path else "?"
    tab = visit(f"{path}{joint}from={local(start)}&to={local(end)}")
    known = {"id": "car"} if "id=" in path else {}

    def trips(first: datetime, last: datetime) -> int:
        return int(
            system.get(api, **known, **{"from": local(first), "to": local(last)})["trip_count"]
        )

    tab.wait_for_value(number, trips(start, end))
    control(tab).get_by_role("button", name="Range before").click()
    tab.wait_for_value(number, trips(start - timedelta(hours=1), start))
    before = local(start - timedelta(hours=1)), local(start)
    assert (url_range(tab)["from"], url_range(tab)["to"]) == before
    tab.page.keyboard.press("Shift+ArrowRight")
    tab.wait_for_value(number, trips(start, end))
    forth = control(tab).get_by_role("button", name="Range after")
    expect(forth).to_have_attribute("aria-disabled", "true")
    tab.page.keyboard.press("Shift+ArrowRight")
    assert (url_range(tab)["from"], url_range(tab)["to"]) == (local(start), local(end))


def test_times_of_a_range(visit: Visit, system: System) -> None:
    """Fields for both times; a range that ends before it begins is refused in words."""
    end = window_end(system)
    start = end - timedelta(minutes=40)
    tab = visit("/entity?entity=vehicle_type&id=car")
    tab.page.locator("#trips").wait_for()
    control(tab).locator(".chosen").click()
    first, last = (tab.page.get_by_label(name, exact=True) for name in ("From", "Until"))
    show = tab.page.get_by_role("button", name="Show this range")
    first.fill(local(end))
    last.fill(local(start))
    show.click()
    expect(control(tab).get_by_role("alert")).to_have_text("The range must end after it begins.")
    first.fill(local(start))
    last.fill(local(end))
    show.click()
    expect(first).to_be_hidden()
    expect(control(tab).locator(".chosen")).to_be_focused()
    expected = system.get(
        "/metrics/vehicle_type", id="car", **{"from": local(start), "to": local(end)}
    )
    tab.wait_for_value("#trips", expected["trip_count"])
    link = tab.page.get_by_role("link", name="CSV")
    expect(link).to_have_attribute("href", re.compile("to="))
    query = parse_qs(urlsplit(link.get_attribute("href") or "").query)
    shown = [datetime.fromisoformat(query[name][0]) for name in ("from", "to")]
    assert shown == [start, end]


def test_the_choices_by_keyboard(visit: Visit) -> None:
    """Enter opens them, Escape closes them, and the focus returns."""
    tab = visit("/")
    tab.page.locator("#sum-trips").wait_for()
    chosen = control(tab).locator(".chosen")
    chosen.focus()
    tab.page.keyboard.press("Enter")
    expect(chosen).to_have_attribute("aria-expanded", "true")
    tab.page.keyboard.press("Tab")
    tab.page.keyboard.press("Tab")
    preset = tab.page.get_by_role("button", name="Last 15 minutes")
    expect(preset).to_be_focused()
    tab.page.keyboard.press("Escape")
    expect(preset).to_be_hidden()
    expect(chosen).to_be_focused()


def test_the_brush(visit: Visit, system: System) -> None:
    """Dragging over the bars chooses whole ones, and the numbers are theirs."""
    tab = visit("/")
    tab.page.locator(".day rect").first.wait_for()
    bars = tab.page.locator(".day")
    box = bars.bounding_box()
    assert box is not None

    def hover(part: float) -> None:
        # It waits until the bars keep their place: what is above them comes with the numbers.
        bars.hover(position={"x": box["width"] * part, "y": box["height"] / 2})

    hover(0.95)
    tab.page.mouse.down()
    hover(0.98)
    tab.page.mouse.up()
    chosen = url_range(tab)
    first, last = (datetime.fromisoformat(chosen[name]) for name in ("from", "to"))
    day = timedelta(days=1)
    assert day * 0.03 <= last - first <= day * 0.03 + 2 * WINDOW
    assert (last.minute % 5, first.minute % 5) == (0, 0)
    tab.wait_for_value("#sum-trips", system.get("/summary/h3", **chosen)["trip_count"])
    details = tab.page.locator(".places a").first
    expect(details).to_have_attribute("href", re.compile(re.escape(chosen["from"][:10])))


STEPS = """
async ({ zone, ranges }) => {
  const { setTimeZone } = await import("/assets/time-zone.js");
  const { DateRange } = await import("/assets/date-range.js");
  const { rangeText } = await import("/assets/format.js");
  setTimeZone(zone);
  return ranges.map(([from, to, direction]) => {
    const range = new DateRange();
    range.now = Date.parse("2030-01-01");
    range.choose({ from, to });
    range.step(direction);
    const { from: first, to: last } = range.bounds;
    return [range.texts.from, range.texts.to, rangeText(first, last)];
  });
}
"""


def test_steps_of_days_and_months(visit: Visit) -> None:
    """Months are followed by months and days by days, also where clocks change."""
    tab = visit("/pipeline")
    steps = {
        ("2024-03-01", "2024-04-01", -1): ("2024-02-01", "2024-03-01", "1 to 29 February 2024"),
        ("2024-03-01", "2024-04-01", 1): ("2024-04-01", "2024-05-01", "1 to 30 April 2024"),
        ("2024-01-01", "2024-04-01", -1): (
            "2023-10-01",
            "2024-01-01",
            "1 October to 31 December 2023",
        ),
        ("2024-03-30", "2024-03-31", 1): ("2024-03-31", "2024-04-01", "31 March 2024"),
        ("2024-10-27T00:00", "2024-10-28", 1): ("2024-10-28", "2024-10-29", "28 October 2024"),
        ("2024-10-26T22:00:00Z", "2024-10-27T00:00:00Z", 1): (
            "2024-10-27T02:00",
            "2024-10-27T03:00",
            "27 Oct 2024 02:00 CEST–03:00 CET",  # noqa: RUF001 - as shown
        ),
        ("2024-10-27T00:30:00Z", "2024-10-27T01:00:00Z", 1): (
            "2024-10-27T01:00:00Z",
            "2024-10-27T01:30:00Z",
            "27 Oct 2024 02:00–02:30 CET",  # noqa: RUF001 - as shown
        ),
    }
    found = tab.evaluate(STEPS, {"zone": "Europe/Berlin", "ranges": [list(each) for each in steps]})
    assert [tuple(each) for each in found] == list(steps.values())


def test_finer_windows_than_those_that_are_kept(visit: Visit) -> None:
    """The chart says so in the words of the API, and another granularity is shown."""
    tab = visit("/pipeline", expected="404")

    def refuse(route: Route) -> None:
        if "granularity=PT1H" in route.request.url:
            route.continue_()
            return
        route.fulfill(
            status=404,
            json={"type": "/problems/beyond-ledger", "title": "x", "detail": "Windows are kept"},
            content_type="application/problem+json",
        )

    tab.page.route("**/windows/vehicle_type?*", refuse)
    tab.open("/entity?entity=vehicle_type&id=car")
    chart = tab.page.get_by_role("region", name="Over time")
    expect(chart).to_contain_text("Windows are kept")
    expect(tab.page.locator("main")).not_to_contain_text("No trips")
    chart.get_by_label("Granularity").select_option("PT1H")
    expect(chart).not_to_contain_text("Windows are kept")
