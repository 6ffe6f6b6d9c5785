"""The plan of a backfill: recounted windows and what they change. Pure, frames in, frames out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from audit.oracle import aggregate_windows
from audit.rules_in_force import RulesInForce
from audit.validation import TRIP_SCHEMA
from audit.window_sample import ENTITY_WINDOW_KEY
from backfill.correction_file import CorrectionFile
from backfill.window_range import WindowRange
from mobility.measures import MEASURE_SCHEMA, NULLABLE, STARTS, SUMS
from mobility.records import WINDOW_SCHEMA
from mobility.settings import Settings
from mobility.sketched_measures import sketches_named
from mobility.sketches.columns import sketches_in

ENTITY_WINDOW_SCHEMA: Final = pl.Schema([("entity", pl.String), *WINDOW_SCHEMA.items()])
"""Windows of all entities in one frame.

Behind these columns are those of the optional measures that are on, null where one is not computed
for an entity.
"""

_COMPARED: Final = (*ENTITY_WINDOW_KEY, *MEASURE_SCHEMA)
_POSITION: Final = ("partition", "offset")


@dataclass(frozen=True, slots=True)
class WindowChanges:
    """The windows that differ (ENTITY_WINDOW_SCHEMA).

    `after` has all of them with the new generation; a window that no trip is left of has a trip
    count of 0. `before` has those that existed.
    """

    before: pl.DataFrame
    after: pl.DataFrame


def recount(
    logged: pl.DataFrame,
    corrections: Sequence[CorrectionFile],
    window_range: WindowRange,
    settings: Settings,
    rules: RulesInForce | None = None,
) -> pl.DataFrame:
    """Return the windows of a range: ENTITY_WINDOW_KEY, and their measures, optional ones too.

    `logged` (LOGGED_TRIP_SCHEMA) has the trips of the log before those of `trips_late`. The
    corrections are in the order in which they were given, the newest last. Each trip of the log is
    judged by the `rules` that are in force for its offset, corrections by the newest.
    """
    trips = apply_corrections(logged, corrections).filter(window_range.contains())
    sketches = sketches_named(settings.measures)
    windows = aggregate_windows(drop_duplicates(trips), settings, rules, sketches)
    return windows.select(*_COMPARED, *(each.name for each in sketches))


def apply_corrections(logged: pl.DataFrame, corrections: Sequence[CorrectionFile]) -> pl.DataFrame:
    """Return the trips with the corrections applied.

    A trip at one position of the log counts once, also where several topics have a copy of it. Each
    file of corrections then replaces, in its range, the trips that have one of its trip_ids, also
    earlier corrections, and what the same file brought before. Of corrections in one file with
    one trip_id the last counts.
    """
    trips = logged.unique([*_POSITION, *TRIP_SCHEMA], keep="first", maintain_order=True)
    trips = trips.with_columns(sha256=pl.lit(None, pl.String))
    for file in corrections:
        has_trip_id = pl.col("trip_id").is_not_null()
        given = file.trips.filter(~has_trip_id | pl.col("trip_id").is_last_distinct())
        is_replaced = pl.col("trip_id").is_in(given["trip_id"].drop_nulls().implode())
        is_same_file = pl.col("sha256").eq_missing(pl.lit(file.sha256))
        is_removed = is_replaced.fill_null(value=False) | is_same_file
        kept = trips.filter(~(file.window_range.contains() & is_removed))
        added = given.select(
            pl.lit(None, pl.Int32).alias("partition"),
            pl.col("line").alias("offset"),
            "window_start",
            *TRIP_SCHEMA,
            pl.lit(file.sha256).alias("sha256"),
        )
        trips = pl.concat([kept, added])
    return trips


def drop_duplicates(trips: pl.DataFrame) -> pl.DataFrame:
    """Return each trip_id once a window: from the lowest partition and offset.

    After `apply_corrections` no other trip has the trip_id of a correction.
    """
    ordered = trips.sort(_POSITION, maintain_order=True)
    is_first = pl.struct("trip_id", "window_start").is_first_distinct()
    return ordered.filter(pl.col("trip_id").is_null() | is_first)


def diff_windows(wanted: pl.DataFrame, current: pl.DataFrame, generation: int) -> WindowChanges:
    """Return what must be written to turn the `current` windows into the `wanted` ones.

    `current` has ENTITY_WINDOW_SCHEMA. `wanted` has ENTITY_WINDOW_KEY, the measures, and every
    window that has trips: a window that only `current` has is emptied. One that lacks a measure,
    as it is from before that was added or switched on, differs, and gets it.
    """
    sketches = [each.name for each in sketches_in(wanted)]
    compared = [*_COMPARED, *sketches]
    current = _with_columns(current, sketches)
    filled = current.filter(pl.col("trip_count") > 0)
    emptied = filled.join(wanted, on=ENTITY_WINDOW_KEY, how="anti").select(
        *ENTITY_WINDOW_KEY,
        *(pl.lit(0, ENTITY_WINDOW_SCHEMA[name]).alias(name) for name in SUMS),
        *(pl.col("window_start").alias(name) for name in STARTS),
        *(pl.lit(None, ENTITY_WINDOW_SCHEMA[each.name]).alias(each.name) for each in NULLABLE),
        *(pl.when(pl.col(name).is_not_null()).then(b"").alias(name) for name in sketches),
    )
    emptied = emptied.select(compared)
    differing = wanted.select(compared).join(filled, on=compared, how="anti", nulls_equal=True)
    after = pl.concat([differing, emptied]).with_columns(
        pane=pl.lit("late"), generation=pl.lit(generation, pl.Int64)
    )
    return WindowChanges(
        before=current.join(after, on=ENTITY_WINDOW_KEY, how="semi").sort(ENTITY_WINDOW_KEY),
        after=after.select(*ENTITY_WINDOW_SCHEMA, *sketches).sort(ENTITY_WINDOW_KEY),
    )


def _with_columns(windows: pl.DataFrame, sketches: Sequence[str]) -> pl.DataFrame:
    """Return windows with a column for each of these sketches, null where there was none."""
    missing = [name for name in sketches if name not in windows.columns]
    return windows.with_columns(pl.lit(None, pl.Binary).alias(name) for name in missing)
