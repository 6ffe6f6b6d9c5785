"""The command line of `just backfill`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

JOURNAL_FOLDER: Final = Path(".mobility/backfills")

_DESCRIPTION: Final = (
    "Recount complete windows from the log, late trips and corrections. Shows what would "
    "change; writes only with --apply."
)


@dataclass(frozen=True, slots=True)
class BackfillOptions:
    """The command line: either `start` and `end`, or `reverts`, or `list_records` is set."""

    start: str
    end: str
    corrections: tuple[Path, ...]
    reverts: str | None
    list_records: bool
    apply: bool
    allow_unrecorded: bool
    journal_folder: Path


def parse_options(arguments: Sequence[str] | None) -> BackfillOptions:
    """Parse the command line; exit with 2 and the usage where it is wrong."""
    parser = _parser()
    found = parser.parse_args(arguments)
    has_range = found.start is not None or found.end is not None
    if sum(map(bool, (has_range, found.reverts, found.list_records))) != 1:
        parser.error("give either --from and --to, or --take-back, or --list")
    if has_range and (found.start is None or found.end is None):
        parser.error("a range needs both --from and --to")
    if found.corrections and not has_range:
        parser.error("--with needs a range: --from and --to")
    return BackfillOptions(
        start=found.start or "",
        end=found.end or "",
        corrections=tuple(found.corrections),
        reverts=found.reverts,
        list_records=found.list_records,
        apply=found.apply,
        allow_unrecorded=found.allow_unrecorded,
        journal_folder=found.journal_folder,
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
        help="trips that replace those with their trip_id, or are added: NDJSON or parquet",
    )
    add("--apply", action="store_true", help="write the changes")
    add(
        "--take-back",
        dest="reverts",
        metavar="ID",
        help="revert a backfill: restore the windows from before it",
    )
    add("--list", dest="list_records", action="store_true", help="list the backfills")
    add(
        "--unrecorded",
        dest="allow_unrecorded",
        action="store_true",
        help="recount windows of a backfill that has no record here, without its corrections",
    )
    add(
        "--records",
        dest="journal_folder",
        metavar="DIR",
        type=Path,
        default=JOURNAL_FOLDER,
        help=f"the folder of the records ({JOURNAL_FOLDER})",
    )
    return parser
