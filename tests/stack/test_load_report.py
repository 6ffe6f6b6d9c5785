"""What people are told once the trips of their files are counted."""

import asyncio
import io
import json
from email.message import Message
from pathlib import Path
from urllib.error import HTTPError, URLError

import pytest

from mobility.settings import Settings
from mobility.trip_files import TripFile, TripFileSet
from stack import load_report
from stack.flow_status import ProcessStatus
from stack.import_folder import ImportRecord, new_import
from stack.load_report import LoadReport
from stack.workspace import Workspace, WorkspaceRecord, open_workspace

MARCH = 1_740_787_200_000
LATER = MARCH + 3_600_000
SETTINGS = Settings()


class Api:
    """The API, whose answer a test sets."""

    def __init__(self) -> None:
        self.answer: dict[str, object] | Exception = {"as_of": None, "trip_count": 0}

    def __call__(self, _settings: Settings) -> dict[str, object]:
        """Answer a request for the summary."""
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    """Return the API, in place of a real one."""
    api = Api()
    monkeypatch.setattr(load_report, "_request_summary", api)
    return api


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return a workspace with files."""
    workspace = open_workspace(tmp_path, "city")
    workspace.save(WorkspaceRecord(TripFileSet(given=("/t",), files=())))
    return workspace


def load(workspace: Workspace, rows: int = 7, last: int = LATER) -> None:
    """Write the state file of a producer that has sent so many of seven trips."""
    source = {"rows": 7, "first": MARCH, "last": last}
    workspace.state_file.write_text(json.dumps({"source": source, "position": {"row": rows}}))


def status(at: int, lag: int = 0, watermark: int | None = LATER) -> list[ProcessStatus]:
    """Return the status of a flow with one process."""
    return [ProcessStatus(1, at, 9, 9, 0, 0, watermark, lag)]


def told(report: LoadReport, *statuses: list[ProcessStatus]) -> list[str | None]:
    """Return what is told at each status."""
    return [asyncio.run(report(SETTINGS, each)) for each in statuses]


def test_it_waits_for_the_flow_and_the_stores(workspace: Workspace, api: Api) -> None:
    """Two reports without a lag, with the watermark that the stores have as well."""
    load(workspace)
    report = LoadReport(workspace, is_loading=True)
    assert told(report, status(1, lag=5), status(2, watermark=None), status(3)) == [None] * 3
    assert told(report, status(3)) == [None]  # the same report once more
    assert told(report, status(4)) == [None]
    api.answer = {"as_of": "2025-03-01T01:00:00Z", "trip_count": 7}
    (text,) = told(report, status(5))
    assert text == (
        "7 trips, from 2025-03-01 00:00 to 2025-03-01 01:00 UTC\n"
        "7 of them counted\n"
        "Open http://127.0.0.1:8000   Ctrl-C stops the system, `just up --name city` starts it "
        "again"
    )
    record = workspace.record()
    assert record is not None
    assert record.is_loaded


def test_what_is_not_counted_is_said(workspace: Workspace, api: Api) -> None:
    """With the commands that list it."""
    load(workspace)
    api.answer = {"as_of": "2025-03-01T01:00:00Z", "trip_count": 5}
    *_, text = told(LoadReport(workspace, is_loading=False), status(1), status(2))
    assert text is not None
    assert "5 of them counted\n2 not counted: repeated, late (`just late list --name city`)" in text


def test_an_api_that_is_not_ready_is_asked_again(workspace: Workspace, api: Api) -> None:
    """One that needs a token is not: then nobody is told how many trips are counted."""
    load(workspace)
    report = LoadReport(workspace, is_loading=False)
    for answer in (URLError("refused"), HTTPError("u", 503, "", Message(), io.BytesIO())):
        api.answer = answer
        assert told(report, status(1), status(2)) == [None, None]
    api.answer = HTTPError("u", 401, "", Message(), io.BytesIO())
    *_, text = told(report, status(3), status(4))
    assert text is not None
    assert "counted" not in text
    assert "Open http" in text


def test_loading_that_was_stopped_is_not_recorded_as_done(workspace: Workspace) -> None:
    """A producer that somebody has ended gracefully has not sent everything."""
    load(workspace, rows=3)
    (text,) = told(LoadReport(workspace, is_loading=True), status(1))
    assert text is not None
    assert "stopped after 3 of 7" in text
    record = workspace.record()
    assert record is not None
    assert not record.is_loaded


def test_windows_that_are_not_past_are_completed_by_a_later_start(
    workspace: Workspace, api: Api
) -> None:
    """So the producer runs again then, though it has no trip to send."""
    load(workspace, last=4_000_000_000_000)
    api.answer = {"as_of": "2025-03-01T01:00:00Z", "trip_count": 7}
    *_, text = told(LoadReport(workspace, is_loading=True), status(1), status(2))
    assert text is not None
    record = workspace.record()
    assert record is not None
    assert not record.is_loaded


def test_imported_files_count_as_well(workspace: Workspace, api: Api) -> None:
    """And the command that goes on with an import that is not done is named."""
    load(workspace)
    imported = new_import(workspace.folder)
    files = TripFileSet(given=("/d",), files=(TripFile("/d/a b.csv", 9, "a"),))
    imported.save(ImportRecord("log", files, {0: 7}))
    source = {"rows": 9, "first": MARCH - 3_600_000, "last": MARCH}
    imported.state_file.write_text(json.dumps({"source": source, "position": {"row": 2}}))
    api.answer = {"as_of": "2025-03-01T01:00:00Z", "trip_count": 9}
    *_, text = told(LoadReport(workspace, is_loading=False), status(1), status(2))
    assert text is not None
    assert text.startswith(
        "9 trips, from 2025-02-28 23:00 to 2025-03-01 01:00 UTC\n"
        "an import is not done: `just import '/d/a b.csv' --name city` goes on with it\n"
        "9 of them counted\nOpen"
    )
    imported.save(ImportRecord("log", files, {0: 7}, is_done=True))
    *_, text = told(LoadReport(workspace, is_loading=False), status(1), status(2))
    assert text is not None
    assert "not done" not in text
