"""Listing and deleting workspaces."""

import io
import os
from pathlib import Path

import pytest

from mobility.trip_files import TripFile, TripFileSet
from stack.import_folder import ImportRecord, new_import
from stack.processes import identify, save_record
from stack.workspace import Workspace, WorkspaceRecord, open_workspace
from stack.workspaces import disk_usage, main


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return a workspace that is loaded."""
    workspace = open_workspace(tmp_path, "city")
    files = TripFileSet(given=("/d/a.csv", "/d/b.csv", "/d/c.csv"), files=())
    workspace.save(WorkspaceRecord(files, is_loaded=True))
    source = '{"rows": 1200, "first": 1740787200000, "last": 1740790800000}'
    workspace.state_file.write_text(f'{{"source": {source}, "position": {{"row": 1200}}}}')
    return workspace


def run(workspace: Workspace, *arguments: str) -> int:
    """Run the command on the state folder of the workspace."""
    return main(["--folder", str(workspace.folder.parent.parent), *arguments])


def test_a_line_says_what_a_workspace_holds(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """Name, files, trips, their time, whether it runs, and its size."""
    (workspace.folder / "log").write_bytes(b"x" * 3_000_000)
    assert run(workspace, "list") == 0
    line = capsys.readouterr().out.splitlines()[-1]
    words = ("city", "a.csv, b.csv and 1 more", "1,200", "2025-03-01 00:00", "2025-03-01 01:00")
    for word in (*words, "stopped", "3 MB"):
        assert word in line
    save_record(workspace.folder, "up", identify(os.getpid()))
    assert run(workspace, "list") == 0
    assert "running" in capsys.readouterr().out


def test_imported_files_are_listed(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """Behind those that the workspace was made of, and their trips are counted."""
    workspace.save(WorkspaceRecord(TripFileSet(given=("/d/a.csv",), files=()), is_loaded=True))
    imported = new_import(workspace.folder)
    files = TripFileSet(given=("/e",), files=(TripFile("/e/feb.csv", 9, "f"),))
    imported.save(ImportRecord("log", files, {}, is_done=True))
    source = '{"rows": 34, "first": 1738368000000, "last": 1738371600000}'
    imported.state_file.write_text(f'{{"source": {source}, "position": {{"row": 34}}}}')
    assert run(workspace, "list") == 0
    line = capsys.readouterr().out.splitlines()[-1]
    for word in ("a.csv, feb.csv", "1,234", "2025-02-01 00:00", "2025-03-01 01:00"):
        assert word in line


def test_without_workspaces_the_way_to_one_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also without a state folder."""
    assert main(["--folder", str(tmp_path / "none"), "list"]) == 0
    assert "`just up FILE...` makes one" in capsys.readouterr().out


def test_data_behind_links_count(tmp_path: Path) -> None:
    """The data of Postgres may be elsewhere, with a link in the folder."""
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "folder"
    elsewhere.mkdir()
    folder.mkdir()
    (elsewhere / "data").write_bytes(b"x" * 100_000)
    (folder / "postgres").symlink_to(elsewhere)
    assert disk_usage(folder) >= 100_000


def test_a_reset_deletes_after_a_question(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any answer but yes keeps it, and so does none."""
    monkeypatch.setattr("builtins.input", lambda _question: "n")
    assert run(workspace, "reset", "city") == 1
    monkeypatch.undo()
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert run(workspace, "reset", "city") == 1
    assert "`--yes` deletes without the question" in capsys.readouterr().err
    assert workspace.record() is not None
    assert run(workspace, "reset", "city", "--yes") == 0
    assert not workspace.folder.exists()
    assert run(workspace, "reset", "city", "--yes") == 2
    assert "no workspace city" in capsys.readouterr().err


def test_a_running_workspace_is_not_deleted(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has to be stopped first."""
    save_record(workspace.folder, "up", identify(os.getpid()))
    assert run(workspace, "reset", "city", "--yes") == 2
    assert "stop it with `just down --name city`" in capsys.readouterr().err
    assert workspace.record() is not None
