"""The options that name tables which are joined to trips: drivers, passengers, locations."""

import argparse
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from mobility.settings import TABLES


def add_table_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for each table to a command's parser."""
    for name in TABLES:
        parser.add_argument(
            f"--{name}", metavar="FILE", type=_path, help=f"table of {name}, a parquet file (none)"
        )


def table_options(found: argparse.Namespace) -> dict[str, Path]:
    """Return the tables that are named, with absolute paths."""
    return {name: path for name in TABLES if (path := getattr(found, name)) is not None}


def check_tables(tables: Mapping[str, Path]) -> None:
    """Raise OSError, with the file's name, if one of the tables is not readable parquet."""
    for path in tables.values():
        try:
            pl.scan_parquet(path, glob=False).collect_schema()
        except (OSError, pl.exceptions.PolarsError) as error:
            msg = f"{path}: not a readable parquet file: {error}"
            raise OSError(msg) from error


def _path(text: str) -> Path:
    return Path(text).absolute()
