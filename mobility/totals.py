"""Partial aggregates of trips, and how they merge into totals. Means are derived, never merged."""

from collections.abc import Collection, Iterable
from itertools import pairwise
from typing import Final

import polars as pl
import polars_hash as plh

from mobility.entities import Entity
from mobility.measures import MEASURE_SCHEMA, MEASURES, NULLABLE, SUBSTITUTES, SUMS, Measure
from mobility.records import PARTIAL_SCHEMA
from mobility.sketched_measures import Sketch
from mobility.sketches.columns import (
    canonical_columns,
    encoded_columns,
    records_of_trips,
    sketches_in,
)
from mobility.sketches.records import RECORDS

WINDOW_KEY: Final = ("id", "window_start")

_INPUTS: Final = tuple(dict.fromkeys(each.input for each in MEASURES if each.input is not None))

_SUMMED: Final = tuple(each.input for each in MEASURES if each.input and each.kind == "sum")

_COUNT_OF_INPUT: Final = {each.input: each.name for each in MEASURES if each.kind == "count"}

_NARROW: Final = ((pl.Int32(), 2**31 - 1), (pl.Int64(), 2**63 - 1))

_LACKS: Final = "_lacks"

_VERSION: Final = ("generation", "trip_count")
"""What decides between two versions of a window: the higher one counts."""


def aggregated_columns(entity: Entity, sketches: Iterable[Sketch] = ()) -> list[str]:
    """Return the columns of trips that `partial_totals` reads."""
    return list(
        dict.fromkeys(
            [entity.id_column, "window_start", *_INPUTS, *(each.input for each in sketches)]
        )
    )


def partial_totals(
    trips: pl.DataFrame, entity: Entity, sketches: Collection[Sketch] = ()
) -> pl.DataFrame:
    """Return the partial aggregates (PARTIAL_SCHEMA, and sketches) of each id and window.

    `trips` are counted trips with `window_start`; a trip without an id is left out. Sums have 64
    bits where those are enough, which is cheaper.
    """
    wide = pl.Int64() if _fits_64_bits(trips) else pl.Int128()
    partials = (
        trips.lazy()
        .filter(pl.col(entity.id_column).is_not_null())
        .with_columns(records_of_trips(sketches))
        .group_by(pl.col(entity.id_column).alias("id"), "window_start")
        .agg(
            *(_partial(measure, wide).alias(measure.name) for measure in MEASURES),
            *(pl.col(each.name).drop_nulls() for each in sketches),
        )
        .collect()
    )
    return canonical_columns(partials)


def merge_totals(partials: list[pl.DataFrame]) -> pl.DataFrame:
    """Return the totals of partial aggregates, in no particular order, as `narrowed` does."""
    if not partials:
        return pl.DataFrame(schema=PARTIAL_SCHEMA)
    rows = pl.concat(partials, how="vertical_relaxed")
    unknown = {each.name for each in NULLABLE if rows[each.name].null_count()}
    sketches = sketches_in(rows)
    totals = (
        rows.lazy()
        .group_by(WINDOW_KEY)
        .agg(
            *(_merged(each, may_lack=each.name in unknown) for each in MEASURES),
            *(pl.col(each.name).explode().drop_nulls() for each in sketches),
            *(pl.col(each.name).is_null().any().name.suffix(_LACKS) for each in sketches),
        )
        .with_columns(pl.when(~pl.col(each.name + _LACKS)).then(each.name) for each in sketches)
        .drop(each.name + _LACKS for each in sketches)
        .collect()
    )
    return canonical_columns(totals)


def running_totals(windows: pl.DataFrame) -> pl.DataFrame:
    """Return a row per id with the measures of all its windows, in no particular order.

    A window without trips, which a backfill can leave, counts for no minimum and no maximum.
    """
    return windows.group_by("id").agg(map(_of_windows, MEASURES))


def narrowed(totals: pl.DataFrame) -> pl.DataFrame:
    """Return totals (PARTIAL_SCHEMA) with each sum in the fewest bits that all rows fit into.

    Nearly all sums fit into 32 or 64 bits, and window state has millions of them.
    """
    lowest, highest = (
        totals.select(bound).row(0, named=True)
        for bound in (pl.col(SUMS).min(), pl.col(SUMS).max())
    )
    bounds = {name: max(highest[name], -lowest[name]) for name in SUMS}
    return totals.with_columns(
        pl.col(name).cast(next((kind for kind, most in _NARROW if bound <= most), pl.Int128()))
        for name, bound in bounds.items()
    )


def encoded(totals: pl.DataFrame) -> pl.DataFrame:
    """Return totals whose sketches are the bytes that windows have."""
    return encoded_columns(totals)


def with_sketches(totals: pl.DataFrame, sketches: Iterable[Sketch]) -> pl.DataFrame:
    """Return totals with a column for each of these sketches, and for no other.

    It is null where there was none: the trips of before are not in it.
    """
    known = totals.drop(each.name for each in sketches_in(totals) if each not in sketches)
    missing = (each.name for each in sketches if each.name not in known.columns)
    return known.with_columns(pl.lit(None, RECORDS).alias(name) for name in missing)


def upgrade_windows(windows: pl.DataFrame) -> pl.DataFrame:
    """Return windows, perhaps stored by an earlier release, with a column for each measure."""
    for before, measure in pairwise(MEASURES):
        if measure.name not in windows.columns:
            index = windows.columns.index(before.name) + 1
            windows = windows.clone().insert_column(index, _of_earlier(windows, measure))
    return windows


def with_substitutes(windows: pl.DataFrame) -> pl.DataFrame:
    """Return windows or totals, perhaps stored by an earlier release, with their substitutes.

    They have a column for each measure, null where the release did not have it.
    """
    return windows.with_columns(
        pl.col(name).fill_null(pl.col(substitute)) for name, substitute in SUBSTITUTES.items()
    )


def shard_of(column: str, shards: int) -> pl.Expr:
    """Return the number of the shard of the ids in a column: wyhash(id) mod shards.

    The state of a shard is stored under its number, so the hash must be the same in every version
    of everything.
    """
    hashed: pl.Expr = plh.col(column).nchash.wyhash()
    return hashed % shards


def split_by_shard(partials: pl.DataFrame, shards: int) -> dict[int, pl.DataFrame]:
    """Return the partial aggregates of each shard that has any."""
    if partials.is_empty():
        return {}
    shard = shard_of("id", shards).alias("shard")
    parts = partials.with_columns(shard).partition_by("shard", as_dict=True, include_key=False)
    return {int(key[0]): part for key, part in parts.items()}


def highest_versions(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row a window (WINDOW_SCHEMA): its highest version, sorted by id and window start.

    Of equal versions the last row stays, so that a pane moves from early to on_time. Ids are sorted
    by code point, which is the order of UTF-8 bytes: all writers lock ids in this order.
    """
    return rows.sort(*WINDOW_KEY, *_VERSION, maintain_order=True).unique(
        list(WINDOW_KEY), keep="last", maintain_order=True
    )


def _partial(measure: Measure, wide: pl.DataType) -> pl.Expr:
    """Return a measure of trips; sums have the type `wide`."""
    if measure.input is None:
        return pl.len().cast(MEASURE_SCHEMA[measure.name])
    column = pl.col(measure.input)
    if measure.kind == "count":
        return column.count().cast(MEASURE_SCHEMA[measure.name])
    return _combined(measure, column, wide)


def _merged(measure: Measure, *, may_lack: bool) -> pl.Expr:
    """Return a measure of all trips from those of parts of them.

    It is null for a part in which no trip has the input, and counts for nothing. Where trips have
    it, an earlier release has stored the part, and the measure is not known of the whole.
    """
    column = pl.col(measure.name)
    merged = _combined(measure, column, MEASURE_SCHEMA[measure.name])
    if not may_lack:
        return merged
    lacks = column.is_null() & (pl.col(_COUNT_OF_INPUT[measure.input]) > 0)
    return pl.when(~lacks.any()).then(merged)


def _of_earlier(windows: pl.DataFrame, measure: Measure) -> pl.Series:
    """Return the column of a measure that an earlier release did not have."""
    if measure.substitute is not None:
        return windows[measure.substitute].alias(measure.name)
    return pl.repeat(None, windows.height, dtype=measure.dtype, eager=True).alias(measure.name)


def _of_windows(measure: Measure) -> pl.Expr:
    column = pl.col(measure.name)
    if measure.kind in {"min", "max"}:
        column = column.filter(pl.col("trip_count") > 0)
    return _combined(measure, column, MEASURE_SCHEMA[measure.name]).alias(measure.name)


def _combined(measure: Measure, column: pl.Expr, wide: pl.DataType) -> pl.Expr:
    match measure.kind:
        case "min":
            return column.min()
        case "max":
            return column.max()
        case _:
            return column.cast(wide).sum()


def _fits_64_bits(trips: pl.DataFrame) -> bool:
    """Return whether any sum over some of the trips fits into 64 bits."""
    bounds = [abs(bound) for name in _SUMMED for bound in _bounds(trips[name])]
    return max(bounds, default=0) * trips.height < 2**63


def _bounds(amounts: pl.Series) -> list[int]:
    return [bound for bound in (amounts.min(), amounts.max()) if isinstance(bound, int)]
