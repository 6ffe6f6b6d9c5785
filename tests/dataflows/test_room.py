"""A start needs room for snapshots."""

from pathlib import Path

import pytest

from dataflows.failures import StartError
from dataflows.room import require_room


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    """The message names the folder; where there is room nothing is said."""
    require_room(tmp_path)
    with pytest.raises(StartError, match=r"recovery folder /proc is full: 0\.0 MiB"):
        require_room(Path("/proc"))  # a file system on which there is never room
