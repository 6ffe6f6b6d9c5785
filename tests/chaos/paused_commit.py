"""Pauses the flow between the two commits of an epoch.

Bytewax ends an epoch with two transactions on its recovery partitions: first the snapshots of all
steps (table `snaps`), then, once those are durable, the frontier of each worker (table `fronts`),
from which a start computes the resume epoch. An endless trigger on `fronts` pauses a worker in the
second transaction, with the first one committed.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from tests.chaos.recovery_reader import partitions, rows
from tests.waiting import until

_ENDLESS_TRIGGER: Final = """
    CREATE TRIGGER paused BEFORE {} ON fronts BEGIN
        SELECT count(*) FROM (
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n
        );
    END
"""
_LONGER_THAN_ANY_COMMIT: Final = 0.5


@contextmanager
def pause_between_commits(recovery: Path) -> Iterator[None]:
    """Pause every commit of a frontier in the block; no flow may run on the folder at its end."""
    paths = partitions(recovery)
    for path in paths:
        for event in ("INSERT", "UPDATE"):
            _execute(path, _ENDLESS_TRIGGER.format(event).replace("paused", f"paused_{event}"))
    yield
    for path in paths:
        for event in ("INSERT", "UPDATE"):
            _execute(path, f"DROP TRIGGER paused_{event}")


def wait_until_paused(recovery: Path) -> None:
    """Wait until a worker is paused in the second commit."""
    until(lambda: is_paused(recovery), "a paused commit")


def is_paused(recovery: Path) -> bool:
    """Return whether a worker is paused in the second commit."""
    return any(map(_is_locked, partitions(recovery)))


def resume_epoch(recovery: Path) -> int:
    """Return the minimum frontier of the last run's workers, 0 if none is recorded."""
    fronts = rows(recovery, "SELECT ex_num, worker_frontier FROM fronts")
    last = max((number for number, _ in fronts), default=0)
    return min((frontier for number, frontier in fronts if number == last), default=0)


def unreachable_snapshots(recovery: Path, resume: int) -> int:
    """Return the number of snapshots of epochs that a start will run again."""
    return sum(epoch >= resume for (epoch,) in rows(recovery, "SELECT snap_epoch FROM snaps"))


def _is_locked(path: Path) -> bool:
    with closing(sqlite3.connect(path, timeout=_LONGER_THAN_ANY_COMMIT)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        connection.rollback()
        return False


def _execute(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, timeout=30)) as connection, connection:
        connection.execute(statement)
