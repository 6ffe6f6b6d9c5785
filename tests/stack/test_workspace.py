"""Workspaces: names, what they hold, and what is loaded into them."""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from mobility.settings import read_settings
from mobility.trip_files import TripFile, TripFileSet
from stack import workspace_run
from stack.up import main
from stack.workspace import (
    Workspace,
    WorkspaceError,
    WorkspaceRecord,
    derived_name,
    find_workspace,
    open_workspace,
    workspace_name,
    workspaces,
)
from stack.workspace_run import (
    describe_zone,
    files_to_load,
    run_workspace,
    workspace_environ,
)

JANUARY = TripFileSet(
    given=("/d/january.csv",), files=(TripFile("/d/january.csv", 9, "a"),), options=("--as-is",)
)
BOTH = TripFileSet(
    given=("/d",), files=(TripFile("/d/1.csv", 9, "a"), TripFile("/d/2.csv", 9, "b"))
)


@dataclass
class Files:
    """What the producer finds in the files that a workspace names."""

    found: TripFileSet | None = None

    def identify(self, _arguments: object) -> TripFileSet:
        """Return it."""
        assert self.found is not None, "no file has to be looked at"
        return self.found


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Files:
    """Return the files, in place of those on disk."""
    files = Files()
    monkeypatch.setattr(workspace_run, "identify", files.identify)
    return files


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return a new workspace."""
    return open_workspace(tmp_path / "state", "city")


def load(workspace: Workspace, rows: int, of: int = 3) -> None:
    """Write the state file of a producer that has sent so many trips."""
    state = {"source": {"rows": of, "first": 1, "last": 2, "as_is": True}, "shift": 0}
    workspace.state_file.write_text(json.dumps({**state, "position": {"loop": 0, "row": rows}}))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("yellow_tripdata_2025-01.parquet", "yellow_tripdata_2025-01"),
        ("trips.csv.GZ", "trips"),
        ("a folder/Taxi Trips (2024).zip", "Taxi-Trips-2024"),
        ("v1.2.ndjson", "v1.2"),
        ("../etc", "etc"),
        (".csv", "trips"),
        ("поездки.csv", "trips"),
        ("x" * 99, "x" * 64),
    ],
)
def test_a_workspace_is_named_like_its_file(path: str, name: str) -> None:
    """Without what says how it is written, and without what is not for names of folders."""
    assert derived_name(Path(path)) == name
    assert workspace_name(name) == name


@pytest.mark.parametrize("name", ["", "..", "a/b", "a b", "-x", "x" * 65])
def test_a_name_is_one_of_a_folder(name: str) -> None:
    """Nothing outside the folder of workspaces, and no option."""
    with pytest.raises(argparse.ArgumentTypeError, match="up to 64 letters"):
        workspace_name(name)


def test_folders_are_private(workspace: Workspace) -> None:
    """Those above it, too."""
    for folder in (workspace.folder, workspace.folder.parent, workspace.folder.parent.parent):
        assert folder.stat().st_mode & 0o066 == 0


def test_only_what_holds_files_is_a_workspace(workspace: Workspace) -> None:
    """The message names those that there are."""
    state = workspace.folder.parent.parent
    with pytest.raises(WorkspaceError, match="no workspace city: there is none yet"):
        find_workspace(state, "city")
    workspace.save(WorkspaceRecord(JANUARY))
    assert list(workspaces(state)) == [workspace]
    assert find_workspace(state, "city").record() == WorkspaceRecord(JANUARY)
    with pytest.raises(WorkspaceError, match=r"no workspace town: there are city\. `just up FILE"):
        find_workspace(state, "town")


def test_new_files_are_loaded(workspace: Workspace) -> None:
    """Until the first trip is sent, others may take their place."""
    assert files_to_load(workspace, JANUARY) == JANUARY
    assert files_to_load(workspace, BOTH) == BOTH
    assert workspace.record() == WorkspaceRecord(BOTH)


def test_loaded_files_are_not_loaded_again(workspace: Workspace) -> None:
    """Whether they are named again or not, under any name and in any order."""
    workspace.save(WorkspaceRecord(BOTH, is_loaded=True))
    load(workspace, 3)
    moved = TripFileSet(given=("/e/2", "/e/1"), files=BOTH.files[::-1])
    for given in (None, BOTH, moved):
        assert files_to_load(workspace, given) is None


def test_loading_that_was_interrupted_goes_on(workspace: Workspace, files: Files) -> None:
    """From the files of its beginning, in their order; they may have moved."""
    files_to_load(workspace, BOTH)
    load(workspace, 2)
    moved = msgspec.structs.replace(BOTH, given=("/e",))
    assert files_to_load(workspace, moved) == moved
    assert workspace.record() == WorkspaceRecord(moved)
    files.found = moved
    assert files_to_load(workspace, None) == moved
    others_first = msgspec.structs.replace(BOTH, files=BOTH.files[::-1])
    assert files_to_load(workspace, others_first) == moved


def test_files_that_have_changed_meanwhile_are_refused(workspace: Workspace, files: Files) -> None:
    """A position in the old files means nothing in the new ones."""
    files_to_load(workspace, BOTH)
    load(workspace, 2)
    files.found = msgspec.structs.replace(BOTH, files=BOTH.files[:1])
    with pytest.raises(WorkspaceError, match=r"have changed .*: /d\. Put them back, or `just res"):
        files_to_load(workspace, None)


def test_other_files_or_options_are_refused_with_the_remedy(workspace: Workspace) -> None:
    """Nothing is mixed, and the record stays."""
    held = WorkspaceRecord(JANUARY, is_loaded=True)
    workspace.save(held)
    load(workspace, 3)
    with pytest.raises(WorkspaceError, match=r"holds other files: /d/january\.csv.*`just reset ci"):
        files_to_load(workspace, BOTH)
    otherwise = msgspec.structs.replace(JANUARY, options=(), tables={"drivers": "/t"})
    with pytest.raises(WorkspaceError, match="options: --as-is; now: --drivers /t"):
        files_to_load(workspace, otherwise)
    assert workspace.record() == held


def test_the_log_is_kept_and_only_named_tables_are_joined(tmp_path: Path) -> None:
    """The sample city's tables are of other people; old trips make no watermark too old."""
    given = {
        "MOBILITY_DRIVERS": "/sample",
        "MOBILITY_RETENTION_HOURS": "1",
        "MOBILITY_WINDOW": "60",
    }
    environ = workspace_environ({"locations": "/zones"}, tmp_path, given, name="january")
    settings = read_settings({k: v for k, v in environ.items() if k.startswith("MOBILITY_")})
    assert (settings.drivers, settings.passengers, settings.locations) == (None, None, "/zones")
    assert (settings.retention_hours, settings.ready_age, settings.window) == (876_600, 0, 60)
    assert settings.recovery_dir == str(tmp_path / "recovery")
    assert settings.stores == ("redis", "postgres")
    assert settings.workspace == "january"


@pytest.mark.parametrize(
    ("zones", "given", "timezone", "line"),
    [
        (
            ("America/Chicago",),
            {},
            "America/Chicago",
            "the API is that of the files: America/Chicago",
        ),
        (("UTC",), {}, "UTC", ""),
        ((), {}, "UTC", ""),
        (("Asia/Tokyo", "UTC"), {}, "UTC", "several time zones (Asia/Tokyo, UTC): that of the API"),
        (("UTC",), {"MOBILITY_TIMEZONE": "Asia/Tokyo"}, "Asia/Tokyo", ""),
        (("America/Chicago", "UTC"), {"MOBILITY_TIMEZONE": "Asia/Tokyo"}, "Asia/Tokyo", ""),
    ],
)
def test_the_api_has_the_time_zone_of_the_files(
    tmp_path: Path, zones: tuple[str, ...], given: dict[str, str], timezone: str, line: str
) -> None:
    """UTC if they have several, which a line says; what the caller has set comes first."""
    files = msgspec.structs.replace(JANUARY, timezones=zones)
    environ = workspace_environ({}, tmp_path, given, name="january", timezone=files.timezone)
    assert environ["MOBILITY_TIMEZONE"] == timezone
    told = list(describe_zone(files, given))
    assert len(told) == bool(line)
    assert line in "".join(told)


def test_a_workspace_of_an_earlier_version_has_no_time_zone(workspace: Workspace) -> None:
    """Its record is read, and its API stays in UTC."""
    workspace.save(WorkspaceRecord(JANUARY, is_loaded=True))
    path = workspace.folder / "workspace.json"
    record = json.loads(path.read_text())
    del record["files"]["timezones"]
    path.write_text(json.dumps(record))
    found = workspace.record()
    assert found is not None
    assert found.files.timezone == "UTC"
    in_chicago = msgspec.structs.replace(JANUARY, timezones=("America/Chicago",))
    assert found.files.is_read_as(in_chicago)


def test_a_workspace_that_does_not_exist_is_not_stopped_or_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says which there are, and no folder is made; the sample city has no name."""
    for service in ("KAFKA", "REDIS", "POSTGRES"):
        monkeypatch.delenv(f"MOBILITY_{service}", raising=False)
    for words in (["down"], []):
        assert main(["--folder", str(tmp_path / "state"), "--name", "city", *words]) == 2
        assert "no workspace city: there is none yet" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["native", "--name", "city"])
    assert "--name is for workspaces of files" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_services_of_others_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trips would be among theirs; nothing is written."""
    monkeypatch.setenv("MOBILITY_KAFKA", "broker:9092")
    with pytest.raises(WorkspaceError, match=r"MOBILITY_KAFKA.*of their own\. Unset it"):
        run_workspace(tmp_path, None, ["trips.csv"])
    assert list(tmp_path.iterdir()) == []
