"""The command line of `just bench`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import quick
from benchmarks.subjects import SUBJECTS
from benchmarks.systems import NAMES
from mobility.arguments import positive_int

QUICK: Final = "quick"

_TRIPS: Final = 2_000_000
_REPEAT: Final = 3


@dataclass(frozen=True, slots=True)
class BenchmarkOptions:
    """What to measure, over how many trips, how often, and the folder for the results."""

    quick: bool
    subjects: tuple[str, ...]
    systems: tuple[str, ...]
    trips: int
    repeat: int
    out: Path


def parse_options(arguments: Sequence[str] | None = None) -> BenchmarkOptions:
    """Parse the command line; exit with 2 if it is not valid."""
    parser = argparse.ArgumentParser(
        prog="just bench",
        description="Measure this system and its peers in turn, on services started for it.",
    )
    add = parser.add_argument
    known = ", ".join((QUICK, *SUBJECTS))
    add("what", nargs="*", metavar="WHAT", help=f"{known} (default: all but quick)")
    add(
        "--systems",
        type=_names,
        default=NAMES,
        help=f"for throughput: {', '.join(NAMES)} (all)",
    )
    add("--trips", type=positive_int, metavar="N", help=f"trips of the workload ({_TRIPS:,})")
    add("--repeat", type=positive_int, metavar="N", help=f"runs of each ({_REPEAT})")
    add(
        "--out",
        type=Path,
        default=Path(__file__).parent,
        metavar="DIR",
        help="folder for the results",
    )
    found = parser.parse_args(arguments)
    if unknown := [word for word in found.what if word not in (QUICK, *SUBJECTS)]:
        parser.error(f"{', '.join(unknown)}: no such measurement (there are {known})")
    is_quick = QUICK in found.what
    if is_quick and len(found.what) > 1:
        parser.error("quick can't be combined with others")
    return BenchmarkOptions(
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
