"""Partial aggregates of trips, and how they merge into totals. Means are derived, never merged."""

from typing import Final

import polars as pl
import polars_hash as plh

from mobility.entities import Entity
from mobility.records import PARTIAL_SCHEMA

KEY: Final = ("id", "window_start")

SUMMED: Final = ("window_start", "start_time", "duration", "distance", "revenue")
"""The columns of trips that are aggregated, beside the id."""

_VERSION: Final = ("generation", "trip_count")
"""What decides between two editions of a window: the higher one counts."""

_SUMS: Final = ("trip_count", "total_duration", "total_distance", "total_revenue")


def partial_totals(trips: pl.DataFrame, entity: Entity) -> pl.DataFrame:
    """Return the partial aggregates (PARTIAL_SCHEMA) of the trips of each id and window.

    `trips` are counted trips with `window_start`; a trip without an id is left out.
    """
    return (
        trips.lazy()
        .filter(pl.col(entity.id_column).is_not_null())
        .group_by(pl.col(entity.id_column).alias("id"), "window_start")
        .agg(
            trip_count=pl.len().cast(pl.Int64),
            total_duration=pl.col("duration").sum(),
            total_distance=pl.col("distance").sum(),
            total_revenue=pl.col("revenue").sum(),
            start_time=pl.col("start_time").min(),
            last_start_time=pl.col("start_time").max(),
        )
        .collect()
    )


def merge_totals(partials: list[pl.DataFrame], *, changed: bool = False) -> pl.DataFrame:
    """Return the totals (PARTIAL_SCHEMA) of partial aggregates, in no particular order.

    With `changed`, the frames have that flag too: a total has it if one of its parts has it.
    """
    if not partials:
        return pl.DataFrame(schema=PARTIAL_SCHEMA)
    flags = [pl.col("changed").any()] if changed else []
    sums = [pl.col(name).sum() for name in _SUMS]
    totals = pl.concat(partials).lazy().group_by(KEY)
    starts = pl.col("start_time").min(), pl.col("last_start_time").max()
    return totals.agg(*sums, *starts, *flags).collect()


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
    return rows.sort(*KEY, *_VERSION, maintain_order=True).unique(
        list(KEY), keep="last", maintain_order=True
    )
