"""File locks, which the kernel releases when the process that holds them ends."""

import fcntl
from pathlib import Path
from typing import IO


def try_file_lock(path: Path) -> IO[str] | None:
    """Return an open file that holds the lock until it is closed; None if another holds it."""
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
