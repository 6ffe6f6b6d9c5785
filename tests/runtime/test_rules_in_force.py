"""Tables and rules change only at offsets after which nothing was classified before."""

import json
import pickle
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mobility.enrichment import TableError
from mobility.records import RULES_VERSION
from mobility.rules_journal import JOURNAL_FILE, JournalEntry, in_force
from mobility.settings import Settings
from runtime.failures import RefusalError, StartError
from runtime.flows import TRIPS_STEP_ID
from runtime.folder_record import FolderRecord
from runtime.recovery import make_partitions, stored_states
from runtime.recovery_lock import lock_folder
from runtime.rules import RulesReader
from runtime.rules_in_force import check_tables, update_rules
from runtime.rules_journal import copied_tables, copy_tables, read_journal, write_journal


class Folder:
    """A recovery folder, and a table of drivers beside it."""

    def __init__(self, parent: Path) -> None:
        self.path = parent / "recovery"
        self.path.mkdir()
        make_partitions(self.path)
        self.drivers = parent / "drivers.parquet"
        self.settings = Settings(drivers=str(self.drivers))
        self.epoch = 1
        self.write_drivers("car")

    def write_drivers(self, vehicle_type: str) -> None:
        """Replace the table."""
        rows = {"driver_id": ["d1"], "vehicle_type": [vehicle_type]}
        pl.DataFrame(rows).write_parquet(self.drivers)

    def start(self) -> JournalEntry:
        """Update the rules as a start does; return what is in force."""
        update_rules(self.path, self.settings)
        return read_journal(self.path)[-1]

    def vehicle_type(self) -> str:
        """Return the vehicle type in the copy that is in force."""
        entry = read_journal(self.path)[-1]
        table = pl.read_parquet(copied_tables(self.path, entry)["drivers"])
        return str(table["vehicle_type"].item())

    def snapshot(self, **partitions: dict[str, Any]) -> None:
        """Write the snapshots of an epoch: states by partition (`p0`), with what all have."""
        with closing(sqlite3.connect(self.path / "part-0.sqlite3")) as connection, connection:
            connection.execute("INSERT OR REPLACE INTO exs VALUES ('', 0, 1, 1)")
            connection.executemany(
                "INSERT INTO snaps VALUES ('', ?, ?, ?, ?)",
                [
                    (TRIPS_STEP_ID, f"00{name[1:]}", self.epoch, pickle.dumps(state))
                    for name, state in partitions.items()
                ],
            )
            self.epoch += 1
            connection.execute("INSERT OR REPLACE INTO fronts VALUES ('', 0, 0, ?)", (self.epoch,))

    def end(self, *offsets: int, topic_id: str | None = "topic-1") -> None:
        """Write the snapshots of a graceful stop."""
        states = {
            f"p{number}": {"next_offset": offset, "topic_id": topic_id, "ended": True}
            for number, offset in enumerate(offsets)
        }
        self.snapshot(**states)

    def crash(self, *offsets: int) -> None:
        """Write the snapshots of a killed run."""
        states = {
            f"p{number}": {"next_offset": offset, "topic_id": "topic-1", "ended": False}
            for number, offset in enumerate(offsets)
        }
        self.snapshot(**states)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Return a folder that was not used yet."""
    return Folder(tmp_path)


def test_a_new_folder_takes_the_tables_for_the_whole_log(folder: Folder) -> None:
    """A copy, named by its hash, and the newest rules."""
    entry = folder.start()
    assert (entry.version, entry.first_offsets) == (RULES_VERSION, {})
    assert folder.vehicle_type() == "car"
    folder.drivers.unlink()
    assert folder.vehicle_type() == "car"


def test_after_a_graceful_stop_they_change_at_the_resumed_offsets(
    folder: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    """The new table is in force from the resumed offsets on."""
    folder.start()
    folder.end(10, 20)
    folder.write_drivers("bike")
    entry = folder.start()
    assert (entry.first_offsets, entry.topic_id) == ({0: 10, 1: 20}, "topic-1")
    assert folder.vehicle_type() == "bike"
    assert "drivers.parquet has changed: in force from here on" in capsys.readouterr().err
    files = [copied_tables(folder.path, each)["drivers"] for each in read_journal(folder.path)]
    assert [pl.read_parquet(file)["vehicle_type"].item() for file in files] == ["car", "bike"]


@pytest.mark.parametrize("ended", [(True, False), (False, False)])
def test_after_a_crash_the_copy_stays(
    folder: Folder, capsys: pytest.CaptureFixture[str], ended: tuple[bool, bool]
) -> None:
    """A changed file is used after the next graceful stop only."""
    folder.start()
    folder.snapshot(
        p0={"next_offset": 10, "ended": ended[0]}, p1={"next_offset": 20, "ended": ended[1]}
    )
    folder.write_drivers("bike")
    folder.start()
    assert folder.vehicle_type() == "car"
    error = capsys.readouterr().err
    assert f"MOBILITY_DRIVERS={folder.drivers} has changed, but the last run did not end" in error
    folder.end(30, 40)
    assert folder.start().first_offsets == {0: 30, 1: 40}
    assert folder.vehicle_type() == "bike"


def test_what_a_crashed_run_has_read_keeps_its_table(folder: Folder) -> None:
    """Also where the run after it was stopped before it had read all of that again."""
    assert not reader(folder).follows_crash
    folder.start()
    assert not reader(folder).follows_crash
    folder.crash(10)
    folder.start()
    assert reader(folder).follows_crash
    folder.snapshot(p0={"next_offset": 15, "ended": True, "read_before": 40})
    folder.write_drivers("bike")
    assert folder.start().first_offsets == {0: 40}
    assert not reader(folder).follows_crash
    rules = reader(folder).from_offset(0, 15, None)
    assert [each.first_offset for each in rules] == [0, 40]
    # It is known until the offset is reached.
    folder.snapshot(p0={"next_offset": 20, "ended": True, "read_before": 40})
    folder.write_drivers("scooter")
    assert folder.start().first_offsets == {0: 40}
    folder.snapshot(p0={"next_offset": 50, "ended": True, "read_before": 40})
    folder.write_drivers("car")
    assert folder.start().first_offsets == {0: 50}


def reader(folder: Folder) -> RulesReader:
    """Return what the processes of a run read."""
    return RulesReader(folder.settings, folder.path)


def test_a_first_run_without_a_snapshot_may_have_read(folder: Folder) -> None:
    """The next one follows a crash."""
    folder.start()
    folder.start()
    assert reader(folder).follows_crash


def test_a_run_without_a_snapshot_counts_as_crashed(folder: Folder) -> None:
    """It may have read messages, although the states are those of a graceful stop."""
    folder.start()
    folder.end(10, 20)
    folder.start()
    folder.write_drivers("bike")
    folder.start()
    assert folder.vehicle_type() == "car"


def test_a_refused_start_is_not_a_run(folder: Folder) -> None:
    """After the table was corrected, the next start uses it."""
    folder.start()
    folder.end(10)
    pl.DataFrame({"driver_id": ["d1"]}).write_parquet(folder.drivers)
    with pytest.raises(RefusalError, match=r"MOBILITY_DRIVERS=.*has no vehicle_type"):
        folder.start()
    assert folder.vehicle_type() == "car"
    folder.write_drivers("bike")
    assert folder.start().first_offsets == {0: 10}


@pytest.mark.parametrize("content", [None, b"no parquet"])
def test_after_a_crash_the_file_need_not_be_there(
    folder: Folder, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    """Messages that are read again are classified by the copy."""
    folder.start()
    folder.crash(10)
    folder.drivers.unlink()
    if content is not None:
        folder.drivers.write_bytes(content)
    folder.start()
    assert folder.vehicle_type() == "car"
    what = "can't be read (No such file or directory)" if content is None else "has changed"
    assert what in capsys.readouterr().err


def test_a_setting_that_is_unset_is_a_change(folder: Folder) -> None:
    """After a crash the table is still joined."""
    folder.start()
    folder.crash(10)
    folder.settings = Settings()
    assert list(folder.start().tables) == ["drivers"]
    folder.end(20)
    assert folder.start().tables == {}
    assert read_journal(folder.path)[-1].first_offsets == {0: 20}


def test_the_same_content_leaves_the_journal_unchanged(folder: Folder) -> None:
    """A file that was replaced by one with the same content is not a change."""
    folder.start()
    before = (folder.path / JOURNAL_FILE).read_bytes()
    folder.end(10)
    folder.write_drivers("car")
    folder.start()
    assert (folder.path / JOURNAL_FILE).read_bytes() == before


def test_new_rules_wait_for_a_graceful_stop_too(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages that an older release has read are classified by its rules again."""
    monkeypatch.setattr("runtime.rules_in_force.RULES_VERSION", 1)
    folder.start()
    folder.crash(10)
    monkeypatch.setattr("runtime.rules_in_force.RULES_VERSION", 2)
    assert folder.start().version == 1
    folder.end(20)
    entry = folder.start()
    assert (entry.version, entry.first_offsets) == (2, {0: 20})


def test_a_folder_without_a_journal_has_the_first_rules(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How its last run ended is unknown, so the newest rules wait for a graceful stop."""
    monkeypatch.setattr("runtime.rules_in_force.RULES_VERSION", 2)
    folder.snapshot(p0={"next_offset": 10, "latest": None})
    assert (folder.start().version, read_journal(folder.path)[-1].first_offsets) == (1, {})
    folder.end(20)
    assert folder.start().version == 2


def test_a_journal_in_a_new_folder_is_in_force_there(folder: Folder, tmp_path: Path) -> None:
    """A copied journal classifies each offset as before."""
    folder.start()
    folder.end(10)
    folder.write_drivers("bike")
    folder.start()
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    write_journal(other, read_journal(folder.path))
    lock_folder(other, FolderRecord.of("main", folder.settings)).close()
    update_rules(other, folder.settings)
    assert read_journal(other) == read_journal(folder.path)


def test_an_unreadable_journal_is_refused(folder: Folder) -> None:
    """Also that of a later release with newer rules."""
    folder.start()
    path = folder.path / JOURNAL_FILE
    line = json.loads(path.read_text())
    for content in ("{", json.dumps(line | {"version": 99})):
        path.write_text(content)
        with pytest.raises(RefusalError, match=r"rules.ndjson can't be read"):
            folder.start()


def test_a_full_disk_is_a_start_error(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is in force that is not on the disk."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("runtime.rules_journal.sync_folder", full)
    with pytest.raises(StartError, match="No space left"):
        folder.start()
    assert read_journal(folder.path) == ()


def test_tables_are_checked_before_a_stop(folder: Folder) -> None:
    """The tables of the settings."""
    check_tables(folder.settings)
    folder.drivers.write_bytes(b"")
    with pytest.raises(RefusalError, match="MOBILITY_DRIVERS="):
        check_tables(folder.settings)


def test_the_newest_state_of_a_partition_counts(folder: Folder) -> None:
    """Older states may still be there."""
    folder.crash(10, 11)
    folder.crash(20)
    states = stored_states(folder.path, TRIPS_STEP_ID)
    assert {key: state["next_offset"] for key, state in states.items()} == {"000": 20, "001": 11}


def test_a_recreated_topic_has_the_newest_rules() -> None:
    """Offsets of the deleted topic have no meaning in it."""
    first = JournalEntry(at="1", version=1, tables={})
    second = JournalEntry(at="2", version=1, tables={}, first_offsets={0: 50}, topic_id="a")
    assert in_force([first, second], 0, "a") == [(0, first), (50, second)]
    assert in_force([first, second], 0, "b") == [(0, second)]
    assert in_force([first, second], 1, "a") == [(0, second)]


def test_a_location_that_is_not_on_earth_is_refused_unless_it_is_in_force(
    folder: Folder, tmp_path: Path
) -> None:
    """The copy of an earlier release stays what it was after a crash; the message has the row."""
    file = tmp_path / "locations.parquet"
    pl.DataFrame({"location_id": [1, 2], "lat": [1, 95], "lng": [2, 2]}).write_parquet(file)
    here = f"MOBILITY_LOCATIONS={file}: row 2: lat is 95, expected degrees from -90 to 90"
    folder.start()
    folder.end(10)
    folder.settings = Settings(locations=str(file))
    with pytest.raises(RefusalError, match=here):
        folder.start()
    with pytest.raises(RefusalError, match=here):
        check_tables(folder.settings)
    entry = JournalEntry(
        at="2025-01-01T00:00:00+00:00",
        version=RULES_VERSION,
        tables=copy_tables(folder.path, {"locations": file}),
        first_offsets={},
        topic_id=None,
    )
    write_journal(folder.path, [entry])
    folder.crash(20)
    assert folder.start() == entry
    (rules,) = RulesReader(folder.settings, folder.path).from_offset(0, 20, "topic-1")
    assert rules.tables.locations is not None
    assert rules.tables.locations.height == 2
    with pytest.raises(TableError, match=here):
        RulesReader(folder.settings, None).from_offset(0, 0, None)
