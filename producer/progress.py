"""What a person sees of a replay: a bar while it runs, one line when it has ended."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mobility.times import iso_time
from producer.outlet import Tally
from producer.replay import Show


@contextmanager
def progress_bar(console: Console, total: int | None) -> Iterator[Show]:
    """Yield a function that shows messages sent and event time (epoch ms).

    Without a terminal nothing is shown. `total` is the number of messages, None where it is open.
    """
    columns = (
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:,.0f}/s"),
        TextColumn("event time {task.fields[event]}"),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("trips", total=total, rate=0.0, event="-")
        mark_time, mark_sent, rate = time.monotonic(), 0, 0.0

        def show(sent: int, event: int) -> None:
            nonlocal mark_time, mark_sent, rate
            now = time.monotonic()
            if now - mark_time >= 1.0:
                rate = (sent - mark_sent) / (now - mark_time)
                mark_time, mark_sent = now, sent
            progress.update(task, completed=sent, rate=rate, event=_as_text(event))

        yield show if console.is_terminal else _silent


def summary(topic: str, tally: Tally, seconds: float) -> str:
    """Return the line that stands at the end: messages, seconds, rate, partitions."""
    trips = sum(tally.trips)
    line = (
        f"{trips:,} trips in {seconds:,.1f} s ({trips / max(seconds, 1e-9):,.0f}/s) to {topic}; "
        f"partitions: {', '.join(f'{count:,}' for count in tally.trips)}"
    )
    return f"{line}; {tally.punctuations:,} punctuations" if tally.punctuations else line


def _silent(_sent: int, _event: int) -> None:
    """Show nothing."""


def _as_text(event: int) -> str:
    return iso_time(event // 1_000 * 1_000)
