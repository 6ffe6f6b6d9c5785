"""`python -m data`: write the sample files."""

import argparse
import sys
from pathlib import Path
from typing import Final

import polars as pl

from data.city import locations
from data.people import drivers, passengers
from data.trips import trips

TRIPS: Final = 120_000
SEED: Final = 20250602


def main(arguments: list[str] | None = None) -> int:
    """Write the four files and say where; return the exit code."""
    options = _parser().parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    for name, table in tables(options.trips, options.seed).items():
        path = options.out / f"{name}.parquet"
        write(table, path)
        sys.stdout.write(f"{path}: {table.height:,} rows, {path.stat().st_size:,} bytes\n")
    return 0


def tables(rows: int, seed: int) -> dict[str, pl.DataFrame]:
    """Return the tables by name; drivers and passengers grow with the number of trips."""
    riding = drivers(seed, max(500, rows // 240))
    ridden = passengers(seed, max(5_000, rows // 24))
    return {
        "trips": trips(seed, rows, riding, ridden),
        "drivers": riding,
        "passengers": ridden,
        "locations": locations(),
    }


def write(table: pl.DataFrame, path: Path) -> None:
    """Write a table with every choice pinned that decides on bytes."""
    table.rechunk().write_parquet(
        path,
        compression="zstd",
        compression_level=9,
        row_group_size=50_000,
        data_page_size=1_048_576,
        statistics=True,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m data", description=__doc__)
    parser.add_argument(
        "--trips", type=_positive, default=TRIPS, metavar="N", help="number of trips (%(default)s)"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=SEED,
        metavar="S",
        help="another seed, another day (%(default)s)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(__file__).parent,
        metavar="DIR",
        help="folder to write to (beside this module)",
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        msg = f"expected at least 1, is {number}"
        raise argparse.ArgumentTypeError(msg)
    return number


if __name__ == "__main__":
    sys.exit(main())
