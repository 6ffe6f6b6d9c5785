"""A whole system with a city in it, and a browser that looks at its pages."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from mobility.settings import Settings
from tests.pages.system import System, new_system
from tests.pages.visitor import FLAGS, Visitor

CHROMIUM = "/usr/bin/chromium"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let pictures of the pages be kept."""
    parser.addoption(
        "--screenshots", type=Path, metavar="DIR", help="folder for pictures of the pages"
    )


# Playwright keeps an event loop in this thread while it is open: it must end with this folder.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Return Debian's Chromium, without a window; or skip: not every machine has one."""
    if shutil.which(CHROMIUM) is None:
        pytest.skip(f"no browser at {CHROMIUM}: `apt-get install chromium` brings it")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="package")
def system(
    services: Settings, browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """Return a system of its own that has counted an hour of trips; without a browser none."""
    del browser
    yield from new_system(services, tmp_path_factory.mktemp("pages"))


Visit = Callable[..., Visitor]


@pytest.fixture
def visit(browser: Browser, system: System) -> Iterator[Visit]:
    """Return what opens a page of a system at rest; in none may anything have gone wrong."""
    system.rest()
    visitors: list[Visitor] = []

    def open_page(
        path: str, look: str = "light", width: int = 1280, height: int = 800, *, expected: str = ""
    ) -> Visitor:
        context = browser.new_context(
            color_scheme="dark" if look == "dark" else "light",
            viewport={"width": width, "height": height},
            accept_downloads=True,
        )
        visitor = Visitor(context, system.url, expected)
        visitors.append(visitor)
        visitor.open(path)
        return visitor

    yield open_page
    for visitor in visitors:
        visitor.leave()
        assert visitor.complaints == []
