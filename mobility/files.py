"""Files that are replaced in one step, file locks, and files that settings name.

They are here because every package may import this one, and no other: a file is replaced or locked,
and a secret read, in the same way everywhere.
"""

import fcntl
import os
from pathlib import Path
from typing import IO, Final

_READABLE_BY_ALL: Final = 0o666


def read_text(path: str) -> str:
    """Return the text of a file in UTF-8. Raises OSError, UnicodeDecodeError.

    A byte order mark, which editors on Windows write at the beginning, is not a part of it.
    """
    return Path(path).read_text("utf-8-sig")


def write_atomically(
    path: Path, content: str | bytes, *, durable: bool = False, mode: int = _READABLE_BY_ALL
) -> None:
    """Replace a file: a reader finds the whole old content or the whole new content.

    With `durable` the file is on the disk on return. `mode` is that of the new file, less the
    umask. Two writers of one file need a lock: they share the temporary file beside it.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.unlink(missing_ok=True)  # one that a crash has left would keep its mode
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    temporary.replace(path)
    if durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Return when the names of the files in a folder are on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_lock(path: Path) -> IO[str]:
    """Return an open file that holds the lock; wait while another process holds it.

    The lock ends when the file is closed and every process that inherited it has ended (flock).
    """
    file = path.open("a+")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def try_file_lock(path: Path) -> IO[str] | None:
    """Return an open file that holds the lock, or None if another process holds it."""
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
