"""What a backfill changes, and what was done before, for people."""

from collections.abc import Mapping, Sequence
from typing import Final

import polars as pl
from rich.console import Console
from rich.table import Table

from backfill.book import Record
from backfill.plan import KEY, Changes
from mobility.entities import ENTITIES
from mobility.records import MICRO
from mobility.times import iso_time

EXAMPLES: Final = 3
"""How many changed windows of each entity are shown."""

_BEFORE: Final = "_before"


def show_changes(changes: Changes, console: Console) -> None:
    """Print what would change: a line an entity, and some windows before and after."""
    table = _table("entity", "changed", "new", "emptied", "trips", "revenue")
    both = side_by_side(changes)
    for entity in ENTITIES:
        mine = both.filter(pl.col("entity") == entity.name)
        table.add_row(entity.name, *_numbers(mine))
    console.print(table)
    for entity in ENTITIES:
        for row in both.filter(pl.col("entity") == entity.name).head(EXAMPLES).to_dicts():
            where = f"{entity.name} {row['id']}, {iso_time(row['window_start'])}"
            text = f"{where}: {_window(row, _BEFORE)} → {_window(row, '')}"
            console.print(text, markup=False, highlight=False, soft_wrap=True)


def show_records(records: Sequence[Record], undone: Mapping[str, str], console: Console) -> None:
    """Print the backfills that were made, oldest first."""
    if not records:
        console.print("No backfill was made.")
    for record in records:
        status: str = record.status
        if record.id in undone:
            status = f"taken back by {undone[record.id]}"
        elif record.takes_back is not None:
            status = f"{status}, takes back {record.takes_back}"
        windows = sum(counts["windows"] for counts in record.counts.values())
        trips = sum(given.trips for given in record.inputs)
        text = (
            f"{record.id}  {record.start} to {record.end}, {windows:,} windows, generation "
            f"{record.generation}, {trips:,} corrections\n"
            f"      {status}; begun {record.started} by {record.by}"
        )
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def show_elsewhere(trips: pl.DataFrame, console: Console) -> None:
    """Warn of trips (`trip_id`, `window_start`) that corrections name and don't reach."""
    if trips.is_empty():
        return
    examples = trips.unique().sort("window_start", "trip_id").head(EXAMPLES)
    shown_trips = ", ".join(f"{name} at {iso_time(at)}" for name, at in examples.iter_rows())
    text = (
        f"{trips.height:,} trips outside the range have a trip_id of the corrections and stay "
        f"counted where they are: {shown_trips}. If they are to be replaced, widen the range."
    )
    console.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)


def show_refused(windows: pl.DataFrame, console: Console) -> None:
    """Name the windows (HELD_SCHEMA) that Redis could not take."""
    if windows.is_empty():
        return
    text = (
        f"Redis did not take {windows.height:,} windows: its ledger no longer reaches back to "
        "them, and there is no Postgres to fill it from. Its totals leave the changes out of:"
    )
    console.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)
    for entity, name, at in windows.select(KEY).iter_rows():
        console.print(f"  {entity} {name}, {iso_time(at)}", markup=False, highlight=False)


def side_by_side(changes: Changes) -> pl.DataFrame:
    """Return each changed window with its amounts before, 0 where it did not exist."""
    sums = ("trip_count", "total_revenue")
    before = changes.before.select(*KEY, *sums, held=pl.lit(value=True))
    return changes.after.join(before, on=KEY, how="left", suffix=_BEFORE).with_columns(
        *(pl.col(name + _BEFORE).fill_null(0) for name in sums),
        pl.col("held").fill_null(value=False),
    )


def _numbers(windows: pl.DataFrame) -> list[str]:
    emptied = pl.col("trip_count") == 0
    kinds = [pl.col("held") & ~emptied, ~pl.col("held") & ~emptied, emptied]
    changed, new, gone = (windows.filter(kind).height for kind in kinds)
    deltas = [
        windows.select(pl.col(name) - pl.col(name + _BEFORE)).to_series()
        for name in ("trip_count", "total_revenue")
    ]
    trips, revenue = ((each.filter(each > 0).sum(), each.filter(each < 0).sum()) for each in deltas)
    return [
        f"{changed:,}",
        f"{new:,}",
        f"{gone:,}",
        f"{trips[0]:+,} {trips[1]:+,}" if trips[1] else f"{trips[0]:+,}",
        " ".join(f"{amount / MICRO:+,.2f}" for amount in revenue if amount) or "+0",
    ]


def _window(row: Mapping[str, int], suffix: str) -> str:
    trips, revenue = row[f"trip_count{suffix}"], row[f"total_revenue{suffix}"] / MICRO
    return f"{trips:,} {'trip' if trips == 1 else 'trips'}, revenue {revenue:,.2f}"


def _table(first: str, *others: str) -> Table:
    table = Table()
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table
