"""The tables that enrichment joins, read from parquet."""

from collections.abc import Callable
from functools import partial

import polars as pl

from mobility.enrichment import (
    TableError,
    Tables,
    drivers_table,
    locations_table,
    passengers_table,
)
from mobility.settings import Settings


def read_tables(settings: Settings) -> Tables:
    """Read the tables that the settings name; none is assumed.

    Raises TableError, with the file, where one can't be read or lacks a column.
    """
    locate = partial(locations_table, resolution=settings.h3_resolution)
    return Tables(
        drivers=_read("MOBILITY_DRIVERS", settings.drivers, drivers_table),
        passengers=_read("MOBILITY_PASSENGERS", settings.passengers, passengers_table),
        locations=_read("MOBILITY_LOCATIONS", settings.locations, locate),
    )


def _read(
    variable: str, path: str | None, prepare: Callable[[pl.DataFrame], pl.DataFrame]
) -> pl.DataFrame | None:
    if path is None:
        return None
    try:
        return prepare(pl.read_parquet(path))
    except (OSError, pl.exceptions.PolarsError, TableError) as error:
        msg = f"{variable}={path}: {error}"
        raise TableError(msg) from error
