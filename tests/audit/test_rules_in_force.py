"""The audit judges each offset by what the flow's journal says, which it reads by itself."""

import json
from pathlib import Path

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.oracle import run_oracle, validate_log
from audit.rules_in_force import JournalError, RulesInForce, read_rules_in_force
from audit.validation import LogMessage
from broker.topics import TopicInfo
from mobility.rules_journal import JOURNAL_FILE, JournalEntry, encode_journal, in_force, table_file
from mobility.settings import Settings
from tests.strategies import MINUTE, NOON, Entry

TOPIC = "topic-1"


@pytest.fixture(autouse=True)
def topic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the broker have a topic of this id."""
    info = TopicInfo("trips_stream", (0, 1), TOPIC)
    monkeypatch.setattr("audit.rules_in_force.find_topic", lambda *_: info)


def journal(folder: Path, *entries: JournalEntry, **since: int | None) -> RulesInForce:
    """Write a journal as the flow does; return it as the audit reads it."""
    (folder / JOURNAL_FILE).write_bytes(encode_journal(entries))
    (folder / "flow.json").write_text(json.dumps({"entities": since}))
    found = read_rules_in_force(Settings(recovery_dir=str(folder)))
    assert found is not None
    return found


def entry(name: str, first_offsets: dict[int, int] | None = None, **other: object) -> JournalEntry:
    """Return an entry that is recognised by its only table."""
    made = JournalEntry(
        at="", version=1, tables={"drivers": name}, first_offsets=first_offsets or {}
    )
    return msgspec.structs.replace(made, **other)


@given(
    st.lists(
        st.tuples(
            st.dictionaries(st.integers(0, 2), st.integers(0, 12)),
            st.sampled_from((None, TOPIC, "another")),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_both_implementations_agree(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[dict[int, int], str | None]]
) -> None:
    """For every offset of every partition, whatever was written in which order."""
    entries = [entry("0")] + [
        entry(str(number), firsts, topic_id=topic_id)
        for number, (firsts, topic_id) in enumerate(drawn, 1)
    ]
    rules = journal(tmp_path_factory.mktemp("folder"), *entries)
    positions = [(partition, offset) for partition in range(4) for offset in range(14)]
    rows = pl.DataFrame(positions, schema=["partition", "offset"], orient="row")
    found = {
        position: line.tables["drivers"].stem
        for line, part in rules.split_rows(rows)
        for position in part.iter_rows()
    }
    assert found == {
        (partition, offset): [
            each.tables["drivers"]
            for first, each in in_force(entries, partition, TOPIC)
            if first <= offset
        ][-1]
        for partition, offset in positions
    }


def test_trips_are_joined_by_the_table_of_their_offset(tmp_path: Path) -> None:
    """And corrections, which have no partition, by the newest one."""
    (tmp_path / "tables").mkdir()
    for kind in ("car", "bike"):
        rows = pl.DataFrame({"driver_id": ["d1"], "vehicle_type": [kind]})
        rows.write_parquet(tmp_path / table_file(kind))
    rules = journal(tmp_path, entry("car"), entry("bike", {0: 2, 1: 1}))
    value = Entry(NOON, None, "d1", None, 1).value
    messages = [LogMessage(partition, at, NOON, value) for partition in (0, 1) for at in range(3)]
    log = validate_log([messages], Settings(), rules)
    windows = run_oracle(log, Settings(), rules).windows
    found = windows.filter(pl.col("entity") == "vehicle_type").select("id", "trip_count").rows()
    assert sorted(found) == [("bike", 3), ("car", 3)]
    correction = log.rows.head(1).with_columns(partition=pl.lit(None, pl.Int32))
    assert [line.tables["drivers"].stem for line, _ in rules.split_rows(correction)] == ["bike"]


def test_messages_are_judged_by_the_version_of_their_offset(tmp_path: Path) -> None:
    """A zero-width joiner in an id was a dead letter by the first rules."""
    rules = journal(tmp_path, entry("x"), entry("x", {0: 1}, version=2))
    value = Entry(NOON, None, "a\u200db", None, 1).value
    messages = [LogMessage(0, offset, NOON + MINUTE, value) for offset in range(3)]
    reasons = validate_log([messages], Settings(), rules).rows["reason"].to_list()
    assert reasons == ["bad_id", None, None]


@pytest.mark.parametrize(
    "text", ["a\x00", "\x1f", "\x7f", "\x9f", "\ufdd0", "\uffff", "\U0010fffe"]
)
def test_version_2_refuses_controls_and_noncharacters(tmp_path: Path, text: str) -> None:
    """By ranges that no interpreter changes."""
    rules = journal(tmp_path, entry("x", version=2))
    value = Entry(NOON, None, text, None, 1).value
    log = validate_log([[LogMessage(0, 0, NOON, value)]], Settings(), rules)
    assert log.rows["reason"].to_list() == ["bad_id"]


def test_an_entity_that_was_added_has_no_windows_before(tmp_path: Path) -> None:
    """Others have them all."""
    rules = journal(tmp_path, entry("x"), driver=None, courier=NOON)
    rows = pl.DataFrame(
        {"entity": ["driver", "courier", "courier"], "window_start": [0, NOON - 1, NOON]}
    )
    assert rows.select(rules.is_counted()).to_series().to_list() == [True, False, True]
    without = journal(tmp_path, entry("x"), driver=None)
    assert rows.select(without.is_counted()).to_series().all()


def test_a_folder_without_a_journal_is_named(tmp_path: Path) -> None:
    """Instead of judging by something else in silence; without a folder nothing is known."""
    assert read_rules_in_force(Settings()) is None
    with pytest.raises(JournalError, match=f"MOBILITY_RECOVERY_DIR={tmp_path} does not say"):
        read_rules_in_force(Settings(recovery_dir=str(tmp_path)))
