"""The audit of recounted windows on real services: right ones are equal, wrong ones are found."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psycopg
import pytest
from msgspec.structs import replace

from backfill import run as backfill_run
from backfill import writing
from backfill.journal import Journal
from mobility.settings import Store
from mobility.times import iso_time
from tests.audit.conftest import Audit, Backfill, numbers, run_flow
from tests.dataflows.conftest import Hub, trips_log
from tests.strategies import MINUTE, NOON, Entry

pytestmark = pytest.mark.services

START, END = NOON + 10 * MINUTE, NOON + 80 * MINUTE
RANGE: Final = ("--from", iso_time(START), "--to", iso_time(END))
LATER: Final = ("--from", iso_time(NOON + 60 * MINUTE), "--to", iso_time(NOON + 100 * MINUTE))
BACKFILLED: Final = 3
PENDING: Final = 4


@pytest.fixture
def postgres(audited: Hub) -> Hub:
    """Return a tenant with Postgres, which the flow has filled with two hours of trips."""
    return fill(audited, ("postgres",))


def fill(hub: Hub, stores: tuple[Store, ...]) -> Hub:
    """Let the flow read a log with late trips and duplicates."""
    hub.settings = replace(hub.settings, stores=stores, recovery_dir=str(hub.recovery))
    hub.write([*trips_log(21)])
    run_flow(hub)
    return hub


def corrections(path: Path, *trips: Entry) -> Path:
    """Write corrections to a file."""
    path.write_bytes(b"\n".join(trip.value or b"" for trip in trips))
    return path


def moved(number: int, partition: int = 1) -> Entry:
    """Return a correction that moves a trip to another window and another driver."""
    return Entry(START + 33 * MINUTE + number, f"21-{partition}-{number}", "d-other", "car", 7)


def assert_right(audit: Audit, *arguments: str) -> dict[str, int]:
    """Assert that an audit compares all windows and finds no difference; return their numbers."""
    code, printed = audit("--all", *arguments)
    assert code == 0, printed
    assert set(numbers(printed, BACKFILLED).values()) == {0}, printed
    assert set(numbers(printed, PENDING).values()) == {0}, printed
    return numbers(printed)


def generations(hub: Hub) -> list[int]:
    """Return the generations of windows in Postgres."""
    query = "SELECT DISTINCT generation FROM driver_ledger ORDER BY 1"
    with psycopg.connect(hub.settings.postgres) as connection:
        return [row[0] for row in connection.execute(query)]


@pytest.mark.parametrize(
    ("stores", "steps"),
    [(("postgres",), 7), (("redis",), 2), (("delta", "postgres"), 2)],
    ids=["postgres", "redis", "delta beside postgres"],
)
def test_recounts_and_reverts_have_no_differences(
    audited: Hub,
    audit: Audit,
    backfill: Backfill,
    tmp_path: Path,
    stores: tuple[Store, ...],
    steps: int,
) -> None:
    """Late trips, trips that move, a second backfill of some windows, and both reverted."""
    fill(audited, stores)
    before = assert_right(audit)
    commands: Sequence[tuple[object, ...]] = (
        RANGE,
        (*RANGE, "--with", corrections(tmp_path / "a", moved(60), moved(61), moved(62))),
        (*LATER, "--with", corrections(tmp_path / "b", Entry(END + 1, "new", "d1", "car", 5))),
        ("--take-back", "0003"),
        (*RANGE, "--with", corrections(tmp_path / "c", moved(61, 0), moved(60))),
        ("--take-back", "0005"),
        ("--take-back", "0002"),
    )
    for number, command in enumerate(commands[:steps], 1):
        code, printed = backfill(*command, "--apply")
        assert (code, f"Backfill {number:04} is applied" in printed) == (0, True), printed
        found = assert_right(audit)
        assert min(found.values()) > 0
        assert found["aggregated"] != before["aggregated"], command
    assert_right(audit, "--since", RANGE[1], "--until", RANGE[3], "--entity", "h3")
    code, printed = audit("--windows", "20")
    assert code == 0, printed


def test_what_is_wrong_after_a_backfill_is_found(
    postgres: Hub, audit: Audit, backfill: Backfill, tmp_path: Path
) -> None:
    """A window that was changed by hand, and a correction that Postgres has lost."""
    with psycopg.connect(postgres.settings.postgres, autocommit=True) as connection:
        connection.execute("CREATE TABLE before AS TABLE driver_ledger")
        file = corrections(tmp_path / "a", moved(60), moved(61))
        assert backfill(*RANGE, "--with", file, "--apply")[0] == 0
        assert_right(audit)
        connection.execute("CREATE TABLE after AS TABLE driver_ledger")
        changes = (
            "UPDATE driver_ledger SET total_revenue = total_revenue + 1 WHERE generation = 1",
            "DELETE FROM driver_ledger WHERE generation = 1 AND trip_count > 0",
            "TRUNCATE driver_ledger; INSERT INTO driver_ledger TABLE before",
        )
        for change in changes:
            connection.execute(change)
            code, printed = audit("--all")
            assert (code, "\nPostgres: " in printed) == (1, True), (change, printed)
            assert "\naggregated: " not in printed
            connection.execute("TRUNCATE driver_ledger; INSERT INTO driver_ledger TABLE after")
    assert_right(audit)


def test_a_recounted_window_that_topics_lack_is_found(
    postgres: Hub, audit: Audit, backfill: Backfill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nothing says up to where the flow has delivered: the record does."""
    postgres.settings = replace(postgres.settings, status_dir=None)
    file = corrections(tmp_path / "a", moved(60), moved(61))
    with monkeypatch.context() as lossy:
        lossy.setattr(writing, "send_windows", lambda *_: None)
        assert backfill(*RANGE, "--with", file, "--apply")[0] == 0
    for size in (["--all"], ["--windows", "1000"]):
        code, printed = audit(*size)
        assert (code, "\naggregated: missing: entity driver, id d-other" in printed) == (1, True), (
            printed
        )
        assert "\nPostgres: " not in printed


@pytest.mark.usefixtures("postgres")
@pytest.mark.parametrize("written", ["nothing", "topics", "everything"])
def test_what_a_backfill_is_writing_is_pending(
    audit: Audit,
    backfill: Backfill,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    written: str,
) -> None:
    """Whatever it has written so far; once the same command has finished it, all is compared."""
    places = {
        "nothing": (backfill_run, "write_windows"),
        "topics": (writing, "_apply"),
        "everything": (Journal, "finish"),
    }

    def fail(*_: object) -> None:
        raise OSError

    file = corrections(tmp_path / "a", moved(60), moved(61))
    with monkeypatch.context() as broken:
        broken.setattr(*places[written], fail)
        assert backfill(*RANGE, "--with", file, "--apply")[0] == 1
    code, printed = audit("--all")
    assert code == 0, printed
    assert numbers(printed, PENDING)["aggregated"] > 0, printed
    assert numbers(printed, BACKFILLED)["aggregated"] == 0
    assert backfill(*RANGE, "--with", file, "--apply")[0] == 0
    assert_right(audit)


@pytest.mark.usefixtures("postgres")
def test_records_of_an_earlier_release_are_left_out(
    audit: Audit, backfill: Backfill, records: Path
) -> None:
    """The report says why, and how they are compared: by a recount, which is recorded then."""
    assert backfill(*RANGE, "--apply")[0] == 0
    path = records / "0001" / "record.json"
    record = json.loads(path.read_bytes())
    del record["read"]
    path.write_text(json.dumps(record))
    code, printed = audit("--all")
    assert code == 0, printed
    assert numbers(printed, BACKFILLED)["Postgres"] > 0
    assert "backfill 0001 does not say what it has read" in printed
    command = f"just backfill {' '.join(RANGE)} --apply"
    assert f"`{command}`" in printed
    code, printed = backfill(*RANGE, "--apply")
    assert (code, "Backfill 0002 is recorded" in printed) == (0, True), printed
    assert_right(audit)
    assert "No difference" in backfill(*RANGE, "--apply")[1]
    assert not (records / "0003").exists()


def test_trips_that_come_after_a_backfill_do_not_count_in_it(
    postgres: Hub, audit: Audit, backfill: Backfill
) -> None:
    """A late trip waits for the next recount; with other tables and rules a recount stays right."""
    assert backfill(*RANGE, "--apply")[0] == 0
    late = [Entry(START + MINUTE, "very-late", "d1", "car", 5)]
    postgres.write([late, late, []])
    run_flow(postgres)
    assert_right(audit)
    assert backfill(*RANGE, "--apply")[0] == 0
    assert generations(postgres) == [0, 1, 2]
    assert_right(audit)
