"""Somebody at a browser: what they see, and what a page must never do meanwhile."""

from typing import Any, Final
from urllib.parse import urlsplit

from playwright.sync_api import (
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Error,
    Page,
    Request,
    expect,
)

from tests.waiting import DEADLINE

FLAGS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE: Final = DEADLINE * 1_000
"""Milliseconds until something that must come is missed."""

_WATCH: Final = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
"""


class Visitor:
    """One page in a browser context of its own; `complaints` are what must not have happened.

    An error in the console that contains what is `expected` is none. `asked` are all addresses.
    """

    def __init__(self, context: BrowserContext, url: str, expected: str = "") -> None:
        self._url = url
        self._context = context
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self._expected = expected
        context.add_init_script(_WATCH)
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        self.page.on("dialog", self._dialog)
        self.page.on("console", self._console)
        self.page.on("pageerror", self._error)
        self.page.on("request", self._request)

    def open(self, path: str) -> None:
        """Go to a page, and wait until it says how fresh it is."""
        self.page.goto(self._url + path)
        self.page.wait_for_selector("#fresh strong")

    def wait_for_value(self, selector: str, value: float) -> None:
        """Wait until a number has become this one."""
        expect(self.page.locator(selector)).to_have_attribute("value", f"{value:.15g}")

    def evaluate(self, script: str, argument: object = None) -> Any:  # noqa: ANN401 - any JSON
        """Return what a script gives."""
        return self.page.evaluate(script, argument)

    def leave(self) -> None:
        """Close the page; the policy's violations are complaints too."""
        self.complaints += self.page.evaluate("window.violations")
        self._context.close()

    def _dialog(self, dialog: Dialog) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _console(self, message: ConsoleMessage) -> None:
        is_expected = bool(self._expected) and self._expected in message.text
        if message.type == "error" and not is_expected:
            self.complaints.append(f"console: {message.text} {message.location}")

    def _error(self, error: Error) -> None:
        self.complaints.append(f"script: {error}")

    def _request(self, request: Request) -> None:
        self.asked.append(request.url)
        to = urlsplit(request.url)
        if to.scheme not in {"data", "blob"} and to.netloc != urlsplit(self._url).netloc:
            self.complaints.append(f"another host: {request.url}")
