"""The partitions of a recovery folder, and the snapshots that a crash has left."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.operators import KeyedStream
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, TestingSource, run_main

from runtime.recovery import (
    delete_keys,
    delete_unreachable_snapshots,
    make_partitions,
    partition_paths,
    resume_epoch,
    stored_keys,
)

# Not tests, although their names begin like those of tests.
TestingSink.__test__ = TestingSource.__test__ = False


def insert(
    folder: Path, part: int, table: str, columns: str, rows: Iterable[tuple[object, ...]]
) -> None:
    """Write rows into one recovery partition."""
    with closing(sqlite3.connect(folder / f"part-{part}.sqlite3")) as connection, connection:
        marks = ",".join("?" * len(columns.split(",")))
        connection.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)  # noqa: S608 - our own names


def epochs(folder: Path) -> list[int]:
    """Return the epochs of all snapshots."""
    found: list[int] = []
    for path in folder.glob("*.sqlite3"):
        with closing(sqlite3.connect(path)) as connection:
            found += [epoch for (epoch,) in connection.execute("SELECT snap_epoch FROM snaps")]
    return sorted(found)


@pytest.mark.parametrize(
    ("fronts", "kept"),
    [
        ([], [1, 2, 3]),  # the run ended before its first epoch
        ([(0, 0, 9), (0, 1, 9)], [1, 2, 3]),  # progress of an earlier run
        ([(1, 0, 6), (1, 1, 6)], [1, 2, 3, 4, 5]),
        ([(1, 0, 7), (1, 1, 5)], [1, 2, 3, 4]),  # the slowest worker
        ([(1, 0, 7)], [1, 2, 3]),  # a worker without progress is at the resume epoch
        ([(1, 0, 9), (1, 1, 8)], [1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_snapshots_from_the_resume_epoch_on_are_deleted(
    tmp_path: Path, fronts: list[tuple[int, int, int]], kept: list[int]
) -> None:
    """Snapshots at or after the epoch of the next start are deleted in every partition."""
    init_db_dir(tmp_path, 3)  # type: ignore[no-untyped-call]  # it has no types
    runs = [(0, 3, 1), (1, 2, 4)]
    for part, run in enumerate(runs):
        insert(tmp_path, part, "exs", "ex_num,worker_count,resume_epoch", [run])
    for part, front in enumerate(fronts):
        insert(tmp_path, part, "fronts", "ex_num,worker_index,worker_frontier", [front])
    for epoch in range(1, 8):
        row = ("step", "key", epoch, b"")
        insert(tmp_path, epoch % 3, "snaps", "step_id,state_key,snap_epoch,ser_change", [row])
    assert delete_unreachable_snapshots(tmp_path) == 7 - len(kept)
    assert epochs(tmp_path) == kept


def test_the_resume_epoch_is_that_of_bytewax(tmp_path: Path) -> None:
    """The epoch that is computed before a start is the one that Bytewax records."""
    make_partitions(tmp_path)
    abort = TestingSource.ABORT()
    items: list[Any] = [
        ("k", 1),
        ("k", 2),
        abort,
        ("k", 3),
        TestingSource.EOF(),
        ("k", 4),
        abort,
        ("k", 5),
    ]
    out: list[tuple[str, int]] = []
    flow = Dataflow("sums")
    numbers: KeyedStream[int] = op.input("numbers", flow, TestingSource(items))
    sums = op.stateful_map("sum", numbers, lambda s, v: ((s or 0) + v, (s or 0) + v))
    op.output("out", sums, TestingSink(out))
    for run in range(4):
        expected = resume_epoch(tmp_path)
        delete_unreachable_snapshots(tmp_path)
        recovery = RecoveryConfig(str(tmp_path), timedelta())  # type: ignore[no-untyped-call]
        run_main(flow, epoch_interval=timedelta(), recovery_config=recovery)  # type: ignore[no-untyped-call]
        starts: dict[int, int] = {}
        for path in tmp_path.glob("*.sqlite3"):
            with closing(sqlite3.connect(path)) as connection:
                starts |= dict(connection.execute("SELECT ex_num, resume_epoch FROM exs"))
        assert starts[run] == expected
    assert max(value for _, value in out) == 15


def undo_last_progress(folder: Path) -> None:
    """Change the folder as a crash between the two commits of the last epoch does."""
    for path in partition_paths(folder):
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(
                "UPDATE fronts SET worker_frontier = worker_frontier - 1 WHERE worker_frontier > 1"
            )


def test_a_crash_between_the_commits_twice_in_a_row_counts_nothing_twice(tmp_path: Path) -> None:
    """Snapshots are committed, progress is not: the epoch runs again, and the sums are right."""
    make_partitions(tmp_path)
    out: list[tuple[str, int]] = []
    abort = TestingSource.ABORT()
    # A key without further items would resume from the lost epoch.
    items: list[Any] = [("a", 1), ("b", 10), abort, ("a", 2), ("b", 20), abort, ("a", 4)]
    flow = Dataflow("sums")
    numbers: KeyedStream[int] = op.input("numbers", flow, TestingSource(items))
    sums = op.stateful_map("sum", numbers, lambda s, v: ((s or 0) + v, (s or 0) + v))
    op.output("out", sums, TestingSink(out))
    for _ in range(3):
        undo_last_progress(tmp_path)
        delete_unreachable_snapshots(tmp_path)
        recovery = RecoveryConfig(str(tmp_path), timedelta())  # type: ignore[no-untyped-call]
        run_main(flow, epoch_interval=timedelta(), recovery_config=recovery)  # type: ignore[no-untyped-call]
    assert dict(out) == {"a": 7, "b": 30}


def test_states_are_listed_and_deleted_by_step_and_key(tmp_path: Path) -> None:
    """Other keys and steps are kept."""
    make_partitions(tmp_path)
    columns = "step_id,state_key,snap_epoch,ser_change"
    rows = [("s", "a", 1, b""), ("s", "b", 1, b""), ("s", "b", 2, b""), ("t", "b", 1, b"")]
    for part, row in enumerate(rows):
        insert(tmp_path, part, "snaps", columns, [row])
    delete_keys(tmp_path, "s", {"b"})
    assert stored_keys(tmp_path) == {"s": {"a"}, "t": {"b"}}
