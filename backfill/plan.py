"""The plan of a backfill: recounted windows and what they change. Pure, frames in, frames out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from backfill.correction_file import CorrectionFile
from backfill.log_batch import POSITION_SCHEMA
from backfill.trip_files import LOGGED_TRIP_SCHEMA, TripFiles
from backfill.window_range import WindowRange
from mobility.enrichment import Tables, enrich
from mobility.entities import ENTITIES, Entity
from mobility.measures import MEASURE_SCHEMA, NULLABLE, STARTS, SUMS
from mobility.records import WINDOW_SCHEMA
from mobility.settings import Settings
from mobility.sketched_measures import sketches_named, sketches_of
from mobility.sketches.columns import sketches_in
from mobility.totals import encoded, partial_totals

ENTITY_WINDOW_KEY: Final = ("entity", "id", "window_start")

ENTITY_WINDOW_SCHEMA: Final = pl.Schema([("entity", pl.String), *WINDOW_SCHEMA.items()])
"""Windows of all entities in one frame.

Behind these columns are those of the optional measures that are on, null where one is not computed
for an entity.
"""

_COMPARED: Final = (*ENTITY_WINDOW_KEY, *MEASURE_SCHEMA)
_POSITION: Final = tuple(POSITION_SCHEMA)


@dataclass(frozen=True, slots=True)
class WindowChanges:
    """The windows that differ (ENTITY_WINDOW_SCHEMA), in no particular order.

    `after` has all of them with the new generation; a window that no trip is left of has a trip
    count of 0. `before` has those that existed.
    """

    before: pl.DataFrame
    after: pl.DataFrame


@dataclass(frozen=True, slots=True)
class GivenTrips:
    """The corrections of one file, as `apply_corrections` takes them.

    `trips` (LOGGED_TRIP_SCHEMA) have no partition, and the line as their offset. Of those with one
    trip_id the last is left.
    """

    sha256: str
    window_range: WindowRange
    trips: pl.DataFrame


def given_trips(file: CorrectionFile, tables: Tables, settings: Settings) -> GivenTrips:
    """Return the corrections of a file, enriched by these tables."""
    has_trip_id = pl.col("trip_id").is_not_null()
    last = file.trips.filter(~has_trip_id | pl.col("trip_id").is_last_distinct())
    trips = enrich(last, tables, settings).with_columns(
        partition=pl.lit(None, pl.Int32), offset=pl.col("line")
    )
    return GivenTrips(file.sha256, file.window_range, trips.select(LOGGED_TRIP_SCHEMA.names()))


def plan_changes(
    files: TripFiles,
    given: Sequence[GivenTrips],
    current: pl.DataFrame,
    settings: Settings,
    generation: int,
) -> WindowChanges:
    """Return what turns the `current` windows of a range into those of its trips.

    The corrections are in the order in which they were given, the newest last.
    """
    starts = [current["window_start"], *(each.trips["window_start"] for each in given)]
    return joined_changes(
        diff_windows(
            recount(files.read(part), given, part, settings),
            current.filter(part.contains()),
            generation,
        )
        for part in files.parts(*starts)
    )


def recount(
    logged: pl.DataFrame,
    given: Sequence[GivenTrips],
    window_range: WindowRange,
    settings: Settings,
) -> pl.DataFrame:
    """Return the windows of a range: ENTITY_WINDOW_KEY, and their measures, optional ones too.

    `logged` (LOGGED_TRIP_SCHEMA) has the trips of the log before those of `trips_late`. The
    corrections are in the order in which they were given, the newest last.
    """
    trips = apply_corrections(drop_copies(logged), given).filter(window_range.contains())
    counted = drop_duplicates(trips)
    names = [each.name for each in sketches_named(settings.measures)]
    # A sketch that is not computed for an entity is null there.
    windows = pl.concat(
        [_aggregate(counted, entity, settings) for entity in ENTITIES], how="diagonal"
    )
    return windows.select(*_COMPARED, *names)


def drop_copies(logged: pl.DataFrame) -> pl.DataFrame:
    """Return each trip at one position once, in the order of positions.

    Several topics may have a copy of it. Another trip there is of a topic that was deleted since.
    """
    ordered = logged.sort(_POSITION, maintain_order=True)
    position = pl.struct(_POSITION)
    if not ordered.select((position == position.shift()).any()).item():
        return ordered
    return ordered.unique(keep="first", maintain_order=True)


def apply_corrections(trips: pl.DataFrame, given: Sequence[GivenTrips]) -> pl.DataFrame:
    """Return trips (LOGGED_TRIP_SCHEMA) with the corrections applied.

    Each file of corrections replaces, in its range, the trips that have one of its trip_ids, also
    earlier corrections, and what the same file brought before.
    """
    trips = trips.with_columns(sha256=pl.lit(None, pl.String))
    for file in given:
        is_replaced = pl.col("trip_id").is_in(file.trips["trip_id"].drop_nulls().implode())
        is_same_file = pl.col("sha256").eq_missing(pl.lit(file.sha256))
        is_removed = is_replaced.fill_null(value=False) | is_same_file
        kept = trips.filter(~(file.window_range.contains() & is_removed))
        trips = pl.concat([kept, file.trips.with_columns(sha256=pl.lit(file.sha256))])
    return trips


def drop_duplicates(trips: pl.DataFrame) -> pl.DataFrame:
    """Return each trip_id once a window: from the lowest partition and offset.

    The trips of the log are in the order of their positions. After `apply_corrections` no other
    trip has the trip_id of a correction.
    """
    is_first = pl.struct("trip_id", "window_start").is_first_distinct()
    return trips.filter(pl.col("trip_id").is_null() | is_first)


def joined_changes(parts: Iterable[WindowChanges]) -> WindowChanges:
    """Return the changes of all parts of a range, of which there is at least one."""
    found = list(parts)
    return WindowChanges(
        before=pl.concat([each.before for each in found]),
        after=pl.concat([each.after for each in found]),
    )


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
        before=current.join(after, on=ENTITY_WINDOW_KEY, how="semi"),
        after=after.select(*ENTITY_WINDOW_SCHEMA, *sketches),
    )


def _with_columns(windows: pl.DataFrame, sketches: Sequence[str]) -> pl.DataFrame:
    """Return windows with a column for each of these sketches, null where there was none."""
    missing = [name for name in sketches if name not in windows.columns]
    return windows.with_columns(pl.lit(None, pl.Binary).alias(name) for name in missing)


def _aggregate(trips: pl.DataFrame, entity: Entity, settings: Settings) -> pl.DataFrame:
    """Return the windows of trips for one entity, with the sketches that are computed for it."""
    partials = partial_totals(trips, entity, sketches_of(entity, settings.measures))
    measures = partials.with_columns(
        pl.col(name).cast(dtype) for name, dtype in MEASURE_SCHEMA.items()
    )
    return encoded(measures).select(pl.lit(entity.name).alias("entity"), pl.all())
