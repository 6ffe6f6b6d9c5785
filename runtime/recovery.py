"""The recovery partitions of a folder: SQLite files that Bytewax writes snapshots to.

What bounds their rows (src/recovery.rs and src/worker.rs of Bytewax 0.21.1): an epoch ends with at
most one snapshot of each state, that is of each step and key. Sources begin the next epoch once the
last one is committed in every partition, and a commit deletes all snapshots of a state but the
newest of those up to it, as the launcher asks for no backup interval (`-b 0`). So a running flow
keeps one snapshot of each state, and two while an epoch is being committed, however long it runs
and however often it takes snapshots. A crash between snapshots and commit leaves one more of each
state until the first commit of the next run. States are as many as partitions of the log, steps and
shards; their sizes are those of the open windows and of the trips that repeats are recognised by.
"""

import pickle
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from bytewax.recovery import init_db_dir

from runtime.failures import StartError

PARTITIONS: Final = 4
"""How many recovery partitions a folder gets; it can't be changed for the life of the folder."""


@dataclass(frozen=True, slots=True)
class RecoveryInfo:
    """What earlier runs have stored: the recovery folder, and the keys of its states by step id.

    `counted_since` has the first window (epoch ms) of each entity that was added later.
    """

    folder: Path | None = None
    keys: dict[str, set[str]] = field(default_factory=dict)
    counted_since: dict[str, int] = field(default_factory=dict)


NO_RECOVERY: Final = RecoveryInfo()


def partition_paths(folder: Path) -> list[Path]:
    """Return the partitions of the folder."""
    return sorted(folder.glob("part-*.sqlite3"))


def make_partitions(folder: Path) -> None:
    """Create the partitions of a new folder; remove those of an interrupted attempt."""
    for path in folder.glob("part-*"):
        path.unlink()
    init_db_dir(folder, PARTITIONS)  # type: ignore[no-untyped-call]  # it has no types


def partition_fault(path: Path) -> str | None:
    """Return the fault of a partition, None if there is none."""
    try:
        with _open_read_only(path) as connection:
            (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            counts = [count for (count,) in connection.execute("SELECT part_count FROM parts")]
    except sqlite3.DatabaseError as error:
        return f"{path.name} is corrupt: {error}"
    if verdict != "ok":
        return f"{path.name} is corrupt: {verdict}"
    if counts != [PARTITIONS]:
        made = ", ".join(map(str, counts)) or "no"
        return f"{path.name} belongs to a folder of {made} partitions, not {PARTITIONS}"
    return None


def stored_keys(folder: Path) -> dict[str, set[str]]:
    """Return the keys of the states in the folder, by step id."""
    keys: dict[str, set[str]] = {}
    for path in partition_paths(folder):
        with _open_read_only(path) as connection:
            for step, key in connection.execute("SELECT DISTINCT step_id, state_key FROM snaps"):
                keys.setdefault(step, set()).add(key)
    return keys


def stored_states(folder: Path, step: str) -> dict[str, Any]:
    """Return the newest state of each key of a step: those that the next run resumes from.

    Unreachable snapshots must be deleted before.
    """
    newest: dict[str, tuple[int, bytes | None]] = {}
    for path in partition_paths(folder):
        with _open_read_only(path) as connection:
            rows = connection.execute(
                "SELECT state_key, snap_epoch, ser_change FROM snaps WHERE step_id = ?", (step,)
            )
            for key, epoch, state in rows:
                if key not in newest or newest[key][0] < epoch:
                    newest[key] = epoch, state
    return {
        # As Bytewax does; no other user may write to the folder, see runtime.recovery_lock.
        key: pickle.loads(state)  # noqa: S301
        for key, (_, state) in newest.items()
        if state is not None
    }


def delete_keys(folder: Path, step: str, keys: set[str]) -> None:
    """Delete states that no step needs any more. Nothing may be running on the folder."""
    for path in partition_paths(folder):
        with _transaction(path) as connection:
            connection.executemany(
                "DELETE FROM snaps WHERE step_id = ? AND state_key = ?",
                [(step, key) for key in keys],
            )


def delete_unreachable_snapshots(folder: Path) -> int:
    """Delete snapshots at or after the epoch that a start resumes from; return how many.

    A crash can leave them behind, as partitions commit one by one. The next run would write its
    own under the same epochs, and where it has none, load the old ones: trips would count twice.
    """
    epoch = resume_epoch(folder)
    deleted = 0
    for path in partition_paths(folder):
        with _transaction(path) as connection:
            delete = connection.execute("DELETE FROM snaps WHERE snap_epoch >= ?", (epoch,))
            deleted += delete.rowcount
    return deleted


def resume_epoch(folder: Path) -> int:
    """Return the epoch that Bytewax will resume from: the slowest worker's in the last run."""
    runs: dict[int, tuple[int, int]] = {}
    frontiers: dict[tuple[int, int], int] = {}
    for path in partition_paths(folder):
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


@contextmanager
def _transaction(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a partition for one transaction. Raises StartError where it can't be written."""
    try:
        with closing(sqlite3.connect(path)) as connection, connection:
            yield connection
    except sqlite3.OperationalError as error:
        msg = f"The recovery partition {path} can't be written: {error}"
        raise StartError(msg) from error


@contextmanager
def _open_read_only(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a partition so that reading it writes nothing."""
    # A write-ahead log that a crash has left is part of the content. Without one, SQLite is told
    # that the file does not change: otherwise it would create an empty log just for reading.
    log = path.with_name(f"{path.name}-wal")
    immutable = "" if log.exists() and log.stat().st_size else "&immutable=1"
    uri = f"file:{quote(str(path.absolute()))}?mode=ro{immutable}"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        yield connection
