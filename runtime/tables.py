"""The tables that enrichment joins, read from parquet."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

import polars as pl

from mobility.enrichment import (
    TableError,
    Tables,
    check_places,
    drivers_table,
    locations_table,
    passengers_table,
)
from mobility.settings import PREFIX, TABLES, Settings

T = TypeVar("T")


def configured_tables(settings: Settings) -> dict[str, Path]:
    """Return the files that the settings name; none is assumed."""
    return {name: Path(path) for name in TABLES if (path := getattr(settings, name)) is not None}


def read_tables(files: Mapping[str, Path], settings: Settings) -> Tables:
    """Read the tables from these files, by the settings that name them.

    Raises TableError, with the setting, where one can't be read or lacks a column.
    """
    locate = partial(locations_table, resolution=settings.h3_resolution)
    return Tables(
        drivers=_read("drivers", files, settings, drivers_table),
        passengers=_read("passengers", files, settings, passengers_table),
        locations=_read("locations", files, settings, locate),
    )


def read_new_tables(files: Mapping[str, Path], settings: Settings) -> Tables:
    """Read tables that are not in force yet: what is certainly a mistake is refused, too.

    Raises TableError, with the setting.
    """
    tables = read_tables(files, settings)
    _read("locations", files, settings, check_places)
    return tables


def _read(
    name: str,
    files: Mapping[str, Path],
    settings: Settings,
    prepare: Callable[[pl.DataFrame], T],
) -> T | None:
    if name not in files:
        return None
    try:
        return prepare(pl.read_parquet(files[name], glob=False))
    except (OSError, pl.exceptions.PolarsError, TableError) as error:
        msg = f"{PREFIX}{name.upper()}={getattr(settings, name)}: {error}"
        raise TableError(msg) from error
