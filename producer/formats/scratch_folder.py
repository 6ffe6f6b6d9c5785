"""Folders for what is written to disk while files are read."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """Yield an empty folder among the temporary files, and remove it at the end.

    Those with this prefix that processes left which were killed are removed first: they are as
    large as the files that were read. A process holds a lock on its folder, which ends with it.
    """
    _remove_abandoned(prefix)
    folder, lock = _create(prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
        os.close(lock)


def _create(prefix: str) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix))
        lock = _try_lock(folder)
        if lock is not None and folder.exists():
            return folder, lock
        # Another process took it for an abandoned one before it was locked.
        if lock is not None:
            os.close(lock)


def _remove_abandoned(prefix: str) -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        lock = _try_lock(folder)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _try_lock(folder: Path) -> int | None:
    """Return an open handle that holds the lock, None if there is none to have."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:  # it is removed already, or that of another user
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle
