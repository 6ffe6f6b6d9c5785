"""Pages change by themselves."""

import re
import time

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
    ("path", "number", "question"),
    [
        ("/entity?entity=driver&id=d000001", "#trips", ("/metrics/driver", {"id": "d000001"})),
        ("/?span=1440", "#sum-trips", ("/summary/h3", {})),
    ],
    ids=["entity", "city"],
)
def test_a_trip_arrives(
    visit: Visit,
    system: System,
    capsys: pytest.CaptureFixture[str],
    path: str,
    number: str,
    question: tuple[str, dict[str, str]],
) -> None:
    """A trip that is produced shows without anybody's doing; how soon is told, not judged."""
    visitor = visit(path)
    before = system.get(question[0], **question[1])["trip_count"]
    visitor.wait_for_value(number, before)
    ages = []
    for more in range(1, 6):
        started = time.monotonic()
        system.produce([trip()])
        visitor.wait_for_value(number, before + more)
        ages.append(time.monotonic() - started)
    with capsys.disabled():
        told = ", ".join(f"{age:.2f}" for age in ages)
        print(f"\n{path}: seconds from produce to the page: {told}")  # noqa: T201 - the figure


def test_now_counts_what_comes(visit: Visit, system: System) -> None:
    """Trips of this moment stand in the open window of their vehicle type, and make a rate."""
    visitor = visit("/now")
    visitor.page.locator("#trips").wait_for()
    visitor.page.locator("section[aria-label='Trips counted a second'] summary").click()
    system.produce([trip(vehicle_type="bike") for _ in range(20)])
    rates = visitor.page.locator("section[aria-label='Trips counted a second'] td")
    # All at once, they fall into one bar of two seconds, or two.
    expect(rates.filter(has_text=re.compile(r"^([2-9]|10)\.[05]$")).first).to_be_visible()


def test_a_page_comes_back(visit: Visit, system: System) -> None:
    """While the API is away the page says so; afterwards it goes on, with what has come since."""
    visitor = visit("/entity?entity=driver&id=d000001", expected="ERR_FAILED")
    before = system.get("/metrics/driver", id="d000001")["trip_count"]
    visitor.wait_for_value("#trips", before)
    visitor.page.route("**/status", lambda route: route.abort())
    visitor.page.get_by_text("The API does not answer").first.wait_for()
    visitor.page.unroute("**/status")
    visitor.page.get_by_text("As of").wait_for()
    system.produce([trip()])
    visitor.wait_for_value("#trips", before + 1)


def test_now_is_event_time(visit: Visit, system: System) -> None:
    """In a replay "now" is what the watermark says: the day of the trips, not of the reader."""
    status = system.get("/status")
    then = dict.fromkeys(status["as_of"], "2025-06-02T19:07:31Z")
    visitor = visit("/now")
    visitor.page.route("**/status", lambda route: route.fulfill(json=status | {"as_of": then}))
    visitor.open("/now")
    fresh = visitor.page.locator("#fresh")
    expect(fresh).to_contain_text("2 Jun 2025 19:07:31 UTC, replay")
    expect(fresh).to_contain_text("complete until 18:55")
    hour = re.compile("The last hour is 18:05.19:05 UTC")
    expect(visitor.page.locator("main")).to_contain_text(hour)
    visitor.wait_for_value("#trips", 0)
    assert any("from=2025-06-02T18%3A05%3A00Z" in url for url in visitor.asked)
