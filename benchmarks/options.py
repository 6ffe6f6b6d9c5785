"""The command line of `just bench`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import quick
from benchmarks.subjects import SUBJECTS
from benchmarks.systems import NAMES

QUICK: Final = "quick"

_TRIPS: Final = 2_000_000
_REPEAT: Final = 3


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure, over how many trips, how often, and where the results go."""

    quick: bool
    subjects: tuple[str, ...]
    systems: tuple[str, ...]
    trips: int
    repeat: int
    out: Path


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line; exit with 2 where it makes no sense."""
    parser = argparse.ArgumentParser(
        prog="just bench",
        description="Measure this system and its peers side by side, on services of their own.",
    )
    add = parser.add_argument
    known = ", ".join((QUICK, *SUBJECTS))
    add("what", nargs="*", metavar="WHAT", help=f"{known} (default: all but quick)")
    add("--systems", type=_names, default=NAMES, help=f"of throughput: {', '.join(NAMES)} (all)")
    add("--trips", type=_positive, metavar="N", help=f"trips of the workload ({_TRIPS:,})")
    add("--repeat", type=_positive, metavar="N", help=f"runs of each ({_REPEAT})")
    add("--out", type=Path, default=Path(__file__).parent, metavar="DIR", help="for the results")
    found = parser.parse_args(arguments)
    if unknown := [word for word in found.what if word not in (QUICK, *SUBJECTS)]:
        parser.error(f"{', '.join(unknown)}: no such measurement (there are {known})")
    is_quick = QUICK in found.what
    if is_quick and len(found.what) > 1:
        parser.error("quick goes alone")
    return Options(
        quick=is_quick,
        subjects=tuple(found.what or SUBJECTS),
        systems=found.systems,
        trips=found.trips or (quick.TRIPS if is_quick else _TRIPS),
        repeat=found.repeat or (quick.REPEAT if is_quick else _REPEAT),
        out=found.out.absolute(),
    )


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if unknown := [name for name in names if name not in NAMES]:
        msg = f"{', '.join(unknown)}: no such system (there are {', '.join(NAMES)})"
        raise argparse.ArgumentTypeError(msg)
    return names


def _positive(text: str) -> int:
    number = int(text.replace("_", ""))
    if number < 1:
        msg = f"expected at least 1, is {number}"
        raise argparse.ArgumentTypeError(msg)
    return number
