"""The command line of a backfill."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

RECORDS: Final = Path(".mobility/backfills")

_DESCRIPTION: Final = (
    "Recount whole closed windows from the log, late trips and corrections. Shows what would "
    "change; writes only with --apply."
)


@dataclass(frozen=True, slots=True)
class Options:
    """The command line: `start` and `end` stand together, else `listed` or `take_back` does."""

    start: str
    end: str
    corrections: tuple[Path, ...]
    take_back: str | None
    listed: bool
    apply: bool
    unrecorded: bool
    records: Path


def parse(arguments: Sequence[str] | None) -> Options:
    """Read the command line; exit with 2 and a word on it where it makes no sense."""
    parser = _parser()
    found = parser.parse_args(arguments)
    wanted = [found.start is not None or found.end is not None, found.take_back, found.listed]
    if sum(map(bool, wanted)) != 1:
        parser.error("give either --from and --to, or --take-back, or --list")
    if wanted[0] and (found.start is None or found.end is None):
        parser.error("a range needs both --from and --to")
    if found.corrections and not wanted[0]:
        parser.error("--with needs a range: --from and --to")
    return Options(
        start=found.start or "",
        end=found.end or "",
        corrections=tuple(found.corrections),
        take_back=found.take_back,
        listed=found.listed,
        apply=found.apply,
        unrecorded=found.unrecorded,
        records=found.records,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="just backfill", description=_DESCRIPTION)
    add = parser.add_argument
    add("--from", dest="start", metavar="T", help="start of the first window, ISO 8601")
    add("--to", dest="end", metavar="T", help="end of the last window, ISO 8601")
    add(
        "--with",
        dest="corrections",
        metavar="FILE",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        help="trips that replace those with their trip_id, or come in addition: NDJSON or parquet",
    )
    add("--apply", action="store_true", help="write it")
    add("--take-back", metavar="ID", help="restore the windows from before a backfill")
    add("--list", dest="listed", action="store_true", help="show the backfills that were made")
    add(
        "--unrecorded",
        action="store_true",
        help="go on where windows come from a backfill that no record here tells of",
    )
    add(
        "--records",
        metavar="DIR",
        type=Path,
        default=RECORDS,
        help=f"folder of the records ({RECORDS})",
    )
    return parser
