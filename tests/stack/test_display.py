"""The display of `just up` on a terminal."""

import io

from rich.console import Console

from stack.display import Display

UP = "\x1b[1A"
"""Moves the cursor up, to write over a line."""


def test_nothing_is_written_over_what_another_process_has_shown() -> None:
    """While it has the terminal, states are only kept; afterwards they are shown below."""
    written = io.StringIO()
    with Display(Console(file=written, force_terminal=True, width=80)) as display:
        display.show_state("flow", "starting")
        display.show_state("flow", "running")
        assert UP in written.getvalue() or "\r" in written.getvalue()
        with display.handed_over():
            before = written.getvalue()
            display.show_state("producer", "starting")
            display.show_status("in 5 trips/s")
            assert written.getvalue() == before
        display.show_state("producer", "done")
        after = written.getvalue().removeprefix(before)
        assert UP not in after
        assert "running" in after
        assert "done" in after
        assert "in 5 trips/s" in after
