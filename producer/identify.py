"""`python -m producer.identify FILE...`: check files before anything starts.

It prints a `TripFileSet` as JSON. `just up FILE...` runs it first, and has its options.
"""

import argparse
import hashlib
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from mobility.settings import SettingsError, read_settings
from mobility.trip_files import TripFile, TripFileSet
from producer.formats.errors import TripsFileError
from producer.formats.input_files import trip_files
from producer.formats.join_tables import add_table_options, check_tables, table_options
from producer.formats.options import (
    FILES_HELP,
    ReadingOptions,
    add_reading_options,
    reading_options,
)
from producer.formats.trip_reader import open_trip_files

_DESCRIPTION: Final = "Run the whole system on the trips of files, in a workspace of their own."


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what the files are; return 0, or 2 if one can't be read as trips."""
    found = _parser().parse_args(arguments)
    try:
        identified = identify(found, refunds=read_settings(os.environ).refunds)
    except (OSError, SettingsError, TripsFileError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    sys.stdout.buffer.write(msgspec.json.encode(identified))
    return 0


def identify(found: argparse.Namespace, *, refunds: bool) -> TripFileSet:
    """Return what files are, by the options that `add_file_options` has parsed.

    Raises TripsFileError or OSError if one can't be read as trips.
    """
    reading = file_options(found)
    tables = table_options(found)
    check_tables(tables)
    with open_trip_files(found.files, replace(reading, refunds=refunds)) as reader:
        reader.check_amounts()
        timezones = reader.timezones
    return TripFileSet(
        given=tuple(map(str, found.files)),
        # What is left aside, the producer says once it reads the files.
        files=tuple(map(_identify, trip_files(found.files, lambda _name: None))),
        options=(*reading.arguments(), *(["--as-is"] if found.as_is else [])),
        mapping=_mapping(reading),
        tables={name: str(path) for name, path in tables.items()},
        rejects=found.rejects and str(found.rejects),
        timezones=timezones,
    )


def file_options(found: argparse.Namespace) -> ReadingOptions:
    """Return the options that say how files are read, with absolute paths."""
    reading = reading_options(found)
    if reading.columns is None:
        return reading
    return replace(reading, columns=reading.columns.absolute())


def add_file_options(parser: argparse.ArgumentParser) -> None:
    """Add files of trips, and the options that say what is sent of them, to a command's parser."""
    add = parser.add_argument
    add("files", type=_path, nargs="+", metavar="FILE", help=FILES_HELP)
    add("--as-is", action="store_true", help="send trips in the order of the files")
    add(
        "--rejects",
        type=_path,
        metavar="FILE",
        help="write the rows that are left out there, with their reasons, as NDJSON",
    )
    add_table_options(parser)
    add_reading_options(parser)


def _identify(path: Path) -> TripFile:
    return TripFile(str(path), path.stat().st_size, _sha256(path))


def _mapping(reading: ReadingOptions) -> str | None:
    return None if reading.columns is None else _sha256(reading.columns)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="just up",
        usage="just up FILE... [--name NAME] [options]",
        description=_DESCRIPTION,
        allow_abbrev=False,
    )
    add_file_options(parser)
    return parser


def _path(text: str) -> Path:
    return Path(text).absolute()


if __name__ == "__main__":
    sys.exit(main())
