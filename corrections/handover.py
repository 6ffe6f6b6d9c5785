"""Trips whose windows take no more: a file of them, and the backfill that counts them."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from corrections.files import write_new
from corrections.trips import Correction
from mobility.times import iso_time

FOLDER: Final = Path(".mobility/corrections")


@dataclass(frozen=True, slots=True)
class Handover:
    """What the backfill is given: a file, if needed, and windows (half-open, epoch ms)."""

    file: Path | None
    begin: int
    end: int

    @property
    def how(self) -> str:
        """What a mark says of the letters in it."""
        return "backfill" if self.file is None else f"backfill:{self.file.absolute()}"

    @property
    def command(self) -> str:
        """The command that counts them."""
        words = ["just", "backfill", "--from", iso_time(self.begin), "--to", iso_time(self.end)]
        return shlex.join(words + ([] if self.file is None else ["--with", str(self.file)]))


def hand_over(trips: Sequence[Correction], window_ms: int, file: Path) -> Handover:
    """Write trips to a file, one message a line, and return their windows.

    Late trips without a `trip_id` stay out of the file: the backfill finds them by their position,
    and could not tell them from their copies. Raises OSError; an existing file is not replaced.
    """
    starts = [trip.window_start for trip in trips]
    written = [trip for trip in trips if trip.letter.reason is not None or trip.recognisable]
    if written:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_new(file, b"".join(_line(trip) for trip in written))
    return Handover(file if written else None, min(starts), max(starts) + window_ms)


def default_file(now: int) -> Path:
    """Return where corrections of this moment (epoch ms) go, from the folder one stands in."""
    moment = datetime.fromtimestamp(now / 1_000, UTC)
    return FOLDER / f"{moment:%Y%m%dT%H%M%S}.{now % 1_000:03}Z.ndjson"


def _line(trip: Correction) -> bytes:
    # Between the tokens of JSON a line's end is but a blank, and nowhere else can one stand.
    return trip.value.replace(b"\r", b" ").replace(b"\n", b" ").strip() + b"\n"
