"""The command line of a replay, and the environment that it gives to the system's commands."""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

TABLES: Final = ("drivers", "passengers", "locations")

_DESCRIPTION: Final = (
    "Send a file of trips once through the whole system and compare every answer with one batch "
    "computation. Exits 0 only where nothing differs."
)


@dataclass(frozen=True, slots=True)
class Options:
    """The command line; paths are absolute."""

    file: Path
    out: Path | None
    as_is: bool
    partitions: int | None
    processes: int
    tables: dict[str, Path]


def parse(arguments: Sequence[str] | None) -> Options:
    """Read the command line; exit with 2 where it makes no sense."""
    parser = argparse.ArgumentParser(prog="just replay", description=_DESCRIPTION)
    add = parser.add_argument
    add("file", metavar="FILE", type=_path, help="trips, a parquet file")
    add("--out", metavar="DIR", type=_path, help="write what each store holds there, as parquet")
    add("--as-is", action="store_true", help="keep the file's order, disorder and all")
    add("--partitions", metavar="N", type=_positive, help="partitions of every topic (4)")
    add("--processes", metavar="N", type=_positive, default=1, help="processes of the flow (1)")
    for name in TABLES:
        add(f"--{name}", metavar="FILE", type=_path, help=f"table of {name}, a parquet file (none)")
    found = parser.parse_args(arguments)
    tables = {name: path for name in TABLES if (path := getattr(found, name)) is not None}
    return Options(found.file, found.out, found.as_is, found.partitions, found.processes, tables)


def check_files(options: Options) -> None:
    """Raise OSError, naming the file, where one of them is no readable parquet."""
    for path in (options.file, *options.tables.values()):
        try:
            pl.read_parquet_schema(path)
        except (OSError, pl.exceptions.PolarsError) as error:
            msg = f"{path}: not a readable parquet file: {error}"
            raise OSError(msg) from error


def environment(
    base: Mapping[str, str], options: Options, scratch: Path, port: int
) -> dict[str, str]:
    """Return the environment of the system's commands.

    Settings that change answers pass through. Tables do not: a file brings its own, by option.
    """
    ours = {
        "MOBILITY_READ": "once",
        "MOBILITY_STORES": "redis,postgres",
        "MOBILITY_STATUS_DIR": str(scratch),
        "MOBILITY_API_HOST": "127.0.0.1",
        "MOBILITY_API_PORT": str(port),
        # It is asked for every id, as fast as it answers, and by nobody else.
        "MOBILITY_API_RATE": "0",
        **{f"MOBILITY_{name.upper()}": str(path) for name, path in options.tables.items()},
    }
    if options.partitions is not None:
        ours["MOBILITY_PARTITIONS"] = str(options.partitions)
    foreign = {f"MOBILITY_{name.upper()}" for name in (*TABLES, "api_tokens")}
    kept = {name: value for name, value in base.items() if name not in foreign}
    root = str(Path(__file__).resolve().parent.parent)
    paths = [root, *filter(None, [base.get("PYTHONPATH")])]
    # A folder of the caller's that is called `api` must not be run in the place of ours.
    return kept | ours | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1"}


def _path(text: str) -> Path:
    return Path(text).absolute()


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        msg = f"expected at least 1, is {text}"
        raise argparse.ArgumentTypeError(msg)
    return number
