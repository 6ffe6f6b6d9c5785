"""Tables that are joined to trips: drivers, passengers, locations. Their options, and their files.

The flow reads parquet with columns of certain names. A table in another kind of file, or with other
names of columns, is written as such a file first.
"""

import argparse
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import polars as pl

from mobility.settings import TABLES
from producer.formats.csv_layout import read_layout
from producer.formats.errors import TripsFileError
from producer.formats.input_files import InputFile, open_inputs
from producer.formats.raw_batches import open_rows
from producer.formats.reading_plan import find_column
from producer.formats.scratch_folder import scratch_folder
from producer.formats.trip_format import Column
from producer.formats.values import as_location, as_numbers, as_text, has_decimal_comma, has_value

_NAMES: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "drivers": {
        "driver_id": ("driver_id", "driver", "id"),
        "vehicle_type": ("vehicle_type", "vehicle", "type"),
    },
    "passengers": {"passenger_id": ("passenger_id", "passenger", "id")},
    "locations": {
        "location_id": ("location_id", "zone_id", "station_id", "id"),
        "lat": ("lat", "latitude"),
        "lng": ("lng", "lon", "long", "longitude"),
    },
}
"""The columns that a table needs, with the names that files have for them."""

_DEGREES: Final = ("lat", "lng")


def add_table_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for each table to a command's parser."""
    for name in TABLES:
        columns = ", ".join(_NAMES[name])
        parser.add_argument(
            f"--{name}",
            metavar="FILE",
            type=_path,
            help=f"table of {name} to join, parquet or CSV with the columns {columns} (none)",
        )


def table_options(found: argparse.Namespace) -> dict[str, Path]:
    """Return the tables that are named, with absolute paths."""
    return {name: path for name in TABLES if (path := getattr(found, name)) is not None}


def check_tables(tables: Mapping[str, Path]) -> None:
    """Raise TripsFileError, with the file's name, if one of the tables can't be joined."""
    for name, path in tables.items():
        if not _is_ready(name, path):
            read_table(name, path)


def prepare_tables(tables: Mapping[str, Path], folder: Path) -> dict[str, Path]:
    """Return the tables as files that the flow reads, which are written to `folder`.

    A file that was moved since is taken from there. Raises TripsFileError as `check_tables`, and
    OSError where the folder can't be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    prepared = {name: folder / f"{name}.parquet" for name in tables}
    for name, path in tables.items():
        if _is_ready(name, path):
            shutil.copyfile(path, prepared[name])
        elif path.exists() or not prepared[name].exists():
            read_table(name, path).write_parquet(prepared[name])
    return prepared


def is_prepared_as(name: str, path: Path, prepared: Path) -> bool:
    """Tell whether `prepared` is what a table is written as. Raises TripsFileError."""
    with scratch_folder("mobility-table-") as scratch:
        (found,) = prepare_tables({name: path}, scratch).values()
        return found.read_bytes() == prepared.read_bytes()


def read_table(name: str, path: Path) -> pl.DataFrame:
    """Return a table with the columns that it needs by their names; further ones are kept.

    Names may be written in any case. Ids are text, `lat` and `lng` Float64 (degrees). Raises
    TripsFileError.
    """
    with scratch_folder("mobility-table-") as scratch:
        files = list(open_inputs([path], scratch, lambda _name: None))
        if len(files) != 1:
            msg = f"{path}: {len(files)} files; a table of {name} is one"
            raise TripsFileError(msg)
        return _converted(name, files[0])


def _is_ready(name: str, path: Path) -> bool:
    """Tell whether the flow can read a table as it is."""
    try:
        columns = pl.scan_parquet(path, glob=False).collect_schema().names()
    except (OSError, pl.exceptions.PolarsError):
        return False
    return set(_NAMES[name]) <= set(columns)


def _converted(name: str, file: InputFile) -> pl.DataFrame:
    rows = _read_rows(file)
    wanted: dict[str, str] = {}
    for column, names in _NAMES[name].items():
        found = find_column(Column(names), rows.columns)
        if found is None:
            msg = (
                f"{file.name}: the table of {name} has no {column} (nor another of "
                f"{', '.join(names)}); its columns are {', '.join(rows.columns)}"
            )
            raise TripsFileError(msg)
        wanted[column] = found.names[0]
    others = [each for each in rows.columns if each not in (*wanted.values(), *wanted)]
    columns = [_values(file, column, rows[found]) for column, found in wanted.items()]
    return pl.DataFrame([*columns, *(rows[each] for each in others)])


def _read_rows(file: InputFile) -> pl.DataFrame:
    parts = list(open_rows(file).batches())
    for part in parts:
        for row, reason in part.malformed.select("row", "reason").iter_rows():
            msg = f"{file.name}: row {row}: {reason}"
            raise TripsFileError(msg)
    rows = pl.concat((part.rows for part in parts), how="diagonal_relaxed") if parts else None
    if rows is None or rows.is_empty():
        msg = f"{file.name}: the file has no rows"
        raise TripsFileError(msg)
    return rows


def _values(file: InputFile, column: str, found: pl.Series) -> pl.Series:
    """Return the values of a column that the table needs."""
    if column not in _DEGREES:
        return (as_location if column == "location_id" else as_text)(found).alias(column)
    is_text = isinstance(found.dtype, pl.String)
    separator = read_layout(file).separator if is_text and file.kind == "csv" else ""
    comma = is_text and has_decimal_comma([found], separator)
    numbers = as_numbers(found, decimal_comma=comma, grouped=False).alias(column)
    unreadable = (has_value(found) & numbers.is_null()).arg_true()
    if not unreadable.is_empty():
        row = unreadable[0]
        msg = f"{file.name}: row {row + 1}: {found.name} is {found[row]!r}, expected degrees"
        raise TripsFileError(msg)
    return numbers


def _path(text: str) -> Path:
    return Path(text).absolute()
