"""What a backfill prints: its changes, and the backfills that were made before."""

from collections.abc import Mapping, Sequence
from typing import Final

import polars as pl
from rich.console import Console
from rich.table import Table

from backfill.journal import BackfillRecord
from backfill.plan import ENTITY_WINDOW_KEY, WindowChanges
from mobility.entities import ENTITIES
from mobility.records import MICRO
from mobility.times import iso_time

EXAMPLES: Final = 3
"""The number of changed windows that are printed for each entity."""

_BEFORE: Final = "_before"


def print_changes(changes: WindowChanges, console: Console) -> None:
    """Print what would change: one line per entity, and some windows before and after."""
    table = _table("entity", "changed", "new", "emptied", "trips", "revenue")
    joined = join_before(changes)
    for entity in ENTITIES:
        table.add_row(entity.name, *_summary(joined.filter(pl.col("entity") == entity.name)))
    console.print(table)
    for entity in ENTITIES:
        rows = joined.filter(pl.col("entity") == entity.name)
        order = ["id", "window_start"]
        for row in rows.bottom_k(EXAMPLES, by=order).sort(order).to_dicts():
            window = f"{entity.name} {row['id']}, {iso_time(row['window_start'])}"
            text = f"{window}: {_amounts(row, _BEFORE)} → {_amounts(row, '')}"
            console.print(text, markup=False, highlight=False, soft_wrap=True)


def print_records(
    records: Sequence[BackfillRecord], reverted: Mapping[str, str], console: Console
) -> None:
    """Print the backfills that were made, oldest first."""
    if not records:
        console.print("There is no backfill.")
    for record in records:
        status: str = record.status
        if record.id in reverted:
            status = f"reverted by {reverted[record.id]}"
        elif record.reverts is not None:
            status = f"{status}, reverts {record.reverts}"
        windows = sum(counts["windows"] for counts in record.counts.values())
        trips = sum(given.trips for given in record.inputs)
        text = (
            f"{record.id}  {record.start} to {record.end}, {windows:,} windows, generation "
            f"{record.generation}, {trips:,} corrections\n"
            f"      {status}; started {record.started} by {record.by}"
        )
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def print_outside_trips(trips: pl.DataFrame, console: Console) -> None:
    """Warn of trips (`trip_id`, `window_start`) outside the range that corrections name."""
    if trips.is_empty():
        return
    examples = trips.unique().sort("window_start", "trip_id").head(EXAMPLES)
    listed = ", ".join(f"{name} at {iso_time(at)}" for name, at in examples.iter_rows())
    text = (
        f"{trips.height:,} trips outside the range have a trip_id of the corrections and stay "
        f"counted where they are: {listed}. To replace them too, widen the range."
    )
    console.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)


def print_refused(windows: pl.DataFrame, console: Console) -> None:
    """Print the windows (ENTITY_WINDOW_SCHEMA) that Redis refused."""
    if windows.is_empty():
        return
    text = (
        f"Redis refused {windows.height:,} windows: they are older than its ledger, and there "
        "is no Postgres to fill it from. Its totals do not have the changes of:"
    )
    console.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)
    for entity, name, at in windows.select(ENTITY_WINDOW_KEY).iter_rows():
        console.print(f"  {entity} {name}, {iso_time(at)}", markup=False, highlight=False)


def join_before(changes: WindowChanges) -> pl.DataFrame:
    """Return each changed window with its amounts before; 0 where it did not exist."""
    sums = ("trip_count", "total_revenue")
    before = changes.before.select(*ENTITY_WINDOW_KEY, *sums, existed=pl.lit(value=True))
    return changes.after.join(
        before, on=ENTITY_WINDOW_KEY, how="left", suffix=_BEFORE
    ).with_columns(
        *(pl.col(name + _BEFORE).fill_null(0) for name in sums),
        pl.col("existed").fill_null(value=False),
    )


def _summary(windows: pl.DataFrame) -> list[str]:
    is_empty = pl.col("trip_count") == 0
    kinds = [pl.col("existed") & ~is_empty, ~pl.col("existed") & ~is_empty, is_empty]
    changed, new, emptied = (windows.filter(kind).height for kind in kinds)
    deltas = [
        windows.select(pl.col(name) - pl.col(name + _BEFORE)).to_series()
        for name in ("trip_count", "total_revenue")
    ]
    trips, revenue = ((each.filter(each > 0).sum(), each.filter(each < 0).sum()) for each in deltas)
    return [
        f"{changed:,}",
        f"{new:,}",
        f"{emptied:,}",
        f"{trips[0]:+,} {trips[1]:+,}" if trips[1] else f"{trips[0]:+,}",
        " ".join(f"{amount / MICRO:+,.2f}" for amount in revenue if amount) or "+0",
    ]


def _amounts(row: Mapping[str, int], suffix: str) -> str:
    trips, revenue = row[f"trip_count{suffix}"], row[f"total_revenue{suffix}"] / MICRO
    return f"{trips:,} {'trip' if trips == 1 else 'trips'}, revenue {revenue:,.2f}"


def _table(first: str, *others: str) -> Table:
    table = Table()
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table
