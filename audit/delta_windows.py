"""The windows in the tables of Delta Lake, read as any client reads them (docs/stores.md)."""

import polars as pl

from audit.conversions import decimal_to_micro
from mobility.entities import Entity
from mobility.measures import AMOUNTS, COUNTS, MEASURE_SCHEMA, STARTS
from mobility.settings import Settings


def read_delta(settings: Settings, entity: Entity) -> pl.DataFrame:
    """Return the windows of an entity: its name, id, times in epoch ms, amounts in micro-units."""
    rows = pl.read_delta(f"{settings.delta}/{entity.name}")
    newest = rows.sort("commit_version").unique(["id", "window_start"], keep="last")
    return newest.select(
        pl.lit(entity.name).alias("entity"),
        "id",
        pl.col("window_start", *STARTS).dt.epoch("ms"),
        "generation",
        pl.col(COUNTS),
        *(
            decimal_to_micro(pl.col(name).cast(pl.String)).cast(MEASURE_SCHEMA[name]).alias(name)
            for name in AMOUNTS
        ),
    )
