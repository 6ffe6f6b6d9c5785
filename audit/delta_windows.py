"""The windows in the tables of Delta Lake, read as any client reads them (docs/stores.md)."""

import polars as pl

from audit.conversions import amounts_to_micro
from mobility.entities import Entity
from mobility.measures import COUNTS, STARTS
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
        *amounts_to_micro(lambda name: pl.col(name).cast(pl.String)),
    )
