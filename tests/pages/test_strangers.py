"""Ids are data: whatever they look like, a page shows them as text and does nothing else."""

import pytest
from playwright.sync_api import expect

from tests.pages.conftest import Visit
from tests.pages.system import HOSTILE, HOSTILE_TRIPS

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.services,
    pytest.mark.xdist_group("pages"),
]

NOTHING_CAME_OF_IT = """
() => document.querySelectorAll("img, iframe, object, [onerror], [onload]").length
  + document.scripts.length
"""


@pytest.mark.parametrize("path", ["/?span=60", "/now", "/entity?entity=vehicle_type", "/pipeline"])
def test_every_page_shows_them_as_text(visit: Visit, path: str) -> None:
    """Their text stands where lists show it; no element, dialog or request came of it."""
    visitor = visit(path)
    scripts = visitor.evaluate("document.scripts.length")
    if path != "/pipeline":
        for text in HOSTILE:
            visitor.page.get_by_text(text, exact=True).first.wait_for()
    for table in visitor.page.locator("summary").all():
        table.click()
    visitor.page.wait_for_timeout(1500)
    assert visitor.evaluate(NOTHING_CAME_OF_IT) == scripts


@pytest.mark.parametrize("entity", ["driver", "passenger", "vehicle_type", "h3"])
@pytest.mark.parametrize("text", HOSTILE)
def test_each_has_its_page(visit: Visit, entity: str, text: str) -> None:
    """Each can be found by its beginning, chosen and shown, as any other."""
    visitor = visit(f"/entity?entity={entity}")
    search = visitor.page.get_by_role("combobox", name="Id, or how it begins")
    search.fill(text[:4])
    visitor.page.locator("#found [role=option]").filter(has_text=text).click()
    expect(visitor.page.locator(".who")).to_contain_text(text)
    visitor.wait_for_value("#trips", HOSTILE_TRIPS)
    assert visitor.page.title() == f"{text} · Mobility LiveHub"


def test_they_are_harmless_in_addresses(visit: Visit) -> None:
    """An address may ask for what is nobody's: the page says that it knows nothing of it."""
    nobody = "%3Cimg%20src%3Dx%20onerror%3Dalert(9)%3E"
    visitor = visit(f"/entity?entity={nobody}&id={nobody}", expected="404")
    visitor.page.get_by_text("Nothing is known of this driver").wait_for()
    visitor.open("/?metric=__proto__&span=-1e9")
    visitor.page.locator("#sum-trips").wait_for()
