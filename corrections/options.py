"""The command line of `just dlq` and `just late`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from corrections.rejected_topic import MessageFilter
from mobility.arguments import positive_int, time_ms
from mobility.rejected_messages import (
    REJECTED_KINDS,
    RejectedKind,
    SourcePosition,
    parse_position,
)

DEFAULT_LIMIT: Final = 100
"""The number of rows of a table where --limit is not given."""

_TIME_HELP: Final = "ISO 8601, UTC without an offset, or epoch ms; not the event time"
_FROM_HELP: Final = f"written by the flow at this time or later ({_TIME_HELP})"
_TO_HELP: Final = f"written by the flow before this time ({_TIME_HELP})"

Command = Literal["list", "show", "replay"]


@dataclass(frozen=True, slots=True)
class CorrectionOptions:
    """The command line: a command, and the messages that it is for."""

    kind: RejectedKind
    command: Command
    selected: MessageFilter
    limit: int | None = None
    with_replayed: bool = False
    as_json: bool = False
    with_values: bool = False
    raw: bool = False
    out: Path | None = None
    corrected: Path | None = None
    again: bool = False


def parse_options(arguments: Sequence[str] | None) -> CorrectionOptions:
    """Parse the command line; exit with 2 and the usage where it is wrong."""
    parser = _parser()
    found = vars(parser.parse_args(arguments))
    options = CorrectionOptions(
        kind=REJECTED_KINDS[found["kind"]],
        selected=MessageFilter(
            reasons=frozenset(found.pop("reason", None) or ()),
            begin=found.pop("begin", None),
            end=found.pop("end", None),
            partitions=frozenset(found.pop("partition", None) or ()),
            positions=frozenset(found.pop("positions", ())),
        ),
        **{name: value for name, value in found.items() if name != "kind"},
    )
    if options.with_values and not options.as_json:
        parser.error("--with-values needs --json")
    if options.corrected is not None and not _is_one_position(options.selected):
        parser.error("--with FILE names its messages: give no filters and at most one POSITION")
    return options


def _is_one_position(selected: MessageFilter) -> bool:
    return len(selected.positions) <= 1 and selected == MessageFilter(positions=selected.positions)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="just")
    kinds = parser.add_subparsers(dest="kind", required=True)
    for kind in REJECTED_KINDS.values():
        noun = kind.noun
        does = f"list, show and replay {noun}"
        parser_of_kind = kinds.add_parser(kind.command, help=does, description=does)
        commands = parser_of_kind.add_subparsers(dest="command", required=True)
        for name, does, add_arguments in (
            ("list", f"list {noun}, each once", _add_list),
            ("show", "show the original bytes, headers and key of one message", _add_show),
            ("replay", f"send {noun} again, or write them to a file for a backfill", _add_replay),
        ):
            # Without abbreviations: `list --with` must not be taken for --with-values.
            command = commands.add_parser(name, help=does, description=does, allow_abbrev=False)
            add_arguments(command, kind)
    return parser


def _add_list(parser: argparse.ArgumentParser, kind: RejectedKind) -> None:
    _add_filters(parser, kind)
    add = parser.add_argument
    add(
        "--limit", type=positive_int, metavar="N", help=f"the newest N (in a table {DEFAULT_LIMIT})"
    )
    add("--all", action="store_true", dest="with_replayed", help="also what was replayed")
    add("--json", action="store_true", dest="as_json", help="one JSON object per line")
    add(
        "--with-values",
        action="store_true",
        dest="with_values",
        help="with --json: also keys and values, to edit (see replay --with)",
    )


def _add_show(parser: argparse.ArgumentParser, _kind: RejectedKind) -> None:
    _add_positions(parser, nargs=1)
    add = parser.add_mutually_exclusive_group().add_argument
    add("--json", action="store_true", dest="as_json", help="as `list --json --with-values`")
    add("--raw", action="store_true", help="write the exact bytes of the value to stdout")
    add("--out", type=Path, metavar="FILE", help="write the exact bytes of the value to a new file")


def _add_replay(parser: argparse.ArgumentParser, kind: RejectedKind) -> None:
    _add_positions(parser, nargs="*")
    _add_filters(parser, kind)
    add = parser.add_argument
    if kind.has_reasons:
        add(
            "--with",
            type=Path,
            metavar="FILE",
            dest="corrected",
            help='corrected trips, one per line: {"position": "2:17", "trip": {...}}, or the bare '
            "trip for one POSITION; without --with messages are sent as they are",
        )
    add(
        "--again",
        action="store_true",
        help="also what was replayed before; a trip still counts once if it keeps its trip_id, its "
        "driver and its window",
    )
    add(
        "--out",
        type=Path,
        metavar="FILE",
        help="the new file for the backfill (.mobility/corrections/<time>.ndjson)",
    )


def _add_positions(parser: argparse.ArgumentParser, nargs: int | Literal["*"]) -> None:
    parser.add_argument(
        "positions",
        nargs=nargs,
        type=_position,
        metavar="POSITION",
        help="partition:offset in the trips topic, as `list` shows it",
    )


def _add_filters(parser: argparse.ArgumentParser, kind: RejectedKind) -> None:
    add = parser.add_argument
    if kind.has_reasons:
        add("--reason", action="append", metavar="REASON", help="of this reason; may be repeated")
    add("--from", type=time_ms, dest="begin", metavar="TIME", help=_FROM_HELP)
    add("--to", type=time_ms, dest="end", metavar="TIME", help=_TO_HELP)
    add(
        "--partition",
        action="append",
        type=int,
        metavar="N",
        help="from this partition of the trips topic; may be repeated",
    )


def _position(text: str) -> SourcePosition:
    try:
        return parse_position(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
