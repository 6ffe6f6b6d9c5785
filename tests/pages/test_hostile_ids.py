"""Hostile ids: pages show ids as text, whatever they contain."""

import pytest
from playwright.sync_api import expect

from tests.pages.conftest import Visit
from tests.pages.system import HOSTILE, HOSTILE_TRIPS

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.services,
    pytest.mark.xdist_group("pages"),
]

COUNT_OF_ELEMENTS = """
() => document.querySelectorAll("img, iframe, object, [onerror], [onload]").length
  + document.scripts.length
"""


@pytest.mark.parametrize(
    "path", ["/?span=60", "/overview", "/entity?entity=vehicle_type", "/pipeline"]
)
def test_every_page_shows_ids_as_text(visit: Visit, path: str) -> None:
    """Lists show the ids; no id creates an element, a dialog or a request."""
    tab = visit(path)
    scripts = tab.evaluate("document.scripts.length")
    if path != "/pipeline":
        for text in HOSTILE:
            tab.page.get_by_text(text, exact=True).first.wait_for()
    for table in tab.page.locator("summary").all():
        table.click()
    tab.page.wait_for_timeout(1500)
    assert tab.evaluate(COUNT_OF_ELEMENTS) == scripts


@pytest.mark.parametrize("entity", ["driver", "passenger", "vehicle_type", "h3"])
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_ids_have_a_page(visit: Visit, entity: str, text: str) -> None:
    """Each can be found by its prefix, selected and shown."""
    tab = visit(f"/entity?entity={entity}")
    search = tab.page.get_by_role("combobox", name="Id or prefix")
    search.fill(text[:4])
    tab.page.locator("#found [role=option]").filter(has_text=text).click()
    expect(tab.page.locator(".entity-id")).to_contain_text(text)
    tab.wait_for_value("#trips", HOSTILE_TRIPS)
    assert tab.page.title() == f"{text} · Mobility Hub"


def test_hostile_ids_in_urls(visit: Visit) -> None:
    """For an unknown id in the URL, the page says that there are no trips."""
    nobody = "%3Cimg%20src%3Dx%20onerror%3Dalert(9)%3E"
    tab = visit(f"/entity?entity={nobody}&id={nobody}", expected="404")
    tab.page.get_by_text("No trips for this driver").wait_for()
    tab.open("/?metric=__proto__&span=-1e9")
    tab.page.locator("#sum-trips").wait_for()
