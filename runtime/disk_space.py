"""Free space on the disk of the recovery folder: without it no snapshot can be taken."""

import os
from pathlib import Path
from typing import Final

from runtime.failures import StartError

_MIB: Final = 1 << 20

MIN_FREE_BYTES: Final = 4 * _MIB
"""Bytes below which a start would fail: the log of SQLite is as large within minutes.

Bytewax would end the flow within a snapshot, with an error of SQLite that names no folder.
"""


def require_disk_space(folder: Path) -> None:
    """Raise StartError if the folder's disk has no space for snapshots."""
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    if free < MIN_FREE_BYTES:
        msg = (
            f"the disk of the recovery folder {folder} is full: {free / _MIB:.1f} MiB are free, "
            f"snapshots need at least {MIN_FREE_BYTES // _MIB} MiB. Free disk space and start "
            "again; no data is lost."
        )
        raise StartError(msg)
