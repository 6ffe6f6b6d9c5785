"""A start needs disk space for snapshots."""

from pathlib import Path

import pytest

from runtime.disk_space import require_disk_space
from runtime.failures import StartError


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    """The message names the folder; with enough space there is none."""
    require_disk_space(tmp_path)
    with pytest.raises(StartError, match=r"recovery folder /proc is full: 0\.0 MiB"):
        require_disk_space(Path("/proc"))  # a file system that never has free space
