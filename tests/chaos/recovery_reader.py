"""The contents of a recovery folder, read while the flow writes it."""

import pickle
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl


def partitions(recovery: Path) -> list[Path]:
    """Return the recovery partitions."""
    return sorted(recovery.glob("part-*.sqlite3"))


def rows(recovery: Path, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query in all partitions."""
    found: list[tuple[Any, ...]] = []
    for path in partitions(recovery):
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            found += connection.execute(query).fetchall()
    return found


def snapshots_of_states(recovery: Path) -> dict[tuple[str, str], int]:
    """Return how many snapshots there are of each state, by step and key."""
    counted = "SELECT step_id, state_key, count(*) FROM snaps GROUP BY step_id, state_key"
    return {(step, key): count for step, key, count in rows(recovery, counted)}


def earliest_window(recovery: Path) -> int | None:
    """Return the earliest start (epoch ms) of the windows in the newest snapshots."""
    states = rows(
        recovery,
        "SELECT ser_change, max(snap_epoch) FROM snaps WHERE step_id GLOB '*_windows' "
        "GROUP BY step_id, state_key",
    )
    windows = [pickle.loads(state) for state, _ in states]  # noqa: S301 - ours
    runs = [pl.read_ipc(run) for each in windows for run in each["totals"] + each["pending"]]
    starts = [start for run in runs if isinstance(start := run["window_start"].min(), int)]
    return min(starts, default=None)
