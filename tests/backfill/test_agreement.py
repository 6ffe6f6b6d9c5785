"""A backfill, by columns, and the oracle, one message at a time, agree on every log."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import polars as pl
import pytest
from confluent_kafka import Message
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from audit.log_messages import to_log_message
from audit.oracle import aggregate_windows, assign_windows, validate_log
from audit.rules_in_force import Line, RulesInForce
from audit.validation import TRIP_SCHEMA
from backfill import trip_files
from backfill.plan import ENTITY_WINDOW_KEY
from backfill.window_range import WindowRange
from mobility.measures import MEASURE_SCHEMA
from mobility.records import RulesVersion
from mobility.rules_journal import JOURNAL_FILE, JournalEntry, encode_journal, table_file
from mobility.settings import Settings
from mobility.sketched_measures import SKETCHES
from tests.backfill.recounting import correction_file, recounting, to_late, to_message
from tests.strategies import MINUTE, NOON, amounts, batches, poison

RANGE: Final = WindowRange(NOON, NOON + 30 * MINUTE)
EARLIER: Final = WindowRange(NOON - 10 * MINUTE, NOON + 15 * MINUTE)
PARTITIONS: Final = 3
NAMES: Final = tuple(each.name for each in SKETCHES)
COLUMNS: Final = (*ENTITY_WINDOW_KEY, *MEASURE_SCHEMA, *NAMES)

Log = list[list[bytes | None]]
Lines = list[tuple[RulesVersion, set[str], list[int]]]
Row = dict[str, Any]

_ROW_SCHEMA: Final = pl.Schema(
    [
        ("partition", pl.Int32),
        ("offset", pl.Int64),
        ("window_start", pl.Int64),
        *TRIP_SCHEMA.items(),
    ]
)

_trip_ids = st.none() | st.sampled_from(("t1", "t2", "t3"))
_ids = st.none() | st.sampled_from(("a", "b", "c"))


def trips(window_range: WindowRange) -> st.SearchStrategy[bytes]:
    """Return trips of a range, of few ids, so that many have one in common."""
    fields = {
        "start_time": st.integers(window_range.start, window_range.end - 1),
        "duration_min": amounts,
        "distance_km": st.none() | amounts,
        "price": st.none() | amounts,
        "trip_id": _trip_ids,
        "driver_id": _ids,
        "passenger_id": _ids,
        "vehicle_type": st.none() | st.sampled_from(("car", "bike")),
        "start_location_id": st.none() | st.sampled_from(("1", "2", 2)),
        "start_lat": st.none() | st.floats(-90, 90),
        "start_lng": st.none() | st.floats(-180, 180),
    }
    return st.fixed_dictionaries(fields).map(lambda trip: json.dumps(trip).encode())


_around = trips(WindowRange(RANGE.start - 20 * MINUTE, RANGE.end + 20 * MINUTE))


@st.composite
def logs(draw: st.DrawFn) -> Log:
    """Draw a log whose partitions have some messages in common, and some that are no trips."""
    pool = draw(st.lists(_around | _around | poison, min_size=1, max_size=12))
    return [draw(st.lists(st.sampled_from(pool) | _around)) for _ in range(PARTITIONS)]


_entries = st.tuples(
    st.sampled_from((1, 2, 3)),
    st.sets(st.sampled_from(("drivers", "locations"))),
    st.lists(st.integers(0, 12), min_size=PARTITIONS, max_size=PARTITIONS),
)
"""A line of the journal: version, tables, and first offsets, which may go back."""


class Folder:
    """A recovery folder that says which rules and tables are in force, and the same for the oracle.

    Each line has tables of its own.
    """

    def __init__(self, path: Path, lines: Lines) -> None:
        (path / "tables").mkdir()
        entries, own = [], []
        for number, (version, names, offsets) in enumerate(lines):
            tables = {name: f"{name}{number}" for name in sorted(names)}
            files = {name: path / table_file(each) for name, each in tables.items()}
            self._write(files, number)
            firsts = dict(enumerate(offsets)) if number else {}
            entries.append(
                JournalEntry(at=f"{number}", version=version, tables=tables, first_offsets=firsts)
            )
            own.append(Line(version, files, firsts))
        (path / JOURNAL_FILE).write_bytes(encode_journal(entries))
        self.rules = RulesInForce(tuple(own), {})
        self.settings = Settings(recovery_dir=str(path), measures=NAMES)

    def _write(self, files: Mapping[str, Path], number: int) -> None:
        if path := files.get("drivers"):
            rows = {"driver_id": ["a", "b"], "vehicle_type": [f"type {number}", None]}
            pl.DataFrame(rows).write_parquet(path)
        if path := files.get("locations"):
            places = {"location_id": [1, 2], "lat": [float(number), None], "lng": [5.0, 6.0]}
            pl.DataFrame(places).write_parquet(path)


def numbered(log: Sequence[Sequence[bytes | None]]) -> list[Message]:
    """Return the messages of partitions."""
    return [
        to_message(partition, offset, value)
        for partition, values in enumerate(log)
        for offset, value in enumerate(values)
    ]


def oracle_trips(
    messages: Iterable[Message], settings: Settings, rules: RulesInForce | None
) -> list[Row]:
    """Return the valid trips of messages, in their order."""
    logged = [to_log_message(each) for each in messages]
    rows = assign_windows(validate_log([logged], settings, rules).rows, settings)
    return rows.filter(pl.col("reason").is_null(), pl.col("watermark").is_null()).to_dicts()


def oracle_windows(
    logged: Iterable[Row], given: Sequence[list[Row]], folder: Folder, settings: Settings
) -> pl.DataFrame:
    """Return the windows of the range, counted by the rules of ADR 7, one trip at a time."""
    ordered = sorted(logged, key=lambda row: (row["partition"], row["offset"]))
    found = [row for at, row in enumerate(ordered) if row not in ordered[:at]]
    for window_range, corrections in zip((EARLIER, RANGE), given, strict=True):
        last = {row["trip_id"]: row for row in corrections if row["trip_id"] is not None}
        found = [
            row
            for row in found
            if row["trip_id"] not in last
            or not window_range.start <= row["window_start"] < window_range.end
        ]
        found += [*last.values(), *(row for row in corrections if row["trip_id"] is None)]
    first: dict[tuple[str | None, int], Row] = {}
    for row in found:
        first.setdefault((row["trip_id"], row["window_start"]), row)
    counted = [*(row for row in found if row["trip_id"] is None)]
    counted += [row for (trip_id, _), row in first.items() if trip_id is not None]
    frame = pl.DataFrame(counted, schema=_ROW_SCHEMA).filter(RANGE.contains())
    return aggregate_windows(frame, settings, folder.rules, SKETCHES)


@given(
    data=st.data(),
    log=logs(),
    lines=st.lists(_entries, min_size=1, max_size=3),
    earlier=st.lists(trips(EARLIER), max_size=4),
    newer=st.lists(trips(RANGE), max_size=4),
    waiting=st.sampled_from((1, 10, 10_000)),
)
def test_a_recount_by_columns_is_the_oracle_s(
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
    log: Log,
    lines: Lines,
    earlier: list[bytes],
    newer: list[bytes],
    waiting: int,
) -> None:
    """Whatever the messages are, rules and tables in force, batches, and how much is in files."""
    path = tmp_path_factory.mktemp("recovery")
    folder = Folder(path, lines)
    settings = folder.settings
    messages = data.draw(st.permutations(numbered(log)))
    late = data.draw(st.lists(st.sampled_from(messages))) if messages else []
    # Of a topic that was deleted since: other trips at the same positions.
    late += numbered([data.draw(st.lists(_around, max_size=3))])
    files = [
        correction_file(path, values, window_range, settings, number)
        for number, (values, window_range) in enumerate(((earlier, EARLIER), (newer, RANGE)))
    ]
    with (
        patch.multiple(trip_files, _WAITING_ROWS=waiting, _PART_MS=waiting * MINUTE),
        recounting(settings, RANGE) as found,
    ):
        for batch in data.draw(batches(messages)):
            found.read(batch)
        found.read_late([to_late(each) for each in late])
        ours = found.windows(files)
    logged = [*oracle_trips(messages, settings, folder.rules)]
    logged += oracle_trips(late, settings, folder.rules)
    corrections = [oracle_trips(numbered([each]), settings, None) for each in (earlier, newer)]
    for row in (row for rows in corrections for row in rows):
        row["partition"] = None
    expected = oracle_windows(logged, corrections, folder, settings)
    assert_frame_equal(
        ours.sort(ENTITY_WINDOW_KEY), expected.select(COLUMNS).sort(ENTITY_WINDOW_KEY)
    )
