"""New files that only their owner can read: rejected messages may name people."""

import os
from pathlib import Path


def create_private_file(path: Path, content: bytes) -> None:
    """Write a new file of mode 0600. Raises FileExistsError where the file exists."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
