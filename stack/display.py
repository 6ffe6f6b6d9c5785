"""What `just up` shows: a line a component, and a live line; plain lines without a terminal."""

import time
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

_PLAIN_PAUSE: Final = 10.0
_COLOURS: Final = {"running": "green", "given": "green", "done": "dim", "stopped": "dim"}


class Display:
    """Shows states as they change and the live line: about once a second, or once in ten."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._rows: dict[str, tuple[str, str]] = {}
        self._line = ""
        self._printed = time.monotonic()
        self._live = Live(console=self._console, auto_refresh=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def state(self, name: str, state: str, where: str | None = None) -> None:
        """Show the state of a component; its place stays as it was where none is given."""
        where = self._rows.get(name, ("", ""))[1] if where is None else where
        self._rows[name] = (state, where)
        if self._console.is_terminal:
            self._refresh()
        else:
            self._print(f"{name:<9} {state:<10} {where}".rstrip())

    def line(self, text: str) -> None:
        """Show how the flow does."""
        self._line = text
        if self._console.is_terminal:
            self._refresh()
        elif time.monotonic() - self._printed >= _PLAIN_PAUSE:
            self._printed = time.monotonic()
            self._print(text)

    def note(self, text: str) -> None:
        """Print a message that stays, above what is live."""
        self._print(text)

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _refresh(self) -> None:
        self._live.start()  # only now: until there is a state, others may write to the terminal
        table = Table.grid(padding=(0, 2))
        for name, (state, where) in self._rows.items():
            table.add_row(name, Text(state, style=_COLOURS.get(state, "yellow")), where)
        self._live.update(Group(table, Text(self._line, style="bold")), refresh=True)
