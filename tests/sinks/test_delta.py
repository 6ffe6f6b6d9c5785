"""What only Delta Lake has: commits that exclude each other, files, exact decimals, compaction."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any

import msgspec
import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake
from polars.testing import assert_frame_equal

from mobility.entities import BY_NAME, ENTITIES
from mobility.settings import Settings
from mobility.totals import highest_versions
from sinks import delta, take_fencing_token
from sinks.delta import connect_delta
from sinks.delta_rows import MAX_AMOUNT
from sinks.fencing import is_fenced
from sinks.sequence_numbers import check_sequence_numbers
from sinks.store import (
    AmountTooLargeError,
    ApplyResult,
    SequenceNumber,
    StoreBehindError,
    StoreError,
)
from tests.waiting import until

DRIVER = BY_NAME["driver"]
BATCHES = 16
KILLS = 3

Build = Any

KILLED = """
import sys, msgspec, polars as pl
from mobility.entities import BY_NAME
from mobility.records import WINDOW_SCHEMA
from mobility.settings import Settings
from sinks.delta import connect_delta

store = connect_delta(Settings(delta=sys.argv[1], stores=("delta",)), "main")
batches = msgspec.json.decode(open(sys.argv[2]).read())
for number, rows in enumerate(batches):
    store.apply(BY_NAME["driver"], pl.DataFrame(rows, schema=WINDOW_SCHEMA))
    store.record_progress(BY_NAME["driver"], 0, 1, 1_000 * (number + 1))
"""
"""Writes the batches of a file, until it is killed or done."""


def table_of(settings: Settings) -> str:
    """Return where the table of drivers is."""
    return f"{settings.delta}/driver"


def rows_of(settings: Settings) -> pl.DataFrame:
    """Return all rows of the table of drivers, those that were replaced as well."""
    return pl.read_delta(table_of(settings))


def assert_written_once(settings: Settings) -> None:
    """Assert that no version of a window was written twice, and no commit has a window twice."""
    rows = rows_of(settings)
    version = ["id", "window_start", "generation", "trip_count", "pane"]
    assert not rows.select(version).is_duplicated().any()
    assert not rows.select("id", "window_start", "commit_version").is_duplicated().any()


def has_gone_on(log: Path, commits: int, process: subprocess.Popen[bytes]) -> bool:
    """Tell whether there are more commits than that in a log, or the process has ended."""
    return len(list(log.glob("*.json"))) > commits or process.poll() is not None


def growing(window: Build, frame: Build, batches: int) -> list[pl.DataFrame]:
    """Return batches in which windows of some ids grow, in two days."""
    return [
        frame(
            *(
                window(f"d{n}", at=(number // 8) * 36 + n, trip_count=1 + number % 8)
                for n in range(20)
            )
        )
        for number in range(batches)
    ]


def test_plain_polars_reads_the_windows(delta_only: Settings, window: Build, frame: Build) -> None:
    """Amounts in units, times in UTC, a folder a day; the highest commit of a window counts."""
    store = connect_delta(delta_only, "main")
    store.apply(DRIVER, frame(window(), window(at=288)))
    store.apply(DRIVER, frame(window(trip_count=2, total_revenue=20_000_001)))
    rows = rows_of(delta_only).sort("commit_version").unique(["id", "window_start"], keep="last")
    first, second = rows.sort("window_start").to_dicts()
    assert first["day"] == date(2025, 1, 1)
    assert first["window_start"].isoformat() == "2025-01-01T00:00:00+00:00"
    assert first["start_time"].isoformat() == "2025-01-01T00:00:05+00:00"
    assert (first["trip_count"], first["total_revenue"]) == (2, Decimal("20.000001"))
    assert (second["day"], second["total_distance"]) == (date(2025, 1, 2), Decimal("3.250000"))
    folders = {path.name for path in Path(table_of(delta_only)).iterdir()}
    assert folders == {"_delta_log", "day=2025-01-01", "day=2025-01-02"}


@pytest.mark.parametrize("amount", [2**63, -(2**63) - 1, 10**27 + 1, MAX_AMOUNT, -MAX_AMOUNT])
def test_amounts_beyond_64_bits_are_exact(
    delta_only: Settings, window: Build, frame: Build, amount: int
) -> None:
    """All 38 digits are there, in the table and in what is read from it."""
    store = connect_delta(delta_only, "main")
    rows = frame(window(total_revenue=amount))
    store.apply(DRIVER, rows)
    assert_frame_equal(store.windows(DRIVER), rows)
    (found,) = rows_of(delta_only)["total_revenue"]
    assert int(str(found).replace(".", "")) == amount


def test_a_larger_amount_is_refused(delta_only: Settings, window: Build, frame: Build) -> None:
    """By its id and measure, and nothing of the batch is written."""
    store = connect_delta(delta_only, "main")
    rows = frame(window(total_distance=MAX_AMOUNT + 1), window("d2"))
    with pytest.raises(AmountTooLargeError, match="total_distance of driver 'd1'"):
        store.apply(DRIVER, rows)
    assert store.windows(DRIVER).is_empty()


def test_a_replay_commits_nothing(delta_only: Settings, window: Build, frame: Build) -> None:
    """Neither a repeated batch, nor a lower version, nor a watermark that is known."""
    store = connect_delta(delta_only, "main")
    store.apply(DRIVER, frame(window(trip_count=3), window("d2")))
    store.record_progress(DRIVER, 0, 2, 1_000)
    number = store.sequence_number(DRIVER)
    result = store.apply(DRIVER, frame(window(trip_count=3), window("d2", trip_count=0)))
    store.record_progress(DRIVER, 0, 2, 900)
    assert result == ApplyResult(unchanged=2)
    version = DeltaTable(table_of(delta_only)).version()
    assert store.sequence_number(DRIVER) == connect_delta(delta_only, "main").sequence_number(
        DRIVER
    )
    assert version == store.sequence_number(DRIVER).number == number.number + 1


def test_kills_at_any_moment_change_nothing(
    delta_only: Settings, tmp_path: Path, window: Build, frame: Build
) -> None:
    """A writer that is killed and starts from the beginning: each version is there once."""
    batches = growing(window, frame, BATCHES)
    file = tmp_path / "batches.json"
    file.write_bytes(msgspec.json.encode([batch.to_dicts() for batch in batches]))
    chance = random.Random(7)  # noqa: S311 - for the moments, not for secrets
    log = Path(table_of(delta_only)) / "_delta_log"
    command = [sys.executable, "-c", KILLED, str(delta_only.delta), str(file)]
    for _ in range(KILLS):
        commits = len(list(log.glob("*.json")))
        process = subprocess.Popen(command)
        until(partial(has_gone_on, log, commits, process), "a commit")
        time.sleep(chance.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert_written_once(delta_only)
    subprocess.run(command, check=True)
    assert_written_once(delta_only)
    store = connect_delta(delta_only, "main")
    assert_frame_equal(store.windows(DRIVER), highest_versions(pl.concat(batches)))
    assert store.progress(DRIVER) == {0: 1_000 * BATCHES}


def test_files_of_an_unfinished_commit_are_not_read(
    delta_only: Settings, window: Build, frame: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a kill between the data files and the commit leaves; it is deleted after a day."""
    monkeypatch.setattr(delta, "COMPACTED_FILES", 3)
    store = connect_delta(delta_only, "main")
    store.apply(DRIVER, frame(window()))
    folder = Path(table_of(delta_only)) / "day=2025-01-01"
    (file,) = folder.iterdir()
    old, young = folder / "part-old.parquet", folder / "part-young.parquet"
    for copy in (old, young):
        shutil.copy(file, copy)
    two_days_ago = time.time() - 2 * 86_400
    os.utime(old, (two_days_ago, two_days_ago))
    store.apply(DRIVER, frame(window(trip_count=2)))
    assert store.windows(DRIVER)["trip_count"].to_list() == [2]
    assert old.exists()
    store.apply(DRIVER, frame(window(trip_count=3)))
    assert (old.exists(), young.exists()) == (False, True)
    assert store.windows(DRIVER)["trip_count"].to_list() == [3]


def test_commits_are_on_the_disk(
    delta_only: Settings, window: Build, frame: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All files that a call has written, and the folders with their names, when it returns."""
    synced: set[str] = set()
    monkeypatch.setattr(
        os, "fsync", lambda file: synced.add(str(Path(f"/proc/self/fd/{file}").readlink()))
    )
    monkeypatch.setattr(delta, "COMPACTED_FILES", 2)
    store = connect_delta(delta_only, "main")
    lake = Path(str(delta_only.delta))

    def assert_synced() -> None:
        there = {path for path in lake.rglob("*") if not path.name.startswith("_last")}
        assert {str(path) for path in there | {lake}} - synced == set()

    assert_synced()
    for at in (0, 1, 288):
        store.apply(DRIVER, frame(window(at=at)))
        assert_synced()
    store.record_progress(DRIVER, 0, 1, 1_000)
    assert_synced()
    assert len(DeltaTable(table_of(delta_only)).file_uris()) == 2


def test_writers_at_the_same_time(delta_only: Settings, window: Build, frame: Build) -> None:
    """Of the same and of other windows: whoever is slower computes its commit again."""
    batches = growing(window, frame, 8)

    def write(number: int) -> int:
        store = connect_delta(delta_only, "main")
        applied = sum(store.apply(DRIVER, batch).applied for batch in batches)
        own = frame(*(window(f"own{number}", at=at) for at in range(5)))
        store.record_progress(DRIVER, number, 3, 1_000 + number)
        return applied + store.apply(DRIVER, own).applied

    with ThreadPoolExecutor(3) as pool:
        applied = sum(pool.map(write, range(3)))
    store = connect_delta(delta_only, "main")
    assert_written_once(delta_only)
    assert applied == rows_of(delta_only).height == 8 * 20 + 3 * 5
    assert store.progress(DRIVER) == {0: 1_000, 1: 1_001, 2: 1_002}
    found = store.windows(DRIVER).filter(~pl.col("id").str.starts_with("own"))
    assert_frame_equal(found, highest_versions(pl.concat(batches)))


def test_compaction_keeps_the_windows(
    delta_only: Settings, window: Build, frame: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day with many files becomes one file with a row a window; other days stay as they are."""
    monkeypatch.setattr(delta, "COMPACTED_FILES", 6)
    store = connect_delta(delta_only, "main")
    store.apply(DRIVER, frame(window(at=-5), window(at=288)))
    for count in range(1, 6):
        store.apply(DRIVER, frame(window(trip_count=count), window("d2", at=count)))
    before, rows = store.windows(DRIVER), rows_of(delta_only)
    assert rows.height == 2 + 2 * 5
    number = store.sequence_number(DRIVER)
    store.apply(DRIVER, frame(window(pane="on_time", trip_count=5)))
    known = (pl.col("id") == "d1") & (pl.col("window_start") == window()["window_start"])
    pane = pl.when(known).then(pl.lit("on_time")).otherwise("pane")
    assert_frame_equal(store.windows(DRIVER), before.with_columns(pane=pane))
    files = pl.DataFrame(DeltaTable(table_of(delta_only)).get_add_actions(flatten=True))
    counts = {day.isoformat(): count for day, count in files["partition.day"].value_counts().rows()}
    assert counts == {"2024-12-31": 1, "2025-01-01": 1, "2025-01-02": 1}
    assert rows_of(delta_only).height == before.height
    assert store.sequence_number(DRIVER).number > number.number + 1


def test_a_large_day_is_not_compacted(
    delta_only: Settings, window: Build, frame: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would not fit into memory; the largest of the others is."""
    monkeypatch.setattr(delta, "COMPACTED_FILES", 2)
    monkeypatch.setattr(delta, "COMPACTED_ROWS", 3)
    store = connect_delta(delta_only, "main")
    for at in range(4):
        store.apply(DRIVER, frame(window(at=at), window("d2", at=at), window(at=288 + at)))
    rows = pl.DataFrame(DeltaTable(table_of(delta_only)).get_add_actions(flatten=True))
    files = dict(rows.group_by(pl.col("partition.day").dt.day()).len().iter_rows())
    assert files == {1: 4, 2: 2}
    assert store.windows(DRIVER).height == 12


def test_a_writer_that_was_faster_than_a_compaction(
    delta_only: Settings, window: Build, frame: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then nothing is compacted, and nothing is lost."""
    monkeypatch.setattr(delta, "COMPACTED_FILES", 2)
    store, other = connect_delta(delta_only, "main"), connect_delta(delta_only, "main")
    store.apply(DRIVER, frame(window()))

    def late(table: DeltaTable, rows: pl.DataFrame, **options: Any) -> None:  # noqa: ANN401 - any
        if options["mode"] == "overwrite":
            monkeypatch.setattr(delta, "write_deltalake", write_deltalake)
            monkeypatch.setattr(delta, "COMPACTED_FILES", 9)
            other.apply(DRIVER, frame(window("d3")))
        write_deltalake(table, rows, **options)

    monkeypatch.setattr(delta, "write_deltalake", late)
    store.apply(DRIVER, frame(window("d2")))
    assert store.windows(DRIVER)["id"].to_list() == ["d1", "d2", "d3"]
    assert len(DeltaTable(table_of(delta_only)).file_uris()) == 3


def test_watermarks_survive_checkpoints(delta_only: Settings) -> None:
    """The log of a table is summed up every 100 commits."""
    store = connect_delta(delta_only, "main")
    for number in range(120):
        store.record_progress(DRIVER, number % 3, 3, number)
    assert list(Path(table_of(delta_only)).glob("_delta_log/*.checkpoint.parquet"))
    assert connect_delta(delta_only, "main").progress(DRIVER) == {0: 117, 1: 118, 2: 119}


def started(settings: Settings, holder: str = "pid 7 on here") -> Settings:
    """Return the settings of the processes of a cluster that starts now."""
    return msgspec.structs.replace(settings, fence=take_fencing_token(settings, holder))


def test_the_older_cluster_is_refused(delta_only: Settings, window: Build, frame: Build) -> None:
    """Every call of it, and a new process of it; it knows itself. The newer one may write."""
    older_settings = started(delta_only)
    older = connect_delta(older_settings, "main")
    older.apply(DRIVER, frame(window()))
    assert not is_fenced(older_settings)
    newer_settings = started(delta_only, "pid 8 on there, folder /r")
    refused: tuple[Callable[[], object], ...] = (
        lambda: older.apply(DRIVER, frame(window(at=1))),
        lambda: older.record_progress(DRIVER, 0, 1, 5_000),
        lambda: connect_delta(older_settings, "main"),
    )
    for call in refused:
        with pytest.raises(StoreError, match="taken by pid 8 on there, folder /r"):
            call()
    newer = connect_delta(newer_settings, "main")
    newer.apply(DRIVER, frame(window(at=2)))
    assert (newer.progress(DRIVER), newer.windows(DRIVER).height) == ({}, 2)
    assert (is_fenced(older_settings), is_fenced(newer_settings)) == (True, False)


def test_a_token_that_is_taken_meanwhile_refuses_a_commit(
    delta_only: Settings, window: Build, frame: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the check of the token and the commit there is no moment in which it could be."""
    older = connect_delta(started(delta_only), "main")

    def late(table: DeltaTable, rows: pl.DataFrame, **options: Any) -> None:  # noqa: ANN401 - any
        monkeypatch.setattr(delta, "write_deltalake", write_deltalake)
        take_fencing_token(delta_only, "the next")
        write_deltalake(table, rows, **options)

    monkeypatch.setattr(delta, "write_deltalake", late)
    with pytest.raises(StoreError, match="taken by the next"):
        older.apply(DRIVER, frame(window()))
    assert rows_of(delta_only).is_empty()


@pytest.mark.parametrize("number", range(5))
def test_processes_that_start_together_create_one_table(delta_only: Settings, number: int) -> None:
    """None of them replaces what another one has created a moment before."""
    settings = msgspec.structs.replace(delta_only, delta=f"{delta_only.delta}-{number}")
    together = Barrier(4)

    def connect(_: int) -> list[SequenceNumber]:
        together.wait()
        store = connect_delta(settings, "main")
        return [store.sequence_number(entity) for entity in ENTITIES]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(connect, range(4)))
    assert found == [found[0]] * 4
    assert {each.number for each in found[0]} == {0}


def test_concurrent_starts_get_different_tokens(delta_only: Settings) -> None:
    """And one of them is the last in every table."""
    with ThreadPoolExecutor(4) as pool:
        tokens = list(pool.map(lambda n: take_fencing_token(delta_only, f"start {n}"), range(4)))
    assert len(set(tokens)) == 4
    for name in BY_NAME:
        stored = DeltaTable(f"{delta_only.delta}/{name}").metadata().configuration
        assert stored["mobility.fence"] == str(max(tokens))


def test_other_settings_are_refused(delta_only: Settings) -> None:
    """The message names both settings, and no token is taken."""
    older = started(delta_only)
    other = msgspec.structs.replace(delta_only, window=60)
    for call in (lambda: connect_delta(other, "main"), lambda: started(other)):
        with pytest.raises(StoreError, match="MOBILITY_WINDOW=60") as refusal:
            call()
        assert "MOBILITY_WINDOW=300" in str(refusal.value)
        assert "MOBILITY_DELTA" in str(refusal.value)
    assert not is_fenced(older)


def test_a_table_of_somebody_else_is_refused(delta_only: Settings) -> None:
    """It stays as it is."""
    write_deltalake(table_of(delta_only), pl.DataFrame({"id": ["x"]}))
    with pytest.raises(StoreError, match="Name an empty folder in MOBILITY_DELTA"):
        connect_delta(delta_only, "main")
    assert rows_of(delta_only).columns == ["id"]


@pytest.mark.parametrize("fault", ["an earlier copy", "emptied"])
def test_a_table_that_went_back_is_refused(
    delta_only: Settings, tmp_path: Path, window: Build, frame: Build, fault: str
) -> None:
    """By a writer with the next windows, and by the start of a flow that has written more."""
    store = connect_delta(delta_only, "main")
    store.apply(DRIVER, frame(window()))
    shutil.copytree(str(delta_only.delta), tmp_path / "copy")
    store.apply(DRIVER, frame(window(at=1)))
    known = store.sequence_number(DRIVER)
    shutil.rmtree(str(delta_only.delta))
    if fault == "an earlier copy":
        shutil.copytree(tmp_path / "copy", str(delta_only.delta))
    with pytest.raises(StoreBehindError, match="just rebuild delta"):
        store.apply(DRIVER, frame(window(at=2)))
    with pytest.raises(StoreBehindError, match="just rebuild delta"):
        check_sequence_numbers(delta_only, "main", {"delta": {"driver": known}})


def test_a_place_that_can_not_be_used_is_named(tmp_path: Path) -> None:
    """In one line, with what to do; retries are bounded."""
    (tmp_path / "file").write_text("not a folder")
    settings = Settings(delta=str(tmp_path / "file"), stores=("delta",))
    sleeps: list[float] = []
    with pytest.raises(StoreError, match=f"Delta at {tmp_path}/file is not available") as error:
        connect_delta(settings, "main", sleep=sleeps.append)
    assert "Is MOBILITY_DELTA right" in str(error.value)
    assert len(str(error.value).splitlines()) == 2
    assert 10 < sum(sleeps) < 20


def test_without_its_package_only_delta_is_missing() -> None:
    """The other stores work, and the message says what to install."""
    program = """
import sys, json
sys.modules["deltalake"] = None
import sinks
from sinks.registry import store_kind
store_kind("postgres"), store_kind("redis")
try:
    store_kind("delta")
except sinks.StoreRefusedError as error:
    print(json.dumps(str(error)))
"""
    found = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert "install `mobility-hub[delta]`" in json.loads(found.stdout)
