"""The book: a record is whole or not there, and what stands is what was not taken back."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from msgspec.structs import replace

from backfill.book import Book, Record
from backfill.errors import BackfillError
from backfill.inputs import Corrections, read_corrections
from backfill.plan import HELD_SCHEMA, Changes
from backfill.range import Range
from mobility.settings import Settings
from tests.strategies import MINUTE, NOON, Entry

SETTINGS = Settings()
HOUR = Range(NOON, NOON + 60 * MINUTE)
NEXT = Range(HOUR.end, HOUR.end + 60 * MINUTE)

Given = Callable[[Range, str], Corrections]


@pytest.fixture
def book(tmp_path: Path) -> Book:
    """Return an empty book."""
    made = Book(tmp_path / "records", "trips_stream on cluster c", SETTINGS)
    with made.locked():
        return made


@pytest.fixture
def given(tmp_path: Path) -> Given:
    """Return a maker of one correction in a range."""

    def make(span: Range, name: str) -> Corrections:
        file = tmp_path / name
        file.write_bytes(Entry(span.start, name, "d1", "car", 1).value or b"")
        return read_corrections(file, span, SETTINGS)

    return make


def one_window(generation: int, trips: int = 1) -> Changes:
    """Return changes of one window that did not exist before."""
    row = ("driver", "d1", NOON, trips, 1, 1, 1, NOON, NOON, "late", generation)
    after = pl.DataFrame([row], schema=HELD_SCHEMA, orient="row")
    return Changes(after.clear(), after)


def apply(book: Book, span: Range, *corrections: Corrections, back: str | None = None) -> Record:
    """Write a record down and finish it."""
    record = book.begin(span, one_window(1 + len(book.records())), corrections, back)
    book.finish(record)
    return record


def test_a_record_comes_back_as_it_was_written(book: Book, given: Given) -> None:
    """The windows, the range, the corrections with the name and hash of their file."""
    corrections = given(HOUR, "mended")
    record = book.begin(HOUR, one_window(3, trips=0), [corrections], None)
    assert (record.id, record.status, record.generation) == ("0001", "applying", 3)
    assert record.counts == {"driver": {"windows": 1, "emptied": 1}}
    assert book.records() == [record]
    assert book.standing(HOUR) == []
    book.finish(record)
    (done,) = book.records()
    assert (done.status, done.finished is not None) == ("applied", True)
    assert done.span(SETTINGS) == HOUR
    (held,) = book.standing(HOUR)
    assert (held.name, held.source, held.given_for) == (corrections.name, corrections.source, HOUR)
    assert held.rows.equals(corrections.rows)
    assert book.changes(record).after.equals(one_window(3, trips=0).after)


def test_windows_of_an_earlier_release_have_one_start(book: Book) -> None:
    """A book that it kept can be taken back: the earliest start stands for the latest too."""
    record = book.begin(HOUR, one_window(3), (), None)
    stored = book.folder / record.id / "after.parquet"
    pl.read_parquet(stored).drop("last_start_time").write_parquet(stored)
    assert book.changes(record).after.equals(one_window(3).after)


def test_corrections_stand_in_their_order_until_taken_back(book: Book, given: Given) -> None:
    """Only those of ranges that meet the one in question."""
    apply(book, HOUR, given(HOUR, "a"), given(HOUR, "b"))
    apply(book, NEXT, given(NEXT, "c"))
    both = Range(HOUR.start, NEXT.end)
    names = [Path(each.name).name for each in book.standing(both)]
    assert names == ["a", "b", "c"]
    assert [Path(each.name).name for each in book.standing(NEXT)] == ["c"]
    begun = book.begin(HOUR, one_window(9), (), "0001")
    assert len(book.standing(both)) == 3
    assert book.undone() == {}
    book.finish(begun)
    assert [Path(each.name).name for each in book.standing(both)] == ["c"]
    assert book.undone() == {"0001": "0003"}


def test_a_record_that_a_crash_cut_off_is_not_there(book: Book) -> None:
    """Its folder is a draft, which the next record of that number replaces."""
    draft = book.folder / "0001.draft"
    draft.mkdir()
    (draft / "record.json").write_bytes(b"{}")
    (draft / "given-1.ndjson").write_bytes(b"")
    assert book.records() == []
    assert apply(book, HOUR).id == "0001"
    names = sorted(path.name for path in (book.folder / "0001").iterdir())
    assert names == ["after.parquet", "before.parquet", "record.json"]
    assert not draft.exists()


def test_other_logs_and_settings_are_told_apart(book: Book) -> None:
    """One folder serves several logs; ids are the folder's, and windows must mean the same."""
    apply(book, HOUR)
    other = Book(book.folder, "trips_stream on cluster d", SETTINGS)
    assert other.records() == []
    assert apply(other, HOUR).id == "0002"
    assert [each.id for each in Book(book.folder, None, SETTINGS).records()] == ["0001", "0002"]
    changed = Book(book.folder, "trips_stream on cluster c", replace(SETTINGS, window=60))
    with pytest.raises(BackfillError, match="0001 was made with fingerprint"):
        changed.about(HOUR)


def test_one_backfill_at_a_time_writes(book: Book) -> None:
    """The lock is the process's; the folder is nobody else's to read."""
    assert book.folder.stat().st_mode & 0o077 == 0
    with book.locked(), pytest.raises(BackfillError, match="Another backfill"), book.locked():
        pass
    with book.locked():
        pass


def test_a_record_that_cannot_be_read_is_named(book: Book) -> None:
    """Nothing is guessed about what may have been written."""
    apply(book, HOUR)
    (book.folder / "0001" / "record.json").write_bytes(b"{}")
    with pytest.raises(BackfillError, match=r"0001/record\.json is no record"):
        book.records()
