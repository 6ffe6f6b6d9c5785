"""Progress of reading files and of a replay: bars while they run, and a summary in one line."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from mobility.times import iso_time
from producer.replayer import ShowProgress
from producer.trip_writer import DeliveryCounts


class Rate:
    """How many a second, counted again each second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counted_at = clock()
        self._count = 0
        self._rate = 0.0

    def at(self, count: int) -> float:
        """Return the rate, given the present number."""
        now = self._clock()
        if now - self._counted_at >= 1.0:
            self._rate = (count - self._count) / (now - self._counted_at)
            self._counted_at, self._count = now, count
        return self._rate


class ReadingBar:
    """Shows how much of the files is read, until it is stopped; nothing without a terminal."""

    def __init__(self, progress: Progress, size: int) -> None:
        self._progress = progress
        self._task = progress.add_task("files", total=size, rows=0, rate=0.0)
        self._rate = Rate()

    def show(self, rows: int, size: int) -> None:
        """Show the numbers of rows and of bytes that are read so far."""
        self._progress.update(self._task, completed=size, rows=rows, rate=self._rate.at(rows))

    def stop(self) -> None:
        """Take the bar away."""
        self._progress.stop()


@contextmanager
def reading_bar(console: Console, size: int) -> Iterator[ReadingBar]:
    """Yield a bar for files of so many bytes."""
    columns = (
        TextColumn("reading the files"),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:.0f} %"),
        TextColumn("{task.fields[rows]:,} rows, {task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        yield ReadingBar(progress, size)


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
        rate = Rate()

        def show(sent: int, event: int) -> None:
            progress.update(task, completed=sent, rate=rate.at(sent), event=_format_time(event))

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
