"""Writing a file whole or not at all: for small records that others read at any time."""

import os
from pathlib import Path
from typing import Final

_READABLE_BY_ALL: Final = 0o666  # less the umask


def write_atomically(
    path: Path, text: str, *, mode: int = _READABLE_BY_ALL, sync: bool = False
) -> None:
    """Write the text to a file beside `path` and rename that: readers see the old or the new file.

    Rename is atomic within a file system (POSIX rename(2)). With `sync` the text is on disk before.
    Raises OSError.
    """
    draft = path.with_name(f"{path.name}.tmp")
    draft.unlink(missing_ok=True)  # its mode would stay
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        if sync:
            file.flush()
            os.fsync(file.fileno())
    draft.replace(path)
