"""Partial aggregates of trips, and how they merge into totals. Means are derived, never merged."""

from typing import Final

import polars as pl
import polars_hash as plh

from mobility.entities import Entity
from mobility.records import PARTIAL_SCHEMA, SUMS

WINDOW_KEY: Final = ("id", "window_start")

_AMOUNTS: Final = {
    "total_duration": "duration",
    "total_distance": "distance",
    "total_revenue": "revenue",
}

SUMMED: Final = ("window_start", "start_time", *_AMOUNTS.values())
"""The columns of trips that are aggregated, beside the id."""

_NARROW: Final = ((pl.Int32(), 2**31 - 1), (pl.Int64(), 2**63 - 1))

_VERSION: Final = ("generation", "trip_count")
"""What decides between two editions of a window: the higher one counts."""


def partial_totals(trips: pl.DataFrame, entity: Entity) -> pl.DataFrame:
    """Return the partial aggregates (PARTIAL_SCHEMA) of the trips of each id and window.

    `trips` are counted trips with `window_start`; a trip without an id is left out. Sums have 64
    bits where those are enough, which is cheaper.
    """
    wide = pl.Int64() if _fits_64_bits(trips) else pl.Int128()
    return (
        trips.lazy()
        .filter(pl.col(entity.id_column).is_not_null())
        .group_by(pl.col(entity.id_column).alias("id"), "window_start")
        .agg(
            pl.len().cast(pl.Int64).alias("trip_count"),
            *(pl.col(name).cast(wide).sum().alias(total) for total, name in _AMOUNTS.items()),
            pl.col("start_time").min(),
            pl.col("start_time").max().alias("last_start_time"),
        )
        .collect()
    )


def merge_totals(partials: list[pl.DataFrame]) -> pl.DataFrame:
    """Return the totals of partial aggregates, in no particular order, as `narrowed` does."""
    if not partials:
        return pl.DataFrame(schema=PARTIAL_SCHEMA)
    sums = [pl.col(name).cast(PARTIAL_SCHEMA[name]).sum() for name in SUMS]
    totals = pl.concat(partials, how="vertical_relaxed").lazy().group_by(WINDOW_KEY)
    starts = pl.col("start_time").min(), pl.col("last_start_time").max()
    return totals.agg(*sums, *starts).collect()


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


def upgrade_windows(windows: pl.DataFrame) -> pl.DataFrame:
    """Return windows, perhaps stored by an earlier release, with both columns of STARTS."""
    if "last_start_time" in windows.columns:
        return windows
    index = windows.columns.index("start_time") + 1
    return windows.clone().insert_column(index, windows["start_time"].alias("last_start_time"))


def split_by_shard(partials: pl.DataFrame, shards: int) -> dict[int, pl.DataFrame]:
    """Return the partial aggregates of each shard that has any.

    The shard of an id is wyhash(id) mod shards: the state of a shard is stored under its number,
    so the hash must be the same in every version of everything.
    """
    if partials.is_empty():
        return {}
    shard = (plh.col("id").nchash.wyhash() % shards).alias("shard")
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


def _fits_64_bits(trips: pl.DataFrame) -> bool:
    """Return whether any sum over some of the trips fits into 64 bits."""
    bounds = [abs(bound) for name in _AMOUNTS.values() for bound in _bounds(trips[name])]
    return max(bounds, default=0) * trips.height < 2**63


def _bounds(amounts: pl.Series) -> list[int]:
    return [bound for bound in (amounts.min(), amounts.max()) if isinstance(bound, int)]
