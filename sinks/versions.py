"""The versions of a window: `(generation, trip_count)`, of which the highest counts."""

import polars as pl

KEY = ("id", "window_start")
VERSION = ("generation", "trip_count")


def highest_versions(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the highest version of each window (WINDOW_SCHEMA), sorted by id and window start.

    Of equal versions the last row stays, so that a pane moves from early to on_time. Ids are sorted
    by code point, which is the order of UTF-8 bytes: all writers lock ids in this order.
    """
    return rows.sort(*KEY, *VERSION, maintain_order=True).unique(
        list(KEY), keep="last", maintain_order=True
    )
