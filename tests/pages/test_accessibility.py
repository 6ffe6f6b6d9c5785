"""Accessibility of the pages: keyboard, phone, dark theme, screen reader."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.pages.conftest import Visit
from tests.pages.system import System, trip
from tests.waiting import until

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
THEMES = {"light": (1280, 800), "dark": (1280, 800), "phone": (390, 844)}


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_no_violations(visit: Visit, name: str, theme: str) -> None:
    """Each page passes the rules of axe for WCAG 2.2 A and AA."""
    path, loaded = PAGES[name]
    visitor = visit(path, theme, *THEMES[theme])
    visitor.page.locator(loaded).first.wait_for()
    for table in visitor.page.locator("summary").all():
        table.click()
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
    found = Axe().run(visitor.page, options=rules)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("name", PAGES)
def test_a_phone_scrolls_vertically_only(visit: Visit, name: str) -> None:
    """Nothing is wider than a narrow screen."""
    path, loaded = PAGES[name]
    visitor = visit(path, "light", 360, 740)
    visitor.page.locator(loaded).first.wait_for()
    width = visitor.evaluate("document.documentElement.scrollWidth")
    assert width == 360


@pytest.mark.parametrize("name", PAGES)
def test_the_keyboard_reaches_every_control(visit: Visit, name: str) -> None:
    """Tab focuses each control once, in the order of the page, with a name and a visible focus."""
    path, loaded = PAGES[name]
    visitor = visit(path)
    visitor.page.locator(loaded).first.wait_for()
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


def test_a_list_that_changes_keeps_the_keyboard(visit: Visit) -> None:
    """With the focus in it, a list keeps its order; the focus moves only if its line is removed."""
    visitor = visit("/pipeline")
    visitor.page.locator("#counted").wait_for()
    visitor.page.keyboard.press("Tab")
    script = """async () => {
      const { el, keepFocus, keepOrder } = await import("/assets/dom.js");
      const list = el("ul", {});
      document.body.append(list);
      const show = (...ids) => {
        const items = keepOrder(list, ids.map((id) => ({ id })));
        keepFocus(list, () => list.replaceChildren(
          ...items.map(({ id }) => el("li", {}, el("button", { "data-id": id }, id)))));
        return [list.textContent, document.activeElement.dataset.id ?? null];
      };
      const seen = [show("a", "b", "c"), show("c", "b", "a")];
      list.querySelector("[data-id=b]").focus();
      seen.push(show("a", "d", "b", "c"), show("a", "c", "d"));
      document.activeElement.blur();
      seen.push(show("a", "c", "d"));
      return seen;
    }"""
    assert visitor.evaluate(script) == [
        ["abc", None],
        ["cba", None],
        ["cbad", "b"],
        ["cad", "a"],
        ["acd", None],
    ]


def test_new_trips_do_not_move_the_keyboard(visit: Visit, system: System) -> None:
    """A list with the focus keeps its order while a new cell gets the most trips."""
    visitor = visit("/?span=60")
    cells = visitor.page.locator(".top-cells button")
    cells.first.wait_for()
    ids = [cell.get_attribute("data-id") for cell in cells.all()]
    most = int(cells.first.locator("data").get_attribute("value") or 0)
    cells.first.focus()
    visitor.page.keyboard.press("Tab")
    system.produce([trip(start_lat=38.9, start_lng=-9.3) for _ in range(most + 1)])
    expect(cells.first.locator(".rank")).not_to_have_text("1")
    assert [cell.get_attribute("data-id") for cell in cells.all()] == ids
    expect(cells.nth(1)).to_be_focused()
    places = visitor.page.locator(".places a")
    places.first.focus()
    visitor.page.keyboard.press("Tab")
    system.produce([trip(start_lat=38.9, start_lng=-9.3)])
    expect(cells.first.locator("data")).to_have_attribute("value", str(most + 2))
    expect(places.nth(1)).to_be_focused()


def test_tab_leaves_an_open_list(visit: Visit) -> None:
    """From the search field, Tab focuses the button, not the list of ids."""
    visitor = visit("/entity?entity=driver")
    search = visitor.page.get_by_role("combobox", name="Id or prefix")
    search.focus()
    visitor.page.locator("#found [role=option]").first.wait_for()
    is_scroller = "(list) => list.scrollHeight > list.clientHeight"
    assert visitor.page.locator("#found").evaluate(is_scroller)
    visitor.page.keyboard.press("Tab")
    expect(visitor.page.get_by_role("button", name="Show")).to_be_focused()


def test_the_skip_link(visit: Visit) -> None:
    """The first Tab focuses the link to the content, and Enter focuses the content."""
    visitor = visit("/pipeline")
    visitor.page.keyboard.press("Tab")
    expect(visitor.page.get_by_role("link", name="Skip to content")).to_be_focused()
    visitor.page.keyboard.press("Enter")
    expect(visitor.page.locator("main")).to_be_focused()


def test_search_by_keyboard(visit: Visit) -> None:
    """Arrow keys move in the list, Enter selects an id, Escape closes the list."""
    visitor = visit("/entity")
    search = visitor.page.get_by_role("combobox", name="Id or prefix")
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
    expect(visitor.page.locator(".entity-id")).to_contain_text(wanted)


def test_the_map_by_keyboard(visit: Visit) -> None:
    """Keys move and zoom the map; a cell selected in the list is shown beside it."""
    visitor = visit("/?span=60")
    visitor.page.locator(".top-cells button").first.wait_for()
    canvas = visitor.page.locator("canvas")
    canvas.focus()
    before = canvas.screenshot()
    for key in ("ArrowLeft", "ArrowUp", "+", "+"):
        canvas.press(key)
    until(canvas.screenshot, "another map", lambda picture: picture != before)
    first = visitor.page.locator(".top-cells button").first
    wanted = first.get_attribute("data-id") or ""
    first.focus()
    first.press("Enter")
    visitor.page.get_by_text(wanted, exact=True).wait_for()


def test_reduced_motion(visit: Visit) -> None:
    """With reduced motion no animation runs on the page or the map."""
    visitor = visit("/pipeline")
    visitor.page.emulate_media(reduced_motion="reduce")
    visitor.page.locator("#counted").wait_for()
    assert visitor.evaluate("document.getAnimations().length") == 0


def test_the_theme_is_remembered(visit: Visit) -> None:
    """The theme of the button overrides that of the system, on the next page, too."""
    visitor = visit("/pipeline", "dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = visitor.evaluate(ground)
    visitor.page.get_by_role("button", name="Switch between light and dark").click()
    light = visitor.evaluate(ground)
    assert light != dark
    visitor.open("/entity")
    assert visitor.evaluate(ground) == light


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", PAGES)
def test_screenshots(request: pytest.FixtureRequest, visit: Visit, name: str, theme: str) -> None:
    """A screenshot of each page in each theme: `--screenshots DIR` keeps them."""
    folder: Path | None = request.config.getoption("--screenshots")
    if folder is None:
        pytest.skip("no --screenshots DIR")
    path, loaded = PAGES[name]
    visitor = visit(path, theme, *THEMES[theme])
    visitor.page.locator(loaded).first.wait_for()
    visitor.page.wait_for_timeout(2500)
    folder.mkdir(parents=True, exist_ok=True)
    visitor.page.screenshot(path=folder / f"{name}-{theme}.png", full_page=theme == "phone")
