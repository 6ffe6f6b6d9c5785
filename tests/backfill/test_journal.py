"""The journal: records are whole or absent, and corrections count until they are reverted."""

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from msgspec.structs import replace

from backfill.correction_file import CorrectionFile, read_correction_file
from backfill.errors import BackfillError
from backfill.journal import BackfillRecord, Journal
from backfill.log_read import LogRead, TopicRead
from backfill.plan import ENTITY_WINDOW_SCHEMA, WindowChanges
from backfill.window_range import WindowRange
from mobility.measures import TOTALS
from mobility.rules_journal import JournalEntry
from mobility.settings import Settings
from tests.strategies import MINUTE, NOON, Entry
from tests.windows import window, window_frame

SETTINGS = Settings()
HOUR = WindowRange(NOON, NOON + 60 * MINUTE)
NEXT = WindowRange(HOUR.end, HOUR.end + 60 * MINUTE)

READ = LogRead(
    TopicRead("a", {0: 7}), TopicRead(None, {}), (JournalEntry(at="", version=3, tables={}),)
)

Given = Callable[[WindowRange, str], CorrectionFile]


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Return an empty journal."""
    made = Journal(tmp_path / "records", "trips_stream on cluster c", SETTINGS)
    with made.lock():
        return made


@pytest.fixture
def given(tmp_path: Path) -> Given:
    """Return a function that makes a file of one correction in a range."""

    def make(window_range: WindowRange, name: str) -> CorrectionFile:
        file = tmp_path / name
        file.write_bytes(Entry(window_range.start, name, "d1", "car", 1).value or b"")
        return read_correction_file(file, window_range, SETTINGS)

    return make


def one_window(generation: int, trips: int = 1) -> WindowChanges:
    """Return changes of one window that did not exist before."""
    amounts = dict.fromkeys(TOTALS, 1)
    row = window("d1", NOON, trips, **amounts, entity="driver", pane="late", generation=generation)
    after = window_frame([row], ENTITY_WINDOW_SCHEMA)
    return WindowChanges(after.clear(), after)


def apply(
    journal: Journal,
    window_range: WindowRange,
    *corrections: CorrectionFile,
    reverts: str | None = None,
) -> BackfillRecord:
    """Record a backfill as applied."""
    generation = 1 + len(journal.records())
    record = journal.begin(
        window_range, one_window(generation), corrections, reverts, generation, READ
    )
    journal.finish(record)
    return record


def test_a_record_is_read_as_it_was_written(journal: Journal, given: Given) -> None:
    """The windows, the range, the corrections with the name and hash of their file."""
    corrections = given(HOUR, "corrected")
    record = journal.begin(HOUR, one_window(3, trips=0), [corrections], None, 3, None)
    assert (record.id, record.status, record.generation) == ("0001", "applying", 3)
    assert record.counts == {"driver": {"windows": 1, "emptied": 1}}
    assert journal.records() == [record]
    assert journal.effective_corrections(HOUR) == []
    journal.finish(record)
    (done,) = journal.records()
    assert (done.status, done.finished is not None) == ("applied", True)
    assert done.window_range(SETTINGS) == HOUR
    (copy,) = journal.effective_corrections(HOUR)
    assert (copy.name, copy.sha256) == (corrections.name, corrections.sha256)
    assert copy.window_range == HOUR
    assert copy.trips.equals(corrections.trips)
    assert journal.read_changes(record).after.equals(one_window(3, trips=0).after)


def test_the_stored_names_of_a_record(journal: Journal, given: Given) -> None:
    """Records of earlier releases have these names: they must be read, and by others too."""
    folder = journal.folder / apply(journal, HOUR, given(HOUR, "a"), reverts="0007").id
    record = json.loads((folder / "record.json").read_bytes())
    assert list(record) == [
        "id",
        "log",
        "from",
        "to",
        "status",
        "generation",
        "takes_back",
        "by",
        "started",
        "finished",
        "fingerprint",
        "inputs",
        "counts",
        "read",
    ]
    assert record["read"] == {
        "trips_stream": {"topic_id": "a", "ends": {"0": 7}},
        "trips_late": {"topic_id": None, "ends": {}},
        "rules": [{"at": "", "version": 3, "tables": {}, "first_offsets": {}, "topic_id": None}],
    }
    assert [list(each) for each in record["inputs"]] == [["name", "source", "trips", "file"]]
    assert record["takes_back"] == "0007"
    assert sorted(path.name for path in folder.iterdir()) == [
        "after.parquet",
        "before.parquet",
        "given-1.ndjson",
        "record.json",
    ]


def test_a_record_of_an_earlier_release_says_nothing_of_what_was_read(journal: Journal) -> None:
    """It is read all the same; an audit can't compute its windows, but those of a revert."""
    made = apply(journal, HOUR)
    path = journal.folder / made.id / "record.json"
    record = json.loads(path.read_bytes())
    del record["read"]
    path.write_text(json.dumps(record))
    (read,) = journal.records()
    assert (read.read, read.says_what_was_read) == (None, False)
    assert journal.has_unsaid(HOUR)
    assert not journal.has_unsaid(NEXT)
    apply(journal, WindowRange(HOUR.start, HOUR.start + 30 * MINUTE))
    assert journal.has_unsaid(HOUR)
    assert not journal.has_unsaid(WindowRange(HOUR.start, HOUR.start + 30 * MINUTE))
    apply(journal, HOUR)
    assert not journal.has_unsaid(HOUR)
    assert made.says_what_was_read
    assert replace(read, reverts="0007").says_what_was_read


def test_windows_of_an_earlier_release_have_one_start(journal: Journal) -> None:
    """Its backfills can be reverted: the earliest start is taken for the latest too."""
    record = journal.begin(HOUR, one_window(3), (), None, 3, None)
    stored = journal.folder / record.id / "after.parquet"
    pl.read_parquet(stored).drop("last_start_time").write_parquet(stored)
    assert journal.read_changes(record).after.equals(one_window(3).after)


def test_corrections_count_in_order_until_they_are_reverted(journal: Journal, given: Given) -> None:
    """Only those of overlapping ranges."""
    apply(journal, HOUR, given(HOUR, "a"), given(HOUR, "b"))
    apply(journal, NEXT, given(NEXT, "c"))
    both = WindowRange(HOUR.start, NEXT.end)
    names = [Path(each.name).name for each in journal.effective_corrections(both)]
    assert names == ["a", "b", "c"]
    assert [Path(each.name).name for each in journal.effective_corrections(NEXT)] == ["c"]
    begun = journal.begin(HOUR, one_window(9), (), "0001", 9, None)
    assert len(journal.effective_corrections(both)) == 3
    assert journal.reverted() == {}
    journal.finish(begun)
    assert [Path(each.name).name for each in journal.effective_corrections(both)] == ["c"]
    assert journal.reverted() == {"0001": "0003"}


def test_a_record_that_a_crash_interrupted_is_absent(journal: Journal) -> None:
    """Its folder is a draft, which the next record with that id replaces."""
    draft = journal.folder / "0001.draft"
    draft.mkdir()
    (draft / "record.json").write_bytes(b"{}")
    (draft / "given-1.ndjson").write_bytes(b"")
    assert journal.records() == []
    assert apply(journal, HOUR).id == "0001"
    names = sorted(path.name for path in (journal.folder / "0001").iterdir())
    assert names == ["after.parquet", "before.parquet", "record.json"]
    assert not draft.exists()


def test_other_logs_are_left_out_and_other_settings_refused(journal: Journal) -> None:
    """One folder serves several logs, with one sequence of ids."""
    apply(journal, HOUR)
    other = Journal(journal.folder, "trips_stream on cluster d", SETTINGS)
    assert other.records() == []
    assert apply(other, HOUR).id == "0002"
    assert [each.id for each in Journal(journal.folder, None, SETTINGS).records()] == [
        "0001",
        "0002",
    ]
    changed = Journal(journal.folder, "trips_stream on cluster c", replace(SETTINGS, window=60))
    with pytest.raises(BackfillError, match="0001 was made with fingerprint"):
        changed.overlapping(HOUR)


def test_only_one_backfill_at_a_time_writes(journal: Journal) -> None:
    """The lock is released at the end; only the owner can read the folder."""
    assert journal.folder.stat().st_mode & 0o077 == 0
    with journal.lock(), pytest.raises(BackfillError, match="Another backfill"), journal.lock():
        pass
    with journal.lock():
        pass


def test_a_record_that_cannot_be_read_is_an_error(journal: Journal) -> None:
    """The error names its file."""
    apply(journal, HOUR)
    (journal.folder / "0001" / "record.json").write_bytes(b"{}")
    with pytest.raises(BackfillError, match=r"0001/record\.json is not the record"):
        journal.records()
