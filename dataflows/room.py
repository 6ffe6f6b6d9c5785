"""Room on the disk of the recovery folder: without it no snapshot can be taken."""

import os
from pathlib import Path
from typing import Final

from dataflows.failures import StartError

_MIB: Final = 1 << 20

LEAST: Final = 4 * _MIB
"""Bytes below which a start is not worth trying: a snapshot's own log is as large within minutes.

Bytewax ends a flow in the middle of a snapshot with SQLite's words, which name no folder.
"""


def require_room(folder: Path) -> None:
    """Raise StartError where the folder's disk has no room for snapshots."""
    told = os.statvfs(folder)
    free = told.f_bavail * told.f_frsize
    if free < LEAST:
        msg = (
            f"the disk of the recovery folder {folder} is full: {free / _MIB:.1f} MiB are free, "
            f"snapshots need {LEAST // _MIB} MiB and more. Make room; nothing is lost."
        )
        raise StartError(msg)
