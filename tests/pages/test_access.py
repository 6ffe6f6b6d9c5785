"""Everybody can use the pages: by keyboard, on a phone, in the dark, with a screen reader."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.pages.conftest import Visit
from tests.pages.system import System, trip

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.services,
    pytest.mark.xdist_group("pages"),
]

PAGES = {
    "city": ("/?span=60", "#sum-trips"),
    "now": ("/now", "#trips"),
    "entity": ("/entity?entity=vehicle_type&id=car", "#trips"),
    "entities": ("/entity", "main table"),
    "pipeline": ("/pipeline", "#counted"),
}
LOOKS = {"light": (1280, 800), "dark": (1280, 800), "phone": (390, 844)}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(visit: Visit, name: str, look: str) -> None:
    """Contrast, names, roles and order pass axe's rules for WCAG 2.2 A and AA."""
    path, sign = PAGES[name]
    visitor = visit(path, look, *LOOKS[look])
    visitor.page.locator(sign).first.wait_for()
    for table in visitor.page.locator("summary").all():
        table.click()
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
    found = Axe().run(visitor.page, options=rules)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("name", PAGES)
def test_a_phone_scrolls_one_way_only(visit: Visit, name: str) -> None:
    """Nothing sticks out of a narrow screen."""
    path, sign = PAGES[name]
    visitor = visit(path, "light", 360, 740)
    visitor.page.locator(sign).first.wait_for()
    wide = visitor.evaluate("document.documentElement.scrollWidth")
    assert wide == 360


@pytest.mark.parametrize("name", PAGES)
def test_the_keyboard_reaches_everything(visit: Visit, name: str) -> None:
    """Tab goes to each control once, in the order of the page; each has a name and shows where."""
    path, sign = PAGES[name]
    visitor = visit(path)
    visitor.page.locator(sign).first.wait_for()
    controls = visitor.evaluate(
        "[...document.querySelectorAll('a[href], button, input, select, summary, [tabindex=\"0\"]')"
        "].filter((node) => node.checkVisibility() && !node.disabled).length"
    )
    seen = []
    for _ in range(controls):
        visitor.page.keyboard.press("Tab")
        seen.append(
            visitor.evaluate(
                "() => { const node = document.activeElement; const style = getComputedStyle(node);"
                "return [node.tagName + (node.id || node.textContent.slice(0, 40)),"
                " node.getAttribute('aria-label') || node.labels?.[0]?.textContent"
                " || node.textContent.trim(), style.outlineStyle,"
                " node.matches(':focus-visible')]; }"
            )
        )
    assert all(name for _, name, _, _ in seen), seen
    assert all(style != "none" and focused for _, _, style, focused in seen), seen
    assert len({(tag, name) for tag, name, _, _ in seen}) == controls, seen


def test_the_keyboard_stays_where_it_is_while_trips_come(visit: Visit, system: System) -> None:
    """A list that it goes through keeps its lines, with new numbers, until it has left."""
    visitor = visit("/?span=60")
    hot = visitor.page.locator(".hot button")
    hot.first.wait_for()
    lines = [line.get_attribute("data-id") for line in hot.all()]
    most = int(hot.first.locator("data").get_attribute("value") or 0)
    hot.first.focus()
    visitor.page.keyboard.press("Tab")
    system.produce([trip(start_lat=38.9, start_lng=-9.3) for _ in range(most + 1)])
    expect(hot.first.locator(".rank")).not_to_have_text("1")
    assert [line.get_attribute("data-id") for line in hot.all()] == lines
    expect(hot.nth(1)).to_be_focused()
    places = visitor.page.locator(".places a")
    places.first.focus()
    visitor.page.keyboard.press("Tab")
    hottest = hot.first.locator("data")
    expect(hottest).to_have_attribute("value", str(most + 1))
    system.produce([trip(start_lat=38.9, start_lng=-9.3)])
    expect(hottest).to_have_attribute("value", str(most + 2))
    expect(places.nth(1)).to_be_focused()


def test_tab_leaves_an_open_list(visit: Visit) -> None:
    """From the search it goes on to the button, whether or not the ids are there by then."""
    visitor = visit("/entity?entity=driver")
    search = visitor.page.get_by_role("combobox", name="Id, or how it begins")
    search.focus()
    visitor.page.locator("#found [role=option]").first.wait_for()
    is_scroller = "(list) => list.scrollHeight > list.clientHeight"
    assert visitor.page.locator("#found").evaluate(is_scroller)
    visitor.page.keyboard.press("Tab")
    expect(visitor.page.get_by_role("button", name="Show")).to_be_focused()


def test_the_skip_link_skips(visit: Visit) -> None:
    """The first Tab offers to go past the frame, and Enter does."""
    visitor = visit("/pipeline")
    visitor.page.keyboard.press("Tab")
    expect(visitor.page.get_by_role("link", name="Skip to the content")).to_be_focused()
    visitor.page.keyboard.press("Enter")
    expect(visitor.page.locator("main")).to_be_focused()


def test_search_without_a_mouse(visit: Visit) -> None:
    """Arrows walk through what was found, Enter takes it, Escape leaves it."""
    visitor = visit("/entity")
    search = visitor.page.get_by_role("combobox", name="Id, or how it begins")
    search.press_sequentially("d0000")
    visitor.page.locator("#found [role=option]").first.wait_for()
    search.press("ArrowDown")
    search.press("ArrowDown")
    second = visitor.page.locator("#found [role=option]").nth(1)
    expect(second).to_have_attribute("aria-selected", "true")
    wanted = (second.locator(".mono").text_content() or "").strip()
    search.press("Escape")
    expect(search).to_have_attribute("aria-expanded", "false")
    search.press("ArrowDown")
    visitor.page.locator("#found [role=option]").first.wait_for()
    search.press("ArrowDown")
    search.press("ArrowDown")
    search.press("Enter")
    expect(visitor.page.locator(".who")).to_contain_text(wanted)


def test_the_map_without_a_mouse(visit: Visit) -> None:
    """Keys move and zoom it; a hot cell chosen from the list is told beside it."""
    visitor = visit("/?span=60")
    visitor.page.locator(".hot button").first.wait_for()
    canvas = visitor.page.locator("canvas")
    canvas.focus()
    before = canvas.screenshot()
    for key in ("ArrowLeft", "ArrowUp", "+", "+"):
        canvas.press(key)
    visitor.page.wait_for_timeout(300)
    assert canvas.screenshot() != before
    hot = visitor.page.locator(".hot button").first
    wanted = hot.get_attribute("data-id") or ""
    hot.focus()
    hot.press("Enter")
    visitor.page.get_by_text(wanted, exact=True).wait_for()


def test_nothing_moves_for_who_wants_calm(visit: Visit) -> None:
    """With reduced motion no animation runs, on the page or the map."""
    visitor = visit("/pipeline")
    visitor.page.emulate_media(reduced_motion="reduce")
    visitor.page.locator("#counted").wait_for()
    assert visitor.evaluate("document.getAnimations().length") == 0


def test_light_and_dark_are_remembered(visit: Visit) -> None:
    """The button wins over the system's wish, on the next page too."""
    visitor = visit("/pipeline", "dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = visitor.evaluate(ground)
    visitor.page.get_by_role("button", name="Switch between light and dark").click()
    light = visitor.evaluate(ground)
    assert light != dark
    visitor.open("/entity")
    assert visitor.evaluate(ground) == light


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", PAGES)
def test_pictures(request: pytest.FixtureRequest, visit: Visit, name: str, look: str) -> None:
    """A picture of each page in each look, for people to judge: `--screenshots DIR` keeps them."""
    folder: Path | None = request.config.getoption("--screenshots")
    if folder is None:
        pytest.skip("pictures are made where --screenshots DIR says so")
    path, sign = PAGES[name]
    visitor = visit(path, look, *LOOKS[look])
    visitor.page.locator(sign).first.wait_for()
    visitor.page.wait_for_timeout(2500)
    folder.mkdir(parents=True, exist_ok=True)
    visitor.page.screenshot(path=folder / f"{name}-{look}.png", full_page=look == "phone")
