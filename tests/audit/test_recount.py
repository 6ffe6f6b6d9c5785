"""The rules of a recount, case by case, and by which rules and tables its trips are judged."""

import hashlib
from pathlib import Path
from typing import Final

import polars as pl
import pytest

from audit.backfill_records import LogRead, TopicRead
from audit.recount import NAMED_SCHEMA, RECOUNT_SCHEMA, Corrections, counted_trips, name_of
from audit.recount_rules import MissingTableError, rules_of
from mobility.settings import Settings
from tests.strategies import NOON

WINDOW: Final = Settings().window_ms
EVERYTHING: Final = (NOON, NOON + 10 * WINDOW)


def trips(*rows: dict[str, object]) -> pl.DataFrame:
    """Return trips of partition 0 in `trips_stream`; a row has what matters."""
    default = {
        **dict.fromkeys(RECOUNT_SCHEMA),
        "partition": 0,
        "offset": 0,
        "is_late": False,
        "read_partition": 0,
        "read_offset": 0,
        "window_start": NOON,
        "start_time": NOON,
        "vehicle_type": "car",
        "duration_min": 1.0,
    }
    return pl.DataFrame([default | row for row in rows], schema=RECOUNT_SCHEMA)


NOTHING: Final = pl.DataFrame(schema=NAMED_SCHEMA)


def counted(found: pl.DataFrame) -> list[tuple[object, object]]:
    """Return the offsets and drivers of trips."""
    return sorted(found.select("offset", "driver_id").rows(), key=str)


def test_a_trip_elsewhere_may_come_first() -> None:
    """A trip of another id counts for its trip_id, where it is in a lower partition or offset."""
    ours = trips(
        {"offset": 5, "trip_id": "t1", "driver_id": "a"},
        {"offset": 6, "trip_id": "t2", "driver_id": "b"},
        {"offset": 7, "driver_id": "c"},
    )
    elsewhere = trips(
        {"offset": 4, "trip_id": "t1"},
        {"partition": 1, "offset": 1, "trip_id": "t2"},
        {"offset": 1, "trip_id": "t2", "window_start": NOON + WINDOW},
    )
    others = elsewhere.with_columns(name_of()).select(NAMED_SCHEMA.names())
    assert counted(counted_trips(ours, others, [])) == [(6, "b"), (7, "c")]
    assert counted(counted_trips(ours, NOTHING, [])) == [(5, "a"), (6, "b"), (7, "c")]


def test_a_copy_counts_once_and_another_trip_there_counts_too() -> None:
    """A copy has the same position and fields that decide; fractions of a micro-unit do not."""
    copy = {"driver_id": "a", "offset": 3}
    found = trips(
        copy,
        copy | {"is_late": True},
        copy | {"is_late": True, "read_offset": 1, "duration_min": 1.0 + 1e-9},
        copy | {"is_late": True, "read_offset": 2, "duration_min": 2.0},
        copy | {"offset": 4},
    )
    assert counted(counted_trips(found, NOTHING, [])) == [(3, "a"), (3, "a"), (4, "a")]


def test_corrections_replace_in_their_range_and_in_order() -> None:
    """Also what earlier files brought; the same file again counts once."""
    found = trips(
        {"offset": 1, "trip_id": "t1", "driver_id": "a"},
        {"offset": 2, "trip_id": "t1", "driver_id": "a", "window_start": NOON + 20 * WINDOW},
    )
    nowhere: dict[str, object] = {"offset": None, "trip_id": None}
    first, second = (
        Corrections(sha, *EVERYTHING, trips(nowhere | {"trip_id": "t1", "driver_id": sha}, more))
        for sha, more in (("x", {**nowhere, "driver_id": "x2"}), ("y", nowhere))
    )
    expected: list[tuple[object, object]] = [(2, "a"), (None, "x"), (None, "x2")]
    assert counted(counted_trips(found, NOTHING, [first])) == expected
    assert counted(counted_trips(found, NOTHING, [first, first])) == expected
    both = counted(counted_trips(found, NOTHING, [first, second]))
    assert both == [(2, "a"), (None, "x2"), (None, "y"), (None, None)]


def test_tables_are_found_by_their_hashes(tmp_path: Path) -> None:
    """In the recovery folder, else where the settings have them; others are missing."""
    folder, now = tmp_path / "recovery", tmp_path / "drivers.parquet"
    (folder / "tables").mkdir(parents=True)
    now.write_bytes(b"now")
    read_now, copied = (hashlib.sha256(text).hexdigest() for text in (b"now", b"then"))
    copy = folder / "tables" / f"{copied}.parquet"
    copy.write_bytes(b"then")
    settings = Settings(recovery_dir=str(folder), drivers=str(now))
    for sha256, path in ((read_now, now), (copied, copy)):
        line = {"version": 2, "tables": {"drivers": sha256, "passengers": "any"}}
        (found,) = rules_of(_read({**line, "first_offsets": {"0": 7}}), settings).lines
        assert (found.version, found.tables, found.first_offsets) == (2, {"drivers": path}, {0: 7})
    with pytest.raises(MissingTableError, match="the table of drivers"):
        rules_of(_read({"version": 3, "tables": {"drivers": copied}, "first_offsets": {}}), _NONE)


_NONE: Final = Settings()


def _read(line: dict[str, object]) -> LogRead:
    return LogRead(TopicRead("a", {}), TopicRead("b", {}), [{"topic_id": "a"} | line])
