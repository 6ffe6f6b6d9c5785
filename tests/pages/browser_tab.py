"""A browser tab with a page, and the faults that a page must not have."""

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
TIMEOUT_MS: Final = DEADLINE * 1_000
"""Timeout in milliseconds."""

_WATCH: Final = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
"""


class BrowserTab:
    """A page in its own browser context; `faults` must be empty, `requests` are all URLs.

    An error in the console that contains the text `expected` is not a fault.
    """

    def __init__(self, context: BrowserContext, url: str, expected: str = "") -> None:
        self._url = url
        self._context = context
        self.faults: list[str] = []
        self.requests: list[str] = []
        self._expected = expected
        context.add_init_script(_WATCH)
        self.page: Page = context.new_page()
        self.page.set_default_timeout(TIMEOUT_MS)
        expect.set_options(timeout=TIMEOUT_MS)
        self.page.on("dialog", self._dialog)
        self.page.on("console", self._console)
        self.page.on("pageerror", self._error)
        self.page.on("request", self._request)

    def open(self, path: str) -> None:
        """Open a page, and wait until it shows its freshness."""
        self.page.goto(self._url + path)
        self.page.wait_for_selector("#fresh strong")

    def wait_for_value(self, selector: str, value: float) -> None:
        """Wait until a number has this value."""
        expect(self.page.locator(selector)).to_have_attribute("value", f"{value:.15g}")

    def evaluate(self, script: str, argument: object = None) -> Any:  # noqa: ANN401 - any JSON
        """Return the result of a script."""
        return self.page.evaluate(script, argument)

    def close(self) -> None:
        """Close the page; violations of the Content Security Policy are faults, too."""
        self.page.unroute_all(behavior="ignoreErrors")
        self.faults += self.page.evaluate("window.violations")
        self._context.close()

    def _dialog(self, dialog: Dialog) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _console(self, message: ConsoleMessage) -> None:
        is_expected = bool(self._expected) and self._expected in message.text
        if message.type == "error" and not is_expected:
            self.faults.append(f"console: {message.text} {message.location}")

    def _error(self, error: Error) -> None:
        self.faults.append(f"script: {error}")

    def _request(self, request: Request) -> None:
        self.requests.append(request.url)
        to = urlsplit(request.url)
        if to.scheme not in {"data", "blob"} and to.netloc != urlsplit(self._url).netloc:
            self.faults.append(f"another host: {request.url}")
