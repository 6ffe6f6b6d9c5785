"""Atomic replacement of files."""

import stat
from pathlib import Path

import pytest

from mobility.files import write_atomically


@pytest.mark.parametrize("sync", [False, True])
def test_a_file_is_replaced(tmp_path: Path, sync: bool) -> None:
    """It has the new text, and no other file is left."""
    path = tmp_path / "record.json"
    for text in ("old and longer", "new"):
        write_atomically(path, text, sync=sync)
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_private_file_is_never_readable_by_others(tmp_path: Path) -> None:
    """Also if a crash left a temporary file with another mode."""
    path = tmp_path / "record.json"
    (tmp_path / "record.json.tmp").touch(mode=0o666)
    write_atomically(path, "secret", mode=0o600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
