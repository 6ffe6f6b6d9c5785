"""The command line of a replay, and the environment of the commands that it runs."""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from mobility.arguments import positive_int, processes_of_a_flow
from mobility.settings import TABLES
from producer.formats.join_tables import add_table_options, table_options
from producer.formats.options import (
    FILES_HELP,
    ReadingOptions,
    add_reading_options,
    reading_options,
)

_DESCRIPTION: Final = (
    "Send files of trips once through the whole system and compare every result with one batch "
    "computation. The exit code is 0 only if nothing differs."
)


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """The command line; paths are absolute."""

    files: tuple[Path, ...]
    reading: ReadingOptions
    rejects: Path | None
    out: Path | None
    as_is: bool
    partitions: int | None
    processes: int
    tables: dict[str, Path]


def parse_options(arguments: Sequence[str] | None) -> ReplayOptions:
    """Parse the command line; exit with 2 if it is not valid."""
    parser = argparse.ArgumentParser(prog="just replay", description=_DESCRIPTION)
    add = parser.add_argument
    add("files", metavar="FILE", type=_path, nargs="+", help=FILES_HELP)
    add("--out", metavar="DIR", type=_path, help="write what each store holds there, as parquet")
    add("--as-is", action="store_true", help="send trips in the order of the files")
    add(
        "--rejects",
        metavar="FILE",
        type=_path,
        help="write the rows that are left out there, with their reasons, as NDJSON",
    )
    add("--partitions", metavar="N", type=positive_int, help="partitions of every topic (4)")
    add(
        "--processes",
        metavar="N",
        type=processes_of_a_flow,
        default=1,
        help="processes of the flow (1)",
    )
    add_table_options(parser)
    add_reading_options(parser)
    found = parser.parse_args(arguments)
    reading = reading_options(found)
    if reading.columns is not None:
        reading = replace(reading, columns=reading.columns.absolute())
    return ReplayOptions(
        files=tuple(found.files),
        reading=reading,
        rejects=found.rejects,
        out=found.out,
        as_is=found.as_is,
        partitions=found.partitions,
        processes=found.processes,
        tables=table_options(found),
    )


def command_environ(
    base: Mapping[str, str], options: ReplayOptions, scratch: Path, port: int
) -> dict[str, str]:
    """Return the environment of the system's commands.

    Settings that change results are passed on. Tables are not: the options name them.
    """
    ours = {
        "MOBILITY_READ": "once",
        "MOBILITY_STORES": "redis,postgres",
        "MOBILITY_STATUS_DIR": str(scratch),
        "MOBILITY_API_HOST": "127.0.0.1",
        "MOBILITY_API_PORT": str(port),
        # The replay requests every id as fast as the API answers, and is its only client.
        "MOBILITY_API_RATE": "0",
        # All windows are compared.
        "MOBILITY_RETENTION": "",
        **{f"MOBILITY_{name.upper()}": str(path) for name, path in options.tables.items()},
    }
    if options.partitions is not None:
        ours["MOBILITY_PARTITIONS"] = str(options.partitions)
    removed = {f"MOBILITY_{name.upper()}" for name in (*TABLES, "api_tokens")}
    kept = {name: value for name, value in base.items() if name not in removed}
    root = str(Path(__file__).resolve().parent.parent)
    paths = [root, *filter(None, [base.get("PYTHONPATH")])]
    # A folder `api` in the caller's folder must not be imported in place of the project's.
    return kept | ours | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1"}


def _path(text: str) -> Path:
    return Path(text).absolute()
