"""Pages update without a reload."""

import re
import time
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from tests.pages.conftest import Visit
from tests.pages.system import System, trip

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.services,
    pytest.mark.xdist_group("pages"),
]


@pytest.mark.parametrize(
    ("path", "number", "query"),
    [
        ("/entity?entity=driver&id=d000001", "#trips", ("/metrics/driver", {"id": "d000001"})),
        ("/?span=1440", "#sum-trips", ("/summary/h3", {})),
    ],
    ids=["entity", "city"],
)
def test_a_page_shows_a_new_trip(
    visit: Visit,
    system: System,
    capsys: pytest.CaptureFixture[str],
    path: str,
    number: str,
    query: tuple[str, dict[str, str]],
) -> None:
    """A trip that is produced is shown; the delay is printed, not asserted."""
    tab = visit(path)
    before = system.get(query[0], **query[1])["trip_count"]
    tab.wait_for_value(number, before)
    delays = []
    for more in range(1, 6):
        started = time.monotonic()
        system.produce([trip()])
        tab.wait_for_value(number, before + more)
        delays.append(time.monotonic() - started)
    with capsys.disabled():
        listed = ", ".join(f"{delay:.2f}" for delay in delays)
        print(f"\n{path}: seconds from produce to the page: {listed}")  # noqa: T201 - the figure


def test_the_overview_shows_the_rate(visit: Visit, system: System) -> None:
    """New trips are in the chart of trips per second."""
    tab = visit("/overview")
    tab.page.locator("#trips").wait_for()
    tab.page.locator("section[aria-label='Trips counted per second'] summary").click()
    system.produce([trip(vehicle_type="bike") for _ in range(20)])
    rates = tab.page.locator("section[aria-label='Trips counted per second'] td")
    # They were sent at once, so that they are in one or two bars of two seconds.
    expect(rates.filter(has_text=re.compile(r"^([2-9]|10)\.[05]$")).first).to_be_visible()


def test_a_page_recovers(visit: Visit, system: System) -> None:
    """While the API does not answer the page says so; then it continues, with newer trips."""
    tab = visit("/entity?entity=driver&id=d000001", expected="ERR_FAILED")
    before = system.get("/metrics/driver", id="d000001")["trip_count"]
    tab.wait_for_value("#trips", before)
    tab.page.route("**/status", lambda route: route.abort())
    tab.page.get_by_text("The API does not answer").first.wait_for()
    tab.page.unroute("**/status")
    tab.page.get_by_text("As of").wait_for()
    system.produce([trip()])
    tab.wait_for_value("#trips", before + 1)


def test_the_overview_is_of_event_time(visit: Visit, system: System) -> None:
    """In a replay, "now" is the watermark: the day of the trips, not the current day."""
    status = system.get("/status")
    then = dict.fromkeys(status["as_of"], "2025-06-02T19:07:31Z")
    tab = visit("/overview")
    tab.page.route("**/status", lambda route: route.fulfill(json=status | {"as_of": then}))
    tab.open("/overview")
    fresh = tab.page.locator("#fresh")
    expect(fresh).to_contain_text("2 Jun 2025 19:07:31 UTC, replay")
    expect(fresh).to_contain_text("complete until 18:55")
    hour = re.compile("2 Jun 2025 18:05.19:05 UTC of event time")
    expect(tab.page.locator("main")).to_contain_text(hour)
    tab.wait_for_value("#trips", 0)
    assert any("from=2025-06-02T18%3A05%3A00Z" in url for url in tab.requests)


def test_city_opens_on_the_last_trips(visit: Visit, system: System) -> None:
    """At the end of a file the watermark is ahead of them, and the newest period is empty."""
    end = datetime.now(UTC) + timedelta(hours=3)
    status = system.get("/status")
    later = dict.fromkeys(status["as_of"], end.isoformat(timespec="seconds"))
    tab = visit("/overview")
    tab.page.route("**/status", lambda route: route.fulfill(json=status | {"as_of": later}))
    tab.open("/")
    expect(tab.page.locator("#sum-trips")).to_have_attribute("value", re.compile("^[1-9]"))
    expect(tab.page.get_by_text("No trips in this range")).to_be_hidden()
