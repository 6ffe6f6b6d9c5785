"""A whole system with trips, and a browser that opens its pages."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from mobility.settings import Settings
from tests.pages.browser_tab import FLAGS, BrowserTab
from tests.pages.system import DEAD_LETTERS, LATE_TRIPS, System, city_trips, new_system
from tests.rejected import reject

BROWSERS = ("chromium-headless-shell", "chromium")
"""Debian's packages: the first has no window, and takes a third of the CPU time a page."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for screenshots of the pages."""
    parser.addoption(
        "--screenshots", type=Path, metavar="DIR", help="folder for screenshots of the pages"
    )


# Playwright keeps an event loop in this thread until it is closed: it must close with this package.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Return Debian's Chromium, headless; skip the test on a machine without it."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip(f"no browser: install one with `apt-get install {BROWSERS[0]}`")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="package")
def system(
    services: Settings, browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """Return a system that has counted three hours of trips; it needs the browser."""
    del browser
    for made in new_system(services, tmp_path_factory.mktemp("pages"), city_trips):
        reject(made.settings, DEAD_LETTERS)
        reject(made.settings, LATE_TRIPS, topic="trips_late", partition=1)
        yield made


Visit = Callable[..., BrowserTab]


@pytest.fixture
def visit(browser: Browser, system: System) -> Iterator[Visit]:
    """Return a function that opens a page; at the end check that no page had a fault.

    The system is stable before: until then pages change by themselves.
    """
    system.wait_until_stable()
    tabs: list[BrowserTab] = []

    def open_page(
        path: str, theme: str = "light", width: int = 1280, height: int = 800, *, expected: str = ""
    ) -> BrowserTab:
        context = browser.new_context(
            color_scheme="dark" if theme == "dark" else "light",
            viewport={"width": width, "height": height},
            accept_downloads=True,
        )
        tab = BrowserTab(context, system.url, expected)
        tabs.append(tab)
        tab.open(path)
        return tab

    yield open_page
    for tab in tabs:
        tab.close()
        assert tab.faults == []
