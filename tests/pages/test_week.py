"""When there are trips: the hours of the week on pages."""

from datetime import datetime, timedelta

import pytest
from playwright.sync_api import Locator, expect

from tests.pages.browser_tab import BrowserTab
from tests.pages.conftest import Visit
from tests.pages.system import System

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.services,
    pytest.mark.xdist_group("pages"),
]

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
NONE = "fill-none"


def when(tab: BrowserTab) -> Locator:
    """Return the section with the hours of the week."""
    return tab.page.get_by_role("region", name="When", exact=True)


def headings(table: Locator, scope: str) -> list[str]:
    """Return the headers of columns or rows; days by their whole names."""
    heads = table.locator(f"th[scope={scope}]").all()
    return [head.get_attribute("abbr") or head.text_content() or "" for head in heads]


def cells(table: Locator) -> dict[tuple[str, str], tuple[str, str]]:
    """Return text and class of the cells that are not empty, by weekday and hour."""
    columns, rows = headings(table, "col"), headings(table, "row")
    found = {}
    for row, line in zip(rows, table.locator("tbody tr").all(), strict=True):
        for column, cell in zip(columns, line.locator("td").all(), strict=True):
            day, hour = (row, column) if row in DAYS else (column, row)
            if text := cell.text_content():
                found[day, hour] = text, cell.get_attribute("class") or ""
    return found


@pytest.mark.parametrize(
    ("path", "query"),
    [("/", {}), ("/entity?entity=vehicle_type&id=car", {"id": "car"})],
    ids=["city", "entity"],
)
@pytest.mark.parametrize("width", [390, 1280])
def test_hours_of_the_week(
    visit: Visit, system: System, path: str, query: dict[str, str], width: int
) -> None:
    """Each hour of the range has its trips; the first with the most is named.

    All that have as many have the colour.
    """
    end = datetime.fromisoformat(system.get("/status")["extent"]["to"])
    bounds = {
        "from": f"{end - timedelta(hours=6):%Y-%m-%dT%H:00}",
        "to": f"{end - timedelta(hours=1):%Y-%m-%dT%H:00}",
    }
    joint = "&" if "?" in path else "?"
    tab = visit(f"{path}{joint}from={bounds['from']}&to={bounds['to']}", width=width)
    when(tab).locator("tbody td").first.wait_for()
    items = system.get("/week/vehicle_type", **query, **bounds)["items"]
    assert len(items) == 5
    by_hour = {
        (
            next(day for day in DAYS if day.lower().startswith(item["weekday"])),
            f"{item['hour']:02}",
        ): item
        for item in items
    }
    assert {item["hours"] for item in items} == {1.0}
    table = when(tab).locator("table")
    shown = cells(table)
    assert {key: int(text) for key, (text, _) in shown.items()} == {
        key: item["trip_count"] for key, item in by_hour.items()
    }
    most = max(by_hour, key=lambda key: int(by_hour[key]["trip_count"]))
    assert {key for key, (_, fill) in shown.items() if fill == "fill-5"} == {
        key for key, item in by_hour.items() if item["trip_count"] == by_hour[most]["trip_count"]
    }
    assert {key for key, (_, fill) in shown.items() if fill == NONE} == {
        key for key, item in by_hour.items() if not item["trip_count"]
    }
    expect(when(tab)).to_contain_text(
        f"Trips per hour, by the hours of UTC. Highest: {most[0]}, {most[1]}:00, "
        f"{by_hour[most]['trip_count']}."
    )
    is_wide = width == 1280 and path != "/"
    assert len(headings(table, "col")) == (24 if is_wide else 7)


def test_the_hours_follow_the_metric(visit: Visit) -> None:
    """They show what the series shows."""
    tab = visit("/entity?entity=vehicle_type&id=car")
    expect(when(tab)).to_contain_text("Trips per hour")
    tab.page.get_by_role("combobox", name="Show").select_option("Revenue")
    expect(when(tab)).to_contain_text("Revenue per hour")
    tab.page.get_by_role("combobox", name="Show").select_option("Revenue per trip")
    expect(when(tab)).to_contain_text("Revenue per trip, by the hours of UTC")
