"""Files that hold trips."""

import os
from pathlib import Path


def write_new(path: Path, content: bytes) -> None:
    """Write a file that nobody else may read; raise FileExistsError where there is one."""
    # Letters may name people.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
