"""Which windows a round compares, where backfills are made before it, and while it reads."""

from pathlib import Path
from typing import Final

import polars as pl
import pytest
from msgspec.structs import replace

from audit.backfill_records import KEY_SCHEMA, BackfillRecords
from audit.recount_computation import RecountedWindows
from audit.recounts import Recounts
from backfill.journal import BackfillRecord, Journal
from backfill.log_read import LogRead, TopicRead
from backfill.plan import ENTITY_WINDOW_SCHEMA, WindowChanges
from backfill.window_range import WindowRange
from mobility.settings import Settings
from tests.strategies import MINUTE, NOON
from tests.windows import window, window_frame

SETTINGS: Final = Settings()
LOG: Final = "trips_stream on cluster c"
HOUR: Final = WindowRange(NOON, NOON + 60 * MINUTE)
READ: Final = LogRead(TopicRead("a", {0: 7}), TopicRead("b", {}), ())
KEYS: Final = [("driver", name, NOON + at * MINUTE) for name in ("a", "b") for at in (0, 60)]


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Return an empty journal of backfills."""
    made = Journal(tmp_path, LOG, SETTINGS)
    with made.lock():
        return made


def begin(
    journal: Journal, name: str, read: LogRead | None = READ, reverts: str | None = None
) -> BackfillRecord:
    """Record a backfill of an hour that is about to write the first window of a driver."""
    generation = 1 + len(journal.records())
    row = window(name, NOON, 1, entity="driver", pane="late", generation=generation)
    after = window_frame([row], ENTITY_WINDOW_SCHEMA)
    changes = WindowChanges(after.clear(), after)
    return journal.begin(HOUR, changes, (), reverts, generation, read)


def judged(
    journal: Journal,
    recounts: Recounts | None = None,
    generation: int = 0,
    recounted: RecountedWindows | None = None,
) -> dict[str, list[object]]:
    """Return what is judged of the windows of two drivers, in and behind the hour."""
    now = recounts or known(journal, recounted)
    windows = pl.DataFrame(KEYS, schema=KEY_SCHEMA, orient="row")
    found = now.judge(windows.with_columns(generation=pl.lit(generation, pl.Int64)))
    return found.drop(*KEY_SCHEMA).to_dict(as_series=False)


def known(journal: Journal, recounted: RecountedWindows | None = None) -> Recounts:
    """Return what an audit knows of backfills that begins now."""
    records = BackfillRecords(journal.folder, LOG, SETTINGS.fingerprint)
    return Recounts(records, records.read(), recounted or RecountedWindows())


def test_a_recount_is_right_for_its_range_once_it_is_applied(journal: Journal) -> None:
    """Until then what it is writing is pending, also where the round began before it."""
    before = known(journal)
    record = begin(journal, "a")
    for recounts in (before, known(journal)):
        found = judged(journal, recounts)
        assert found["is_pending"] == [True, False, False, False]
        assert (found["recount"], found["is_written"]) == ([0] * 4, [False] * 4)
    journal.finish(record)
    assert judged(journal, before)["is_pending"] == [True, False, False, False]
    found = judged(journal)
    assert (found["recount"], found["is_pending"]) == ([1, 0, 1, 0], [False] * 4)
    assert found["is_written"] == [True, False, False, False]
    assert found["fault"] == [None] * 4


def test_a_revert_restores_what_it_writes(journal: Journal) -> None:
    """The other windows of the range stay right by the recount."""
    journal.finish(begin(journal, "a"))
    journal.finish(begin(journal, "b"))
    journal.finish(begin(journal, "b", read=None, reverts="0002"))
    assert judged(journal)["recount"] == [2, 0, 1, 0]
    journal.finish(begin(journal, "a", read=None, reverts="0001"))
    assert judged(journal)["recount"] == [0, 0, 1, 0]


def test_what_no_record_says_is_a_fault(journal: Journal) -> None:
    """A record of an earlier release, a generation without one, tables that are gone."""
    journal.finish(begin(journal, "a", read=None))
    found = judged(journal)
    assert found["recount"] == [-1, 0, 0, 0]
    assert "of backfill 0001 does not say what it has read" in str(found["fault"][0])
    assert found["fault"][1:] == [None] * 3
    journal.finish(begin(journal, "a"))
    assert judged(journal)["fault"] == [None] * 4
    faults = judged(journal, generation=2)["fault"]
    assert [fault is None for fault in faults] == [True, False, True, False]
    assert "has no record of the backfill" in str(faults[1])
    lost = RecountedWindows(faults={2: "tables are gone"})
    assert "backfill 0002: tables are gone" in str(judged(journal, recounted=lost)["fault"][0])
    truncated = judged(journal, recounted=RecountedWindows(truncated_until=NOON))["fault"]
    assert [fault is None for fault in truncated] == [False, True, False, True]


def test_records_of_other_logs_and_settings_are_not_read(journal: Journal) -> None:
    """One folder serves several logs."""
    journal.finish(begin(journal, "a"))
    other = replace(SETTINGS, allowed_lateness=1)
    for log, settings in ((f"{LOG}d", SETTINGS), (LOG, other)):
        assert BackfillRecords(journal.folder, log, settings.fingerprint).read() == ()
    (journal.folder / "0001" / "record.json").write_bytes(b"{}")
    with pytest.raises(ValueError, match=r"record\.json is not the record"):
        known(journal)
