"""The record of the last start on a recovery folder: the file `start.json`."""

from pathlib import Path
from typing import Final

import msgspec

from mobility.files import write_atomically

_FILE: Final = "start.json"


class StartRecord(msgspec.Struct, frozen=True):
    """The epoch that a start resumed from, and whether the run before it had crashed.

    After a crash messages behind the resumed offsets may have been read before.
    """

    resume_epoch: int
    follows_crash: bool = False


def read_start(folder: Path) -> StartRecord | None:
    """Return the record; None where there was no start, or that of a release without records."""
    try:
        return msgspec.json.decode((folder / _FILE).read_bytes(), type=StartRecord)
    except FileNotFoundError:
        return None


def write_start(folder: Path, record: StartRecord) -> None:
    """Replace the record; it is on the disk on return."""
    write_atomically(folder / _FILE, msgspec.json.encode(record), durable=True)
