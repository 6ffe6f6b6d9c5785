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
    "overview": ("/overview", "#trips"),
    "entity": ("/entity?entity=vehicle_type&id=car", "#trips"),
    "entities": ("/entity", "main table"),
    "pipeline": ("/pipeline", "#counted"),
    "rejected": ("/rejected", ".messages"),
    "late": ("/rejected?kind=late", ".messages"),
}
THEMES = {"light": (1280, 800), "dark": (1280, 800), "phone": (390, 844)}


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_no_violations(visit: Visit, name: str, theme: str) -> None:
    """Each page passes the rules of axe for WCAG 2.2 A and AA."""
    path, loaded = PAGES[name]
    tab = visit(path, theme, *THEMES[theme])
    tab.page.locator(loaded).first.wait_for()
    for table in tab.page.locator("summary").all():
        table.click()
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
    found = Axe().run(tab.page, options=rules)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("name", PAGES)
def test_a_phone_scrolls_vertically_only(visit: Visit, name: str) -> None:
    """Nothing is wider than a narrow screen."""
    path, loaded = PAGES[name]
    tab = visit(path, "light", 360, 740)
    tab.page.locator(loaded).first.wait_for()
    width = tab.evaluate("document.documentElement.scrollWidth")
    assert width == 360


@pytest.mark.parametrize("name", ["overview", "entities"])
def test_a_phone_shows_every_column(visit: Visit, name: str) -> None:
    """The tables fit, so that no column is cut off."""
    path, loaded = PAGES[name]
    tab = visit(path, "light", 390, 844)
    tab.page.locator(loaded).first.wait_for()
    table = tab.page.locator(".scroll").filter(has=tab.page.locator("tbody tr")).first
    assert table.evaluate("(node) => node.scrollWidth - node.clientWidth") == 0


@pytest.mark.parametrize("table", ["Partitions", "Processes"])
def test_a_phone_shows_rows_of_many_columns_as_blocks(visit: Visit, table: str) -> None:
    """Nothing is beside the screen, and each cell is named; wide screens show a table."""
    tab = visit("/pipeline", "light", 390, 844)
    region = tab.page.get_by_role("region", name=f"{table}: table")
    region.locator("tbody tr").first.wait_for()
    names = region.locator("thead th").all_text_contents()[1:]
    cells = region.locator("tbody tr").first.locator("td")
    shown = "(nodes) => nodes.map((node) => getComputedStyle(node, '::before').content)"
    place = "(nodes) => nodes.map((node) => node.getBoundingClientRect().toJSON())"
    assert [text.split('"')[1] for text in cells.evaluate_all(shown)] == names
    assert region.evaluate("(node) => node.scrollWidth - node.clientWidth") == 0
    boxes = cells.evaluate_all(place)
    assert all(box["left"] >= 0 and box["right"] <= 390 for box in boxes)
    assert len({box["top"] for box in boxes}) > 1
    tab.page.set_viewport_size({"width": 1280, "height": 800})
    assert len({box["top"] for box in cells.evaluate_all(place)}) == 1
    assert set(cells.evaluate_all(shown)) == {"none"}


@pytest.mark.parametrize("name", PAGES)
def test_the_keyboard_reaches_every_control(visit: Visit, name: str) -> None:
    """Tab focuses each control once, in the order of the page, with a name and a visible focus."""
    path, loaded = PAGES[name]
    tab = visit(path)
    tab.page.locator(loaded).first.wait_for()
    controls = tab.evaluate(
        "[...document.querySelectorAll('a[href], button, input, select, summary, [tabindex=\"0\"]')"
        "].filter((node) => node.checkVisibility() && !node.disabled).length"
    )
    seen = []
    for _ in range(controls):
        tab.page.keyboard.press("Tab")
        seen.append(
            tab.evaluate(
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
    tab = visit("/pipeline")
    tab.page.locator("#counted").wait_for()
    tab.page.keyboard.press("Tab")
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
    assert tab.evaluate(script) == [
        ["abc", None],
        ["cba", None],
        ["cbad", "b"],
        ["cad", "a"],
        ["acd", None],
    ]


def test_new_trips_do_not_move_the_keyboard(visit: Visit, system: System) -> None:
    """A list with the focus keeps its order while a new cell gets the most trips."""
    tab = visit("/?span=60")
    cells = tab.page.locator(".top-cells button")
    cells.first.wait_for()
    ids = [cell.get_attribute("data-id") for cell in cells.all()]
    most = int(cells.first.locator("data").get_attribute("value") or 0)
    cells.first.focus()
    tab.page.keyboard.press("Tab")
    system.produce([trip(start_lat=38.9, start_lng=-9.3) for _ in range(most + 1)])
    expect(cells.first.locator(".rank")).not_to_have_text("1")
    assert [cell.get_attribute("data-id") for cell in cells.all()] == ids
    expect(cells.nth(1)).to_be_focused()
    places = tab.page.locator(".places a")
    places.first.focus()
    tab.page.keyboard.press("Tab")
    system.produce([trip(start_lat=38.9, start_lng=-9.3)])
    expect(cells.first.locator("data")).to_have_attribute("value", str(most + 2))
    expect(places.nth(1)).to_be_focused()


def test_tab_leaves_an_open_list(visit: Visit) -> None:
    """From the search field, Tab focuses the button, not the list of ids."""
    tab = visit("/entity?entity=driver")
    search = tab.page.get_by_role("combobox", name="Id or prefix")
    search.focus()
    tab.page.locator("#found [role=option]").first.wait_for()
    is_scroller = "(list) => list.scrollHeight > list.clientHeight"
    assert tab.page.locator("#found").evaluate(is_scroller)
    tab.page.keyboard.press("Tab")
    expect(tab.page.get_by_role("button", name="Show")).to_be_focused()


def test_the_skip_link(visit: Visit) -> None:
    """The first Tab focuses the link to the content, and Enter focuses the content."""
    tab = visit("/pipeline")
    tab.page.keyboard.press("Tab")
    expect(tab.page.get_by_role("link", name="Skip to content")).to_be_focused()
    tab.page.keyboard.press("Enter")
    expect(tab.page.locator("main")).to_be_focused()


def test_search_by_keyboard(visit: Visit) -> None:
    """Arrow keys move in the list, Enter selects an id, Escape closes the list."""
    tab = visit("/entity")
    search = tab.page.get_by_role("combobox", name="Id or prefix")
    search.press_sequentially("d0000")
    tab.page.locator("#found [role=option]").first.wait_for()
    search.press("ArrowDown")
    search.press("ArrowDown")
    second = tab.page.locator("#found [role=option]").nth(1)
    expect(second).to_have_attribute("aria-selected", "true")
    wanted = (second.locator(".mono").text_content() or "").strip()
    search.press("Escape")
    expect(search).to_have_attribute("aria-expanded", "false")
    search.press("ArrowDown")
    tab.page.locator("#found [role=option]").first.wait_for()
    search.press("ArrowDown")
    search.press("ArrowDown")
    search.press("Enter")
    expect(tab.page.locator(".entity-id")).to_contain_text(wanted)


def test_the_map_by_keyboard(visit: Visit) -> None:
    """Keys move and zoom the map; a cell selected in the list is shown beside it."""
    tab = visit("/?span=60")
    tab.page.locator(".top-cells button").first.wait_for()
    canvas = tab.page.locator("canvas")
    canvas.focus()
    before = canvas.screenshot()
    for key in ("ArrowLeft", "ArrowUp", "+", "+"):
        canvas.press(key)
    until(canvas.screenshot, "another map", lambda picture: picture != before)
    first = tab.page.locator(".top-cells button").first
    wanted = first.get_attribute("data-id") or ""
    first.focus()
    first.press("Enter")
    tab.page.get_by_text(wanted, exact=True).wait_for()


def test_reduced_motion(visit: Visit) -> None:
    """With reduced motion no animation runs on the page or the map."""
    tab = visit("/pipeline")
    tab.page.emulate_media(reduced_motion="reduce")
    tab.page.locator("#counted").wait_for()
    assert tab.evaluate("document.getAnimations().length") == 0


def test_the_theme_is_remembered(visit: Visit) -> None:
    """The theme of the button overrides that of the system, on the next page, too."""
    tab = visit("/pipeline", "dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = tab.evaluate(ground)
    tab.page.get_by_role("button", name="Switch between light and dark").click()
    light = tab.evaluate(ground)
    assert light != dark
    tab.open("/entity")
    assert tab.evaluate(ground) == light


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", PAGES)
def test_screenshots(request: pytest.FixtureRequest, visit: Visit, name: str, theme: str) -> None:
    """A screenshot of each page in each theme: `--screenshots DIR` keeps them."""
    folder: Path | None = request.config.getoption("--screenshots")
    if folder is None:
        pytest.skip("no --screenshots DIR")
    path, loaded = PAGES[name]
    tab = visit(path, theme, *THEMES[theme])
    tab.page.locator(loaded).first.wait_for()
    tab.page.wait_for_timeout(2500)
    folder.mkdir(parents=True, exist_ok=True)
    tab.page.screenshot(path=folder / f"{name}-{theme}.png", full_page=theme == "phone")
