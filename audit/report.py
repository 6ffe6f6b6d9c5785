"""The outcome of a replay, for people."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl
from rich.console import Console
from rich.table import Table

from audit.differences import KINDS, Comparison
from audit.oracle import Answer
from mobility.entities import ENTITIES

_COUNTS: Final = {
    "counted": "counted",
    "late": "late",
    "dead": "dead-lettered",
    "duplicate": "duplicates",
    "punctuation": "punctuations",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a replay found; `seconds` is the flow's, from its start to its exit."""

    answer: Answer
    comparisons: Sequence[Comparison]
    seconds: float

    @property
    def differences(self) -> int:
        """The differences of all places."""
        return sum(comparison.differences for comparison in self.comparisons)


def show(outcome: Outcome, console: Console) -> None:
    """Print the tables, the first differences of each kind, and the verdict."""
    console.print(_trips(outcome))
    console.print(_entities(outcome.answer))
    console.print(_places(outcome.comparisons))
    show_differences(outcome.comparisons, console)


def show_differences(comparisons: Sequence[Comparison], console: Console) -> None:
    """Print the first differences of each kind, and how many there are."""
    for comparison in comparisons:
        for line in examples(comparison):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    number = sum(comparison.differences for comparison in comparisons)
    console.print(f"{number:,} {'difference' if number == 1 else 'differences'}.", style="bold")


def examples(comparison: Comparison) -> list[str]:
    """Return the first differences of each kind as text."""
    return [
        f"{comparison.place}: {example.kind}: {example.key}\n"
        f"    expected: {example.expected or 'nothing'}\n"
        f"    found:    {example.found or 'nothing'}"
        for example in comparison.examples
    ]


def _trips(outcome: Outcome) -> Table:
    trips = outcome.answer.messages.height - outcome.answer.count("punctuation")
    rows = table("", "this run", "")
    rows.add_row("trips read", f"{trips:,}")
    for verdict, name in _COUNTS.items():
        rows.add_row(name, f"{outcome.answer.count(verdict):,}")
    rows.add_row("seconds", f"{outcome.seconds:,.1f}")
    rows.add_row("trips/s", f"{trips / outcome.seconds:,.0f}")
    return rows


def _entities(answer: Answer) -> Table:
    rows = table("", "entity", "windows", "ids")
    for entity in ENTITIES:
        mine = pl.col("entity") == entity.name
        windows, ids = answer.windows.filter(mine).height, answer.totals.filter(mine).height
        rows.add_row(entity.name, f"{windows:,}", f"{ids:,}")
    return rows


def _places(comparisons: Sequence[Comparison]) -> Table:
    rows = table("differences", "place", "compared", *KINDS)
    for comparison in comparisons:
        counts = [f"{comparison.counts[kind]:,}" for kind in KINDS]
        style = "red" if comparison.differences else None
        rows.add_row(comparison.place, f"{comparison.expected:,}", *counts, style=style)
    return rows


def table(title: str, first: str, *numbers: str) -> Table:
    """Return an empty table: a column of names, and columns of numbers."""
    made = Table(title=title or None, title_justify="left")
    made.add_column(first, no_wrap=True)
    for name in numbers:
        made.add_column(name, justify="right", no_wrap=True)
    return made
