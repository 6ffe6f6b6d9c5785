"""The options that say how trip files are read; the producer and a replay have the same."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from producer.formats.known_formats import FORMATS
from producer.formats.trip_format import KILOMETRES

FILES_HELP: Final = (
    "trips: parquet, CSV, NDJSON or JSON pages, also as .gz, .zst or .zip; or folders of such files"
)


@dataclass(frozen=True, slots=True)
class ReadingOptions:
    """What people say of their files; None is what the format says.

    `columns` is a TOML file with the mapping of columns. `refunds`: negative prices are valid.
    """

    format: str | None = None
    columns: Path | None = None
    timezone: str | None = None
    distance_unit: str | None = None
    vehicle_type: str | None = None
    refunds: bool = False

    def arguments(self) -> Iterator[str]:
        """Yield the options as arguments of a command; `refunds` is a setting, and not here."""
        for name in ("format", "columns", "timezone", "distance_unit", "vehicle_type"):
            if (given := getattr(self, name)) is not None:
                yield from (f"--{name.replace('_', '-')}", str(given))


def add_reading_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to a command's parser."""
    group = parser.add_argument_group("how files are read")
    add = group.add_argument
    add(
        "--format",
        choices=[each.name for each in FORMATS],
        metavar="NAME",
        help="the format of the files (recognised by their columns): "
        + ", ".join(each.name for each in FORMATS),
    )
    add(
        "--columns",
        type=Path,
        metavar="FILE.toml",
        help="a mapping of columns, as it is written for files of no known format",
    )
    add("--timezone", metavar="ZONE", help="IANA zone of local times (that of the format)")
    add(
        "--distance-unit",
        choices=[*KILOMETRES],
        help="the unit of distances (that of the format)",
    )
    add("--vehicle-type", metavar="TYPE", help="the vehicle type of all trips (that of the file)")


def reading_options(found: argparse.Namespace, *, refunds: bool = False) -> ReadingOptions:
    """Return the options that `add_reading_options` has parsed."""
    return ReadingOptions(
        found.format,
        found.columns,
        found.timezone,
        found.distance_unit,
        found.vehicle_type,
        refunds,
    )
