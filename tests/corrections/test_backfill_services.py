"""Backfills of a tenant on real services: every place then has the batch answer with them."""

import json
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from audit.stores import postgres_totals, postgres_windows, redis_totals
from audit.topics import read_windows
from corrections.backfill_range import shown
from mobility.records import PARTIAL_SCHEMA, TOTALS
from mobility.settings import Settings
from tests.corrections import recounts
from tests.corrections.conftest import Backfill
from tests.dataflows.conftest import Hub, trips_log
from tests.strategies import MINUTE, NOON, Entry

pytestmark = pytest.mark.services

START, END = NOON + 10 * MINUTE, NOON + 80 * MINUTE
RANGE = ("--from", shown(START), "--to", shown(END))
ENTITIES = ("driver", "vehicle_type")


def assert_everywhere(settings: Settings, trips: list[Entry]) -> None:
    """Assert that topics, Postgres and Redis hold the windows and totals of these trips."""
    sent, ledger = read_windows(settings, str), postgres_windows(settings)
    lasting, fast = postgres_totals(settings), redis_totals(settings)
    for entity in ENTITIES:
        expected = recounts.windows(trips, entity, settings)
        for found in (sent, ledger):
            filled = found.filter(pl.col("entity") == entity, pl.col("trip_count") > 0)
            ours = filled.select(PARTIAL_SCHEMA.names()).sort("id", "window_start")
            assert_frame_equal(ours, expected)
        for found in (lasting, fast):
            filled = found.filter(pl.col("entity") == entity, pl.col("trip_count") > 0)
            ours = filled.select("id", "trip_count", *TOTALS, "start_time").sort("id")
            assert_frame_equal(ours, recounts.totals(expected))


def ndjson(path: Path, *trips: Entry) -> Path:
    """Write corrections."""
    path.write_bytes(b"\n".join(trip.value or b"" for trip in trips))
    return path


def run_flow(hub: Hub) -> None:
    """Let the flow read the log to its end."""
    run = hub.run()
    assert run.returncode == 0, run.stderr[-3_000:]


def state(hub: Hub) -> tuple[int, pl.DataFrame, pl.DataFrame]:
    """Return what must not change: messages in a topic, Postgres' ledger and Redis' totals."""
    keys = ["entity", "id"]
    return (
        len(hub.messages("aggregated.driver")),
        postgres_windows(hub.settings).sort(*keys, "window_start"),
        redis_totals(hub.settings).sort(keys),
    )


def test_late_and_dead_trips_are_counted_and_taken_back(
    stored: Hub, backfill: Backfill, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dry run changes nothing, applying gives the batch answer, taking back the original."""
    log: list[list[Entry | bytes]] = [list(entries) for entries in trips_log(1)]
    dead = Entry(NOON + 31 * MINUTE, "dead", "d1", "car", 5_000_000)
    log[0].insert(100, b'{"trip_id": "dead", "price": -1}')
    stored.write(log)
    run_flow(stored)
    original = recounts.counted(log, stored.settings, late_too=False)
    assert_everywhere(stored.settings, original)

    named = [e for e in log[1] if isinstance(e, Entry) and START + MINUTE < e.time < END]
    wrong = next(e for e in named if e.driver == "d1" and e.trip_id is not None)
    moved = Entry(wrong.time, wrong.trip_id, "d-other", wrong.vehicle, 7)
    file = ndjson(tmp_path / "given.ndjson", dead, moved)
    everything = recounts.counted(log, stored.settings, late_too=True)
    with_them = recounts.corrected(everything, [dead, moved], START, END)
    expected = recounts.both(original, with_them, START, END)

    before = state(stored)
    assert backfill(*RANGE, "--with", file) == 0
    assert "--apply" in capsys.readouterr().out
    assert before[0] == state(stored)[0]
    assert_frame_equal(before[1], state(stored)[1])
    assert_frame_equal(before[2], state(stored)[2])
    assert not (tmp_path / "records").exists()

    assert backfill(*RANGE, "--with", file, "--apply") == 0
    assert_everywhere(stored.settings, expected)
    capsys.readouterr()
    after = state(stored)
    assert backfill(*RANGE, "--with", file, "--apply") == 0
    assert "No difference" in capsys.readouterr().out
    # The correction stands, whoever recounts its window next.
    assert backfill(*RANGE, "--apply") == 0
    assert "No difference" in capsys.readouterr().out
    assert state(stored)[0] == after[0]

    assert backfill("--take-back", "0001") == 0
    assert_everywhere(stored.settings, expected)
    assert backfill("--take-back", "0001", "--apply") == 0
    assert_everywhere(stored.settings, original)
    assert backfill("--take-back", "0001", "--apply") == 2
    assert "taken back already" in capsys.readouterr().err
    record = json.loads((tmp_path / "records" / "0002" / "record.json").read_bytes())
    assert (record["takes_back"], record["generation"], record["status"]) == ("0001", 2, "applied")
    assert backfill("--list") == 0
    assert "taken back by 0002" in " ".join(capsys.readouterr().out.split())
