"""The report of a replay, printed to the terminal."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl
from rich.console import Console
from rich.table import Table

from audit.comparison import DIFFERENCE_KINDS, OutputComparison
from audit.oracle import OracleResult
from mobility.entities import ENTITIES
from producer.formats.reading_report import ReadingReport

_OUTCOMES: Final = {
    "counted": "counted",
    "late": "late",
    "dead": "dead-lettered",
    "duplicate": "duplicates",
    "punctuation": "punctuations",
}


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What a replay found; `seconds` is the flow's run time, from its start to its exit."""

    reading: ReadingReport
    expected: OracleResult
    comparisons: Sequence[OutputComparison]
    seconds: float

    @property
    def differences(self) -> int:
        """The number of differences in all outputs."""
        return sum(comparison.differences for comparison in self.comparisons)


def print_report(report: ReplayReport, console: Console) -> None:
    """Print the tables, the first differences of each kind, and how many there are."""
    console.print(_trips_table(report))
    console.print(_entities_table(report.expected))
    console.print(_comparisons_table(report.comparisons))
    print_differences(report.comparisons, console)


def print_differences(comparisons: Sequence[OutputComparison], console: Console) -> None:
    """Print the first differences of each kind, and how many there are."""
    for comparison in comparisons:
        for line in format_examples(comparison):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    number = sum(comparison.differences for comparison in comparisons)
    console.print(f"{number:,} {'difference' if number == 1 else 'differences'}.", style="bold")


def format_examples(comparison: OutputComparison) -> list[str]:
    """Return the first differences of each kind as text."""
    return [
        f"{comparison.output}: {example.kind}: {example.key}\n"
        f"    expected: {example.expected or 'nothing'}\n"
        f"    found:    {example.found or 'nothing'}"
        for example in comparison.examples
    ]


def _trips_table(report: ReplayReport) -> Table:
    trips = report.expected.messages.height - report.expected.count("punctuation")
    rows = new_table("", "this run", "")
    rows.add_row("rows of the files", f"{report.reading.read:,}")
    for reason, count in report.reading.left_out.most_common():
        rows.add_row(f"left out: {reason}", f"{count:,}")
    rows.add_row("trips read", f"{trips:,}")
    for outcome, name in _OUTCOMES.items():
        rows.add_row(name, f"{report.expected.count(outcome):,}")
        if outcome == "dead":
            for reason, count in _dead_letters(report.expected):
                rows.add_row(f"  {reason}", f"{count:,}")
    rows.add_row("seconds", f"{report.seconds:,.1f}")
    rows.add_row("trips/s", f"{trips / report.seconds:,.0f}")
    return rows


def _dead_letters(expected: OracleResult) -> Iterator[tuple[str, int]]:
    """Yield the reasons of dead letters with their numbers, the most frequent first."""
    dead = expected.messages.filter(pl.col("outcome") == "dead")
    counts = dead["reason"].value_counts(name="count").sort("count", "reason", descending=True)
    yield from counts.iter_rows()


def _entities_table(expected: OracleResult) -> Table:
    rows = new_table("", "entity", "windows", "ids")
    for entity in ENTITIES:
        is_entity = pl.col("entity") == entity.name
        windows = expected.windows.filter(is_entity).height
        ids = expected.totals.filter(is_entity).height
        rows.add_row(entity.name, f"{windows:,}", f"{ids:,}")
    return rows


def _comparisons_table(comparisons: Sequence[OutputComparison]) -> Table:
    rows = new_table("differences", "output", "compared", *DIFFERENCE_KINDS)
    for comparison in comparisons:
        counts = [f"{comparison.counts[kind]:,}" for kind in DIFFERENCE_KINDS]
        style = "red" if comparison.differences else None
        rows.add_row(comparison.output, f"{comparison.expected:,}", *counts, style=style)
    return rows


def new_table(title: str, first: str, *numbers: str) -> Table:
    """Return an empty table: a column of names, and columns of numbers."""
    table = Table(title=title or None, title_justify="left")
    table.add_column(first, no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table
