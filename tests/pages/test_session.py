"""If the API requires a token, a page asks for one and exchanges it for a cookie."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
from playwright.sync_api import Browser, expect

from api.access.tokens import create_token
from stack.ports import find_free_port
from tests.pages.browser_tab import BrowserTab
from tests.pages.system import System, started
from tests.waiting import until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.services,
    pytest.mark.xdist_group("pages"),
]


@pytest.fixture
def protected(system: System, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Return the URL of an API over the same stores that requires a token, and a token."""
    token, line = create_token("fleet", "driver,vehicle_type,h3")
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{line}\n")
    tokens.chmod(0o600)
    port = find_free_port()
    settings = msgspec.structs.replace(system.settings, api_port=port, api_tokens=str(tokens))
    url = f"http://127.0.0.1:{port}"
    with started(settings, "api"):
        until(lambda: _answers(url), "the API to answer")
        yield url, token


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/live").is_success
    except httpx.HTTPError:
        return False


def test_sign_in(browser: Browser, protected: tuple[str, str]) -> None:
    """An invalid token is an error; a valid one shows the numbers in its scopes only."""
    url, token = protected
    tab = BrowserTab(browser.new_context(), url, expected="status of 40")
    tab.open("/entity?entity=vehicle_type&id=car")
    page = tab.page
    field = page.get_by_label("Token", exact=True)
    field.fill("not a token")
    field.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="This token is not valid")).to_be_visible()
    field.fill(token)
    field.press("Enter")
    page.locator("#trips").wait_for()
    assert token not in page.content()
    assert tab.evaluate("document.cookie") == ""
    assert token not in str(tab.evaluate("({...localStorage, ...sessionStorage})"))
    tab.open("/entity?entity=passenger")
    expect(page.get_by_role("alert").first).to_be_visible()
    assert page.locator("main table").count() == 0
    tab.close()
    assert tab.faults == []
