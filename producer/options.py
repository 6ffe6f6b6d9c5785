"""The command line of the producer."""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mobility.arguments import positive_int
from producer.formats.options import (
    FILES_HELP,
    ReadingOptions,
    add_reading_options,
    reading_options,
)

_DESCRIPTION: Final = "Replay files of trips as a live stream to Kafka (MOBILITY_KAFKA)."


@dataclass(frozen=True, slots=True)
class ProducerOptions:
    """What is replayed and how; a `speed` of None means as fast as possible."""

    files: tuple[Path, ...]
    reading: ReadingOptions
    speed: float | None
    loop: bool
    rebase: bool
    density: int
    as_is: bool
    final: bool
    state: Path | None
    rejects: Path | None


def parse_options(arguments: Sequence[str] | None) -> ProducerOptions:
    """Parse the command line; exit with 2 and a message if it is not valid."""
    parser = _parser()
    found = parser.parse_args(arguments)
    if found.rebase and found.speed not in (None, "1"):
        parser.error(
            "--rebase now sends past trips at full speed and later ones in real time: "
            f"--speed {found.speed} can't be combined with it"
        )
    if found.final and (found.loop or found.rebase):
        parser.error(
            "--final says that no trips follow those of the files, and "
            f"{'--loop' if found.loop else '--rebase now'} sends them again and again: "
            "they can't be combined"
        )
    return ProducerOptions(
        files=tuple(found.files),
        reading=reading_options(found),
        speed=_speed(found.speed or "1"),
        loop=found.loop,
        rebase=found.rebase is not None,
        density=found.density,
        as_is=found.as_is,
        final=found.final,
        state=found.state,
        rejects=found.rejects,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m producer", description=_DESCRIPTION)
    add = parser.add_argument
    add("files", type=Path, nargs="+", metavar="FILE", help=FILES_HELP)
    add(
        "--speed",
        type=_checked_speed,
        metavar="X",
        help="seconds of event time per second, or `max` (1)",
    )
    add(
        "--loop",
        action="store_true",
        help="start again at the end of the files, times shifted by whole days, with new trip ids",
    )
    add(
        "--rebase",
        choices=["now"],
        help="shift times by whole days so that the first day is yesterday: past trips are "
        "sent at full speed, later ones in real time, loop after loop until Ctrl-C",
    )
    add(
        "--density",
        type=positive_int,
        default=1,
        metavar="N",
        help="send each trip N times with different trip ids (1)",
    )
    add("--as-is", action="store_true", help="send trips in the order of the files")
    add(
        "--final",
        action="store_true",
        help="after the last trip, punctuate every partition so that all windows are complete",
    )
    add(
        "--state",
        type=Path,
        metavar="FILE",
        help="save the position of delivered trips there, and continue from it",
    )
    add(
        "--rejects",
        type=Path,
        metavar="FILE",
        help="write the rows that are left out there, with their reasons, as NDJSON",
    )
    add_reading_options(parser)
    return parser


def _checked_speed(text: str) -> str:
    _speed(text)
    return "1" if text != "max" and float(text) == 1 else text


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    speed = float(text)
    if not (math.isfinite(speed) and speed > 0):
        msg = f"expected a number above 0 or `max`, got {text}"
        raise argparse.ArgumentTypeError(msg)
    return speed
