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
    for comparison in outcome.comparisons:
        for example in comparison.examples:
            line = (
                f"{comparison.place}: {example.kind}: {example.key}\n"
                f"    expected: {example.expected or 'nothing'}\n"
                f"    found:    {example.found or 'nothing'}"
            )
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    number = outcome.differences
    console.print(f"{number:,} {'difference' if number == 1 else 'differences'}.", style="bold")


def _trips(outcome: Outcome) -> Table:
    trips = outcome.answer.messages.height - outcome.answer.count("punctuation")
    table = _table("", "this run", "")
    table.add_row("trips read", f"{trips:,}")
    for verdict, name in _COUNTS.items():
        table.add_row(name, f"{outcome.answer.count(verdict):,}")
    table.add_row("seconds", f"{outcome.seconds:,.1f}")
    table.add_row("trips/s", f"{trips / outcome.seconds:,.0f}")
    return table


def _entities(answer: Answer) -> Table:
    table = _table("", "entity", "windows", "ids")
    for entity in ENTITIES:
        mine = pl.col("entity") == entity.name
        windows, ids = answer.windows.filter(mine).height, answer.totals.filter(mine).height
        table.add_row(entity.name, f"{windows:,}", f"{ids:,}")
    return table


def _places(comparisons: Sequence[Comparison]) -> Table:
    table = _table("differences", "place", "compared", *KINDS)
    for comparison in comparisons:
        counts = [f"{comparison.counts[kind]:,}" for kind in KINDS]
        style = "red" if comparison.differences else None
        table.add_row(comparison.place, f"{comparison.expected:,}", *counts, style=style)
    return table


def _table(title: str, first: str, *numbers: str) -> Table:
    table = Table(title=title or None, title_justify="left")
    table.add_column(first, no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table
