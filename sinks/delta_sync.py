"""Commits in a local folder are on the disk: the client of Delta Lake does not wait for that."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from mobility.files import sync_folder


def sync_commits(table: str, after: int, last: int) -> None:
    """Wait until the commits of a table behind a version are on the disk, up to the `last` one.

    So are the files that they have added. In an object store they are durable already.
    """
    if "://" in table:
        return
    files = [file for version in range(after + 1, last + 1) for file in _written(table, version)]
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    if files:
        # The folder of a day, or of the table, may be new.
        for folder in {file.parent for file in files} | {Path(table), Path(table).parent}:
            sync_folder(folder)


def _written(table: str, version: int) -> Iterator[Path]:
    """Yield the files that a commit has written, itself last; none where it is not there."""
    log = Path(table, "_delta_log", f"{version:020}.json")
    if not log.exists():
        return
    for line in log.read_bytes().splitlines():
        if (added := json.loads(line).get("add")) is not None:
            yield Path(table, unquote(added["path"]))
    yield log
