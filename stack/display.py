"""The display of `just up`: one line per component, and a status line; or plain lines of text."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

_PLAIN_INTERVAL: Final = 10.0
_COLOURS: Final = {"running": "green", "external": "green", "done": "dim", "stopped": "dim"}


class Display:
    """Shows state changes and the status line: every second, without a terminal every ten."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._rows: dict[str, tuple[str, str]] = {}
        self._status = ""
        self._printed = time.monotonic()
        self._live = self._new_live()
        self._is_handed_over = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def show_state(self, name: str, state: str, url: str | None = None) -> None:
        """Show the state of a component; None keeps its URL."""
        url = self._rows.get(name, ("", ""))[1] if url is None else url
        self._rows[name] = (state, url)
        if self._console.is_terminal:
            self._refresh()
        else:
            self._print(f"{name:<9} {state:<10} {url}".rstrip())

    def show_status(self, text: str) -> None:
        """Show the status line."""
        self._status = text
        if self._console.is_terminal:
            self._refresh()
        elif time.monotonic() - self._printed >= _PLAIN_INTERVAL:
            self._printed = time.monotonic()
            self._print(text)

    def print_message(self, text: str) -> None:
        """Print a message above the lines that are updated."""
        self._print(text)

    @contextmanager
    def handed_over(self) -> Iterator[None]:
        """Leave the terminal to another process in the block: nothing is updated there."""
        self._live.stop()
        self._is_handed_over = True
        try:
            yield
        finally:
            self._is_handed_over = False
            self._live = self._new_live()  # the old one would write over what is there by now

    def _new_live(self) -> Live:
        return Live(console=self._console, auto_refresh=False)

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _refresh(self) -> None:
        if self._is_handed_over:
            return
        self._live.start()  # not earlier: until the first state others may write to the terminal
        table = Table.grid(padding=(0, 2))
        for name, (state, url) in self._rows.items():
            table.add_row(name, Text(state, style=_COLOURS.get(state, "yellow")), url)
        self._live.update(Group(table, Text(self._status, style="bold")), refresh=True)
