"""What a backfill would change: pure, frames in, frames out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from audit.oracle import aggregate_windows
from audit.validation import TRIP_SCHEMA
from corrections.backfill_inputs import Corrections
from corrections.backfill_range import Range
from mobility.records import STARTS, TOTALS, WINDOW_SCHEMA
from mobility.settings import Settings

HELD_SCHEMA: Final = pl.Schema([("entity", pl.String), *WINDOW_SCHEMA.items()])
"""Windows of all entities, as a place holds them."""

KEY: Final = ("entity", "id", "window_start")
AMOUNTS: Final = ("trip_count", *TOTALS)

_FACTS: Final = (*KEY, *AMOUNTS, *STARTS)
_POSITION: Final = ("partition", "offset")


@dataclass(frozen=True, slots=True)
class Changes:
    """The windows that differ (HELD_SCHEMA): `after` has them all, `before` those that existed.

    In `after` each has the new generation; one that no trip is left of has a trip count of 0.
    """

    before: pl.DataFrame
    after: pl.DataFrame


def recounted(
    logged: pl.DataFrame, corrections: Sequence[Corrections], span: Range, settings: Settings
) -> pl.DataFrame:
    """Return the windows of a range: KEY, amounts and STARTS.

    `logged` (LOGGED_SCHEMA) has the trips of the log before those of `trips_late`. Corrections
    stand in the order in which they were given, the newest last.
    """
    trips = without_repeats(corrected(logged, corrections).filter(span.holds()))
    return aggregate_windows(trips, settings).select(_FACTS)


def corrected(logged: pl.DataFrame, corrections: Sequence[Corrections]) -> pl.DataFrame:
    """Return the trips with corrections in their place.

    A trip that stands at one place of the log counts once, however many topics hold a copy of it.
    Each set of corrections then replaces, in the range it was given for, whatever has a trip_id of
    its own, earlier corrections too, and what was given with the same file before. Of corrections
    in one file with one trip_id the last stands.
    """
    copies = [*_POSITION, *TRIP_SCHEMA]
    trips = logged.unique(copies, keep="first", maintain_order=True)
    trips = trips.with_columns(source=pl.lit(None, pl.String))
    for each in corrections:
        named = pl.col("trip_id").is_not_null()
        given = each.rows.filter(~named | pl.col("trip_id").is_last_distinct())
        replaced = pl.col("trip_id").is_in(given["trip_id"].drop_nulls().implode())
        again = pl.col("source").eq_missing(pl.lit(each.source))
        kept = trips.filter(~(each.given_for.holds() & (replaced.fill_null(value=False) | again)))
        ours = given.select(
            pl.lit(None, pl.Int32).alias("partition"),
            pl.col("line").alias("offset"),
            "window_start",
            *TRIP_SCHEMA,
            pl.lit(each.source).alias("source"),
        )
        trips = pl.concat([kept, ours])
    return trips


def without_repeats(trips: pl.DataFrame) -> pl.DataFrame:
    """Return each trip_id once a window: where it stands in the lowest partition and offset.

    Corrections have left nothing beside them that has their trip_id.
    """
    ordered = trips.sort(_POSITION, maintain_order=True)
    first = pl.struct("trip_id", "window_start").is_first_distinct()
    return ordered.filter(pl.col("trip_id").is_null() | first)


def changes(wanted: pl.DataFrame, held: pl.DataFrame, generation: int) -> Changes:
    """Return what must be written so that a place that has `held` (HELD_SCHEMA) has `wanted`.

    `wanted` has KEY, amounts and STARTS, no window without trips, and is the whole truth
    about the windows that `held` may speak of: what only `held` has is emptied.
    """
    filled = held.filter(pl.col("trip_count") > 0)
    emptied = filled.join(wanted, on=KEY, how="anti").select(
        *KEY,
        *(pl.lit(0, pl.Int64).alias(name) for name in AMOUNTS),
        *(pl.col("window_start").alias(name) for name in STARTS),
    )
    differing = wanted.select(_FACTS).join(filled, on=_FACTS, how="anti")
    after = pl.concat([differing, emptied]).with_columns(
        pane=pl.lit("late"), generation=pl.lit(generation, pl.Int64)
    )
    return Changes(
        before=held.join(after, on=KEY, how="semi").sort(KEY),
        after=after.select(HELD_SCHEMA.names()).sort(KEY),
    )
