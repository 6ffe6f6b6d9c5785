"""The recovery folder: made where there is none, and rid of what a crash left in it."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from bytewax.recovery import init_db_dir

PARTITIONS: Final = 4
"""How many recovery partitions a folder gets; it can't be changed for the life of the folder."""


def prepare(folder: Path) -> None:
    """Make the folder usable for a start. Nothing may be running on it."""
    # Recovery state is pickle: who can write there can run code here.
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _partitions(folder):
        init_db_dir(folder, PARTITIONS)  # type: ignore[no-untyped-call]  # it has no types
    forget_unreachable_snapshots(folder)


def forget_unreachable_snapshots(folder: Path) -> int:
    """Delete snapshots at or after the epoch that a start resumes from; return how many.

    A crash can leave them behind, as partitions commit one by one. The next run would write its
    own under the same epochs, and where it has none, load the old ones: trips would count twice.
    """
    epoch = _resume_epoch(folder)
    deleted = 0
    for path in _partitions(folder):
        with closing(sqlite3.connect(path)) as connection, connection:
            delete = connection.execute("DELETE FROM snaps WHERE snap_epoch >= ?", (epoch,))
            deleted += delete.rowcount
    return deleted


def _partitions(folder: Path) -> list[Path]:
    return sorted(folder.glob("part-*.sqlite3"))


def _resume_epoch(folder: Path) -> int:
    """Return the epoch that Bytewax will resume from: the slowest worker's in the last run."""
    runs: dict[int, tuple[int, int]] = {}
    frontiers: dict[tuple[int, int], int] = {}
    for path in _partitions(folder):
        with closing(sqlite3.connect(path)) as connection:
            for number, workers, epoch in connection.execute(
                "SELECT ex_num, worker_count, resume_epoch FROM exs"
            ):
                runs[number] = (workers, epoch)
            for number, worker, frontier in connection.execute(
                "SELECT ex_num, worker_index, worker_frontier FROM fronts"
            ):
                key = (number, worker)
                frontiers[key] = max(frontier, frontiers.get(key, frontier))
    if not runs:
        return 1
    last = max(runs)
    workers, resumed = runs[last]
    return min(frontiers.get((last, worker), resumed) for worker in range(workers))
