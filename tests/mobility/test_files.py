"""A file is replaced in one step, or stays as it was."""

import os
import stat
from pathlib import Path

import pytest

from mobility.files import file_lock, try_file_lock, write_atomically


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("content", ["Zürich", "Zürich".encode()])
def test_a_file_is_replaced(tmp_path: Path, content: str | bytes, durable: bool) -> None:
    """Text is written as UTF-8, and nothing else is left in the folder."""
    path = tmp_path / "status.json"
    for before in ("", "longer than the new content"):
        path.write_text(before)
        write_atomically(path, content, durable=durable)
        assert path.read_bytes() == "Zürich".encode()
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_leaves_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full when the new content is flushed to it."""

    def full(_descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    path = tmp_path / "state.json"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "new", durable=True)
    assert path.read_text() == "old"


def test_content_and_name_are_on_the_disk_where_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is synced before it gets its name, the folder after that."""
    path = tmp_path / "state.json"
    synced: list[tuple[str, bool]] = []

    def sync(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        synced.append((name, path.exists()))

    monkeypatch.setattr(os, "fsync", sync)
    write_atomically(path, "one", durable=True)
    assert synced == [("state.json.tmp", False), (tmp_path.name, True)]
    write_atomically(path, "two")
    assert len(synced) == 2


def test_a_private_file_is_never_readable_by_others(tmp_path: Path) -> None:
    """Also if a crash has left a temporary file with another mode."""
    path = tmp_path / "record.json"
    (tmp_path / "record.json.tmp").touch(mode=0o666)
    write_atomically(path, "secret", mode=0o600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_locked_file_is_locked_for_others_until_it_is_closed(tmp_path: Path) -> None:
    """One waits for it, the other is refused; the content of the file stays."""
    path = tmp_path / "lock"
    with file_lock(path) as lock:
        lock.write("1")
        lock.flush()
        assert try_file_lock(path) is None
    again = try_file_lock(path)
    assert again is not None
    again.close()
    assert path.read_text() == "1"
