"""`list`: the letters in a table, newest last, with a summary; or as lines of JSON."""

import heapq
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table
from rich.text import Text

from corrections.letterbox import Found
from corrections.letters import Kind
from corrections.lines import as_line
from corrections.printable import printable
from mobility.times import iso_time


@dataclass(slots=True)
class Summary:
    """How many letters there are by reason, how many of them were replayed, how many to show."""

    letters: Counter[str] = field(default_factory=Counter)
    replayed: Counter[str] = field(default_factory=Counter)
    shown: int = 0

    def counted(self, letters: Iterable[Found]) -> Iterator[Found]:
        """Count letters while they pass."""
        for found in letters:
            reason = found.letter.reason or "late"
            self.letters[reason] += 1
            self.replayed[reason] += found.replayed is not None
            yield found

    def passed(self, letters: Iterable[Found]) -> Iterator[Found]:
        """Count those that may be shown."""
        for found in letters:
            self.shown += 1
            yield found


def newest(letters: Iterable[Found], limit: int) -> list[Found]:
    """Return the newest so many letters, oldest first; no more than that are held."""
    return sorted(heapq.nlargest(limit, letters, key=_age), key=_age)


def print_lines(letters: Iterable[Found], *, values: bool) -> int:
    """Print letters as lines of JSON; return their number."""
    count = 0
    for count, found in enumerate(letters, 1):  # noqa: B007 - the number of the last is asked for
        sys.stdout.write(f"{as_line(found, values=values)}\n")
    return count


def print_table(console: Console, kind: Kind, letters: list[Found], summary: Summary) -> None:
    """Print a table of letters, and the summary of all that were found."""
    table = Table(box=None)
    table.add_column("position", no_wrap=True)
    table.add_column("written (UTC)", no_wrap=True)
    if kind.has_reasons:
        table.add_column("reason", no_wrap=True)
        table.add_column("detail", overflow="fold")
    table.add_column("bytes", justify="right", no_wrap=True)
    table.add_column("replayed", overflow="fold")
    for found in letters:
        letter = found.letter
        cells = [str(letter.position), iso_time(letter.time)]
        if kind.has_reasons:
            cells += [letter.reason or "", letter.detail or ""]
        cells += [f"{letter.size:,}", found.replayed or "no"]
        # As Text nothing is markup, and what might act on the terminal is escaped.
        table.add_row(*(Text(printable(cell)) for cell in cells))
    console.print(table)
    console.print()
    console.print(_summary(kind, summary))
    total = summary.letters.total()
    if len(letters) < summary.shown:
        console.print(
            f"Shown are the newest {len(letters):,}: --limit N shows more.", soft_wrap=True
        )
    if summary.shown < total:
        console.print(
            f"{total - summary.shown:,} replayed ones are hidden: --all shows them.", soft_wrap=True
        )


def _summary(kind: Kind, summary: Summary) -> Table:
    table = Table(box=None)
    table.add_column("reason" if kind.has_reasons else "")
    table.add_column(kind.noun, justify="right")
    table.add_column("replayed", justify="right")
    for reason, count in summary.letters.most_common():
        row = (f"{count:,}", f"{summary.replayed[reason]:,}")
        table.add_row(Text(printable(reason)), *row)
    return table


def _age(found: Found) -> tuple[int, int, int]:
    return (found.letter.time, *found.letter.position)
