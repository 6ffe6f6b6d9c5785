"""`python -m data`: write the sample files."""

import argparse
import sys
from pathlib import Path
from typing import Final

import polars as pl

from data.city import locations
from data.people import drivers, passengers
from data.trips import trips
from mobility.arguments import positive_int

TRIPS: Final = 120_000
SEED: Final = 20250602
_DESCRIPTION: Final = "Generate the sample files; the same arguments write the same bytes."


def main(arguments: list[str] | None = None) -> int:
    """Write the four files and print their paths; return the exit code."""
    options = _parser().parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    for name, table in tables(options.trips, options.seed).items():
        path = options.out / f"{name}.parquet"
        write(table, path)
        sys.stdout.write(f"{path}: {table.height:,} rows, {path.stat().st_size:,} bytes\n")
    return 0


def tables(rows: int, seed: int) -> dict[str, pl.DataFrame]:
    """Return the tables by name; with more trips there are more drivers and passengers."""
    driver_table = drivers(seed, max(500, rows // 240))
    passenger_table = passengers(seed, max(5_000, rows // 24))
    return {
        "trips": trips(seed, rows, driver_table, passenger_table),
        "drivers": driver_table,
        "passengers": passenger_table,
        "locations": locations(),
    }


def write(table: pl.DataFrame, path: Path) -> None:
    """Write a table with all options that determine its bytes."""
    table.rechunk().write_parquet(
        path,
        compression="zstd",
        compression_level=9,
        row_group_size=50_000,
        data_page_size=1_048_576,
        statistics=True,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="just data", description=_DESCRIPTION)
    parser.add_argument(
        "--trips",
        type=positive_int,
        default=TRIPS,
        metavar="N",
        help="number of trips (%(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=SEED,
        metavar="S",
        help="seed of the random numbers (%(default)s)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(__file__).parent,
        metavar="DIR",
        help="folder for the files (that of this module)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
