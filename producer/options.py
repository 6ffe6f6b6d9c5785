"""The command line of the producer."""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_DESCRIPTION = "Replay a parquet file of trips as a live stream into Kafka (MOBILITY_KAFKA)."


@dataclass(frozen=True, slots=True)
class Options:
    """What is replayed and how; a `speed` of None is as fast as it goes."""

    file: Path
    speed: float | None
    loop: bool
    rebase: bool
    density: int
    as_is: bool
    state: Path | None


def parse(arguments: Sequence[str] | None) -> Options:
    """Read the command line; exit with 2 and a word on it where it makes no sense."""
    parser = _parser()
    found = parser.parse_args(arguments)
    if found.rebase and found.speed not in (None, "1"):
        parser.error(
            "--rebase now sends what is past at full speed and then keeps pace with the clock: "
            f"--speed {found.speed} can't be kept beside it"
        )
    return Options(
        file=found.file,
        speed=_speed(found.speed or "1"),
        loop=found.loop,
        rebase=found.rebase is not None,
        density=found.density,
        as_is=found.as_is,
        state=found.state,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m producer", description=_DESCRIPTION)
    add = parser.add_argument
    add("file", type=Path, metavar="FILE", help="trips, a parquet file")
    add(
        "--speed",
        type=_checked_speed,
        metavar="X",
        help="event seconds a second, or `max` (1)",
    )
    add(
        "--loop",
        action="store_true",
        help="begin again at the end, times moved on by whole days, with trip ids of their own",
    )
    add(
        "--rebase",
        choices=["now"],
        help="shift by whole days so that the file's first day is yesterday: what is past goes out "
        "at full speed, then pace 1, loop after loop until Ctrl-C",
    )
    add(
        "--density",
        type=_positive,
        default=1,
        metavar="N",
        help="send so many distinct trips for each (1)",
    )
    add("--as-is", action="store_true", help="keep the file's order, disorder and all")
    add(
        "--state",
        type=Path,
        metavar="FILE",
        help="remember there what was delivered, and go on from it",
    )
    return parser


def _checked_speed(text: str) -> str:
    _speed(text)
    return "1" if text != "max" and float(text) == 1 else text


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    speed = float(text)
    if not (math.isfinite(speed) and speed > 0):
        msg = f"expected a number above 0 or `max`, is {text}"
        raise argparse.ArgumentTypeError(msg)
    return speed


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        msg = f"expected at least 1, is {text}"
        raise argparse.ArgumentTypeError(msg)
    return number
