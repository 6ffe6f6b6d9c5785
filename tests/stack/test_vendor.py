"""The browser's libraries are the pinned ones."""

import shutil
from pathlib import Path

import msgspec
import pytest

from stack.vendor import FOLDER, Package, VendorError, changed_files, fetch, packages


def test_the_files_are_the_pinned_ones() -> None:
    """No file is edited, every file is listed, and each library has its licence."""
    assert list(changed_files()) == []
    named = {kept.name for package in packages() for kept in package.files}
    assert {path.name for path in FOLDER.iterdir()} == named | {"packages.json"}
    for package in packages():
        assert any("LICENSE" in kept.name for kept in package.files)
        assert package.integrity.startswith("sha512-")


def test_an_edited_file_is_found(tmp_path: Path) -> None:
    """Also one byte more, or a missing file."""
    copy = tmp_path / "vendor"
    shutil.copytree(FOLDER, copy)
    first, second = (kept.name for kept in packages()[0].files[:2])
    with (copy / first).open("ab") as file:
        file.write(b" ")
    (copy / second).unlink()
    assert list(changed_files(copy)) == [first, second]


def test_another_archive_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file of an archive with another hash is copied; without npm the message says so."""
    tools = tmp_path / "tools"
    tools.mkdir()
    monkeypatch.setenv("PATH", str(tools))
    target = tmp_path / "vendor"
    target.mkdir()
    with pytest.raises(VendorError, match="npm is needed"):
        fetch(packages()[0], target)
    npm = tools / "npm"
    npm.write_text('#!/bin/sh\nfor last; do :; done\nprintf wrong > "$last/x.tgz"\n')
    npm.chmod(0o755)
    with pytest.raises(VendorError, match="not the pinned one"):
        fetch(packages()[0], target)
    npm.write_text("#!/bin/sh\necho no such version >&2\nexit 1\n")
    with pytest.raises(VendorError, match="no such version"):
        fetch(msgspec.structs.replace(packages()[0], version="0"), target)
    assert list(target.iterdir()) == []
    assert isinstance(packages()[0], Package)
