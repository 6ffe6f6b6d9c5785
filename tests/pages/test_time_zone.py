"""Pages show times, days and hours of the time zone of the settings."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from playwright.sync_api import Browser, expect

from mobility.settings import Settings
from tests.pages.browser_tab import BrowserTab
from tests.pages.conftest import Visit
from tests.pages.system import System, new_system, trip

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.services,
    pytest.mark.xdist_group("pages"),
]

KOLKATA, BERLIN = "Asia/Kolkata", "Europe/Berlin"
END = datetime(2024, 10, 27, 10, 0, tzinfo=UTC)
"""In the morning after clocks in Berlin were set back, at 1:00 UTC, from 3:00 to 2:00."""

AXIS = """
() => {
  const chart = echarts.getInstanceByDom(document.querySelector(".chart"));
  const { axisLabel } = chart.getOption().xAxis[0];
  return axisLabel.customValues.map((time) => axisLabel.formatter(time));
}
"""
TOOLTIPS = """
() => {
  const chart = echarts.getInstanceByDom(document.querySelector(".chart"));
  const { series, tooltip } = chart.getOption();
  return series[0].data.map(({ value }) =>
    tooltip[0].formatter([{ axisValue: value[0], seriesName: "", value }]).split("\\n")[0]);
}
"""


def a_trip_every_20_minutes() -> list[dict[str, object]]:
    """Return the trips of four days."""
    starts = [END - timedelta(minutes=20 * index) for index in range(3 * 24 * 4)]
    return [trip(start_time=start.isoformat(timespec="milliseconds")) for start in starts]


@pytest.fixture(scope="module")
def system(
    request: pytest.FixtureRequest,
    services: Settings,
    browser: Browser,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[System]:
    """Return a system with the time zone that the test names, in place of that of the package."""
    del browser
    settings = msgspec.structs.replace(services, timezone=request.param)
    yield from new_system(settings, tmp_path_factory.mktemp("zone"), a_trip_every_20_minutes)


def open_series(visit: Visit, start: str, granularity: str) -> BrowserTab:
    """Open the series of a vehicle type, from a local time on, with its table."""
    tab = visit(f"/entity?entity=vehicle_type&id=car&from={start}")
    with tab.page.expect_response(
        lambda response: (
            "/windows/" in response.url and f"granularity={granularity}" in response.url
        )
    ):
        tab.page.get_by_role("combobox", name="Granularity").select_option(granularity)
    tab.page.get_by_text("As a table").click()
    tab.page.locator("details tbody tr").first.wait_for()
    return tab


def column(tab: BrowserTab, number: int) -> list[str]:
    """Return the texts of a column of the series, the oldest first."""
    cells = tab.page.locator(f"details tbody tr > :nth-child({number})")
    return cells.all_text_contents()[::-1]


def series_query(tab: BrowserTab) -> dict[str, str]:
    """Return the parameters of the last request for a series."""
    urls = [url for url in tab.requests if "/windows/vehicle_type" in url]
    return {name: found[0] for name, found in parse_qs(urlsplit(urls[-1]).query).items()}


@pytest.mark.parametrize("system", [BERLIN], indirect=True, scope="module")
def test_the_time_has_its_zone(visit: Visit, system: System) -> None:
    """In the header, beside the range of the overview, and over the columns."""
    status = system.get("/status")
    as_of = datetime.fromisoformat(min(status["as_of"].values()))
    end = datetime.fromisoformat(status["extent"]["to"]) + timedelta(hours=1)
    tab = visit("/overview?from=now-1h")
    local = as_of + timedelta(hours=1)
    expect(tab.page.locator("#fresh")).to_contain_text(f"{local:%-d %b %Y %H:%M:%S} CET, replay")
    expect(tab.page.locator("#fresh time").first).to_have_attribute(
        "datetime", re.compile(f"^{as_of:%Y-%m-%dT%H:%M:%S}.*Z$")
    )
    expect(tab.page.locator("main")).to_contain_text(
        re.compile(rf"27 Oct 2024 \d\d:\d\d.{end:%H:%M} CET of event time")
    )
    tab.page.locator("section[aria-label='Trips by vehicle type'] summary").click()
    expect(tab.page.get_by_text(f"Bucket ({BERLIN})")).to_be_visible()
    tab.open("/pipeline")
    expect(tab.page.get_by_text(f"Watermark ({BERLIN})")).to_be_visible()


@pytest.mark.parametrize("system", [BERLIN], indirect=True, scope="module")
def test_days_of_berlin(visit: Visit, system: System) -> None:
    """They begin at midnight there, also the one that has 25 hours."""
    tab = open_series(visit, "2024-10-20", "P1D")
    query = series_query(tab)
    assert (query["tz"], query["from"]) == (BERLIN, "2024-10-19T22:00:00Z")
    assert tab.page.locator("details th").first.text_content() == f"From ({BERLIN})"
    assert column(tab, 1) == [f"{day} Oct 2024 00:00" for day in range(23, 28)]
    assert column(tab, 2)[1:4] == ["72", "72", "72"]
    assert tab.evaluate(AXIS) == [f"{day} Oct 2024" for day in range(20, 28)]
    assert tab.evaluate(TOOLTIPS) == [f"{day} Oct 2024" for day in range(20, 28)]
    assert system.trips == sum(map(int, column(tab, 2)))


@pytest.mark.parametrize("system", [BERLIN], indirect=True, scope="module")
def test_the_hour_that_comes_twice(visit: Visit, system: System) -> None:
    """Both are shown, each with the name that the time zone has then."""
    tab = open_series(visit, "2024-10-26T11:00", "PT1H")
    shown = [text.removeprefix("27 Oct 2024 ") for text in column(tab, 1)]
    first = shown.index("01:00")
    assert shown[first : first + 4] == ["01:00", "02:00 CEST", "02:00 CET", "03:00"]
    assert set(column(tab, 2)[first : first + 4]) == {"3"}
    tooltips = [text.removeprefix("27 Oct 2024 ") for text in tab.evaluate(TOOLTIPS)]
    first = next(index for index, text in enumerate(tooltips) if text.startswith("01:00"))
    assert [text.replace("\u2013", "-") for text in tooltips[first : first + 4]] == [
        "01:00-02:00 CEST",
        "02:00 CEST-02:00 CET",
        "02:00-03:00 CET",
        "03:00-04:00",
    ]
    assert all(text.endswith(":00") for text in tab.evaluate(AXIS))
    assert system.settings.timezone == BERLIN


@pytest.mark.parametrize("system", [KOLKATA], indirect=True, scope="module")
def test_half_hours(visit: Visit, system: System) -> None:
    """Hours of Kolkata begin at half hours of UTC: in requests, tables, axes and the timeline."""
    tab = open_series(visit, "2024-10-26T15:00", "PT1H")
    query = series_query(tab)
    assert (query["tz"], query["from"][13:]) == (KOLKATA, ":30:00Z")
    shown = column(tab, 1)
    assert all(text.endswith(":00") for text in shown)
    assert [int(text) for text in column(tab, 2)[1:-1]] == [3] * (len(shown) - 2)
    hours = [int(text[:2]) for text in tab.evaluate(AXIS)]
    assert all((after - before) % 24 == 3 for before, after in pairwise(hours))
    newest = system.get("/metrics/vehicle_type", id="car")["last_window"]["window_end"]
    end = datetime.fromisoformat(newest) + timedelta(hours=5, minutes=30)
    tab.page.clock.set_fixed_time(END + timedelta(days=800))
    tab.open("/?span=60")
    expect(tab.page.locator(".time output")).to_have_text(
        f"{end - timedelta(hours=1):%-d %b %Y %H:%M}–{end:%H:%M}"  # noqa: RUF001 - as shown
    )
    ticks = tab.page.locator(".ticks span").all_text_contents()
    assert ticks
    assert all(text in {f"{hour:02}:00" for hour in range(0, 24, 3)} for text in ticks)
