"""Files that are replaced in one step.

The only module of this room that does I/O. It is here because every room may import this room, and
no other: a file is replaced in the same way everywhere.
"""

import os
from pathlib import Path


def write_atomically(
    path: Path, content: str | bytes, *, durable: bool = False, private: bool = False
) -> None:
    """Replace a file: a reader finds the whole old content or the whole new content.

    With `durable` the file is on the disk on return; a `private` one is readable by its owner only.
    Two writers of one file need a lock between them: they share the temporary file beside it.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    if private:
        temporary.unlink(missing_ok=True)  # its mode would stay
        temporary.touch(mode=0o600)
    with temporary.open("wb") as file:
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
