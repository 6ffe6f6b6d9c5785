"""Progress of a replay: a bar while it runs, and a summary in one line at its end."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mobility.times import iso_time
from producer.replayer import ShowProgress
from producer.trip_writer import DeliveryCounts


@contextmanager
def progress_bar(console: Console, total: int | None) -> Iterator[ShowProgress]:
    """Yield a function that shows the number of messages sent and the event time (epoch ms).

    Shows nothing without a terminal. `total` is the number of messages, None if it is not known.
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
        rated_at, rated_sent, rate = time.monotonic(), 0, 0.0

        def show(sent: int, event: int) -> None:
            nonlocal rated_at, rated_sent, rate
            now = time.monotonic()
            if now - rated_at >= 1.0:
                rate = (sent - rated_sent) / (now - rated_at)
                rated_at, rated_sent = now, sent
            progress.update(task, completed=sent, rate=rate, event=_format_time(event))

        yield show if console.is_terminal else _show_nothing


def summary(topic: str, delivered: DeliveryCounts, seconds: float) -> str:
    """Return the summary: messages, seconds, rate, partitions."""
    trips = sum(delivered.trips)
    line = (
        f"{trips:,} trips in {seconds:,.1f} s ({trips / max(seconds, 1e-9):,.0f}/s) to {topic}; "
        f"partitions: {', '.join(f'{count:,}' for count in delivered.trips)}"
    )
    punctuations = f"; {delivered.punctuations:,} punctuations" if delivered.punctuations else ""
    return line + punctuations


def _show_nothing(_sent: int, _event: int) -> None:
    """Show nothing."""


def _format_time(event: int) -> str:
    return iso_time(event // 1_000 * 1_000)
