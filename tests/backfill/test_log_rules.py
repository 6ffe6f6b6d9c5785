"""What offsets are judged by: as the recovery folder says, or the backfill is refused."""

from pathlib import Path

import polars as pl
import pytest

from backfill.errors import BackfillError
from backfill.log_batch import POSITION_SCHEMA
from backfill.log_rules import LogRules
from mobility.rules_journal import JOURNAL_FILE, JournalEntry, encode_journal
from mobility.settings import Settings


def write_journal(folder: Path, *entries: JournalEntry) -> Settings:
    """Write a journal; return the settings that name its folder."""
    (folder / JOURNAL_FILE).write_bytes(encode_journal(entries))
    return Settings(recovery_dir=str(folder))


def test_each_offset_has_what_came_into_force_last(tmp_path: Path) -> None:
    """By partition; a topic of the same name that was created later has the newest alone."""
    first = JournalEntry(at="1", version=1, tables={})
    second = JournalEntry(at="2", version=3, tables={}, first_offsets={0: 5}, topic_id="old")
    settings = write_journal(tmp_path, first, second)
    rows = [(0, 4), (0, 5), (1, 0), (0, 1)]
    positions = pl.DataFrame(rows, schema=POSITION_SCHEMA, orient="row")
    for topic, expected in (("old", {1: [0, 3], 3: [1, 2]}), ("new", {3: [0, 1, 2, 3]})):
        found = LogRules(settings, topic).split(positions)
        assert {rules.trip_rules.version: rows.to_list() for rules, rows in found} == expected


def test_a_folder_without_a_journal_is_refused(tmp_path: Path) -> None:
    """It may be another folder; a journal that can't be read is refused, too."""
    with pytest.raises(BackfillError, match=f"MOBILITY_RECOVERY_DIR={tmp_path} does not say"):
        LogRules(Settings(recovery_dir=str(tmp_path)))
    (tmp_path / JOURNAL_FILE).write_text("x\n")
    with pytest.raises(BackfillError, match=JOURNAL_FILE):
        LogRules(Settings(recovery_dir=str(tmp_path)))


def test_a_table_that_is_missing_is_refused(tmp_path: Path) -> None:
    """Its trips would get other vehicle types."""
    settings = write_journal(tmp_path, JournalEntry(at="1", version=3, tables={"drivers": "abc"}))
    with pytest.raises(BackfillError, match=r"abc\.parquet"):
        _ = LogRules(settings).newest_tables
