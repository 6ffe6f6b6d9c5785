"""Corrections whose windows no longer accept trips: a file of them, and the backfill to run."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from corrections.correction import Correction
from corrections.private_files import create_private_file
from mobility.settings import Settings
from mobility.times import iso_time

FOLDER: Final = Path(".mobility/corrections")


@dataclass(frozen=True, slots=True)
class BackfillRequest:
    """A backfill to run: its file of corrections, if any, and its windows.

    The windows start at `begin` or later and before `end` (epoch ms). `workspace` is the name of
    that in which the system runs, or empty.
    """

    file: Path | None
    begin: int
    end: int
    workspace: str = ""

    @property
    def how(self) -> str:
        """The text for the markers of its messages."""
        return "backfill" if self.file is None else f"backfill:{self.file.absolute()}"

    @property
    def command(self) -> str:
        """The command that runs the backfill."""
        words = ["just", "backfill", "--from", iso_time(self.begin), "--to", iso_time(self.end)]
        words += [] if self.file is None else ["--with", str(self.file)]
        return shlex.join(words + (["--name", self.workspace] if self.workspace else []))


def request_backfill(
    corrections: Sequence[Correction], settings: Settings, file: Path
) -> BackfillRequest:
    """Write corrections to a new file, one message per line, and return the backfill for them.

    Late trips without a `trip_id` are left out of the file: the backfill finds them in the log by
    their position, and could not match them with their copies in a file. Raises OSError, also
    where the file exists.
    """
    starts = [each.window_start for each in corrections]
    written = [each for each in corrections if each.message.reason is not None or each.has_trip_id]
    if written:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        create_private_file(file, b"".join(_to_line(each) for each in written))
    return BackfillRequest(
        file if written else None,
        min(starts),
        max(starts) + settings.window_ms,
        settings.workspace,
    )


def default_file(now: int) -> Path:
    """Return the path of a new file of corrections, by the time (epoch ms)."""
    time = datetime.fromtimestamp(now / 1_000, UTC)
    return FOLDER / f"{time:%Y%m%dT%H%M%S}.{now % 1_000:03}Z.ndjson"


def _to_line(correction: Correction) -> bytes:
    # JSON has line breaks only between tokens, where a blank means the same.
    return correction.value.replace(b"\r", b" ").replace(b"\n", b" ").strip() + b"\n"
