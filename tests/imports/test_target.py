"""The system that gets the trips of an import."""

import json
import os
from pathlib import Path

import pytest

from imports.errors import ImportRefusedError
from imports.target import find_target
from mobility.trip_files import TripFileSet
from stack.processes import identify, save_record
from stack.with_settings import save_settings
from stack.workspace import Workspace, WorkspaceError, WorkspaceRecord, open_workspace

KAFKA = "MOBILITY_KAFKA"
HELD = TripFileSet(given=("/t",), files=())


def run(folder: Path, kafka: str) -> None:
    """Let this process be the system that runs in a folder."""
    save_record(folder, "up", identify(os.getpid()))
    save_settings(folder, {KAFKA: kafka})


def load(workspace: Workspace, row: int) -> None:
    """Write the state file of a producer that has sent so many of three trips."""
    source = {"rows": 3, "first": 1, "last": 2}
    workspace.state_file.write_text(json.dumps({"source": source, "position": {"row": row}}))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return a workspace that is loaded."""
    workspace = open_workspace(tmp_path, "city")
    workspace.save(WorkspaceRecord(HELD, is_loaded=True))
    load(workspace, 3)
    return workspace


def test_a_workspace_has_its_own_services(workspace: Workspace, tmp_path: Path) -> None:
    """Also where the caller's variables name others."""
    with pytest.raises(ImportRefusedError, match="not running: `just up --name city` starts it"):
        find_target(tmp_path, "city", {})
    run(workspace.folder, "own:1")
    target = find_target(tmp_path, "city", {KAFKA: "other:1"})
    assert (target.settings.kafka, target.state, target.files) == ("own:1", workspace.folder, HELD)
    assert target.workspace == workspace


def test_a_workspace_that_is_loading_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    """Its own trips that are still to come could be late."""
    run(workspace.folder, "own:1")
    load(workspace, 2)
    with pytest.raises(ImportRefusedError, match="still loading its own files"):
        find_target(tmp_path, "city", {})
    workspace.state_file.unlink()
    with pytest.raises(ImportRefusedError, match="still loading its own files"):
        find_target(tmp_path, "city", {})


def test_without_a_name_it_is_the_sample_city_or_what_the_settings_name(tmp_path: Path) -> None:
    """There others send trips, too."""
    assert find_target(tmp_path, None, {KAFKA: "other:1"}).settings.kafka == "other:1"
    run(tmp_path, "city:1")
    target = find_target(tmp_path, None, {})
    assert (target.settings.kafka, target.state, target.workspace) == ("city:1", tmp_path, None)
    assert target.files is None


def test_a_name_of_no_workspace_is_refused(tmp_path: Path) -> None:
    """With those that there are."""
    with pytest.raises(WorkspaceError, match="no workspace town"):
        find_target(tmp_path, "town", {})
