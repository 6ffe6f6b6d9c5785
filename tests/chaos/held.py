"""Holding the flow between the two commits of an epoch.

Bytewax ends an epoch with transactions on its recovery partitions, one after the other: first the
snapshots of all steps (table `snaps`), then, once those are durable, how far each worker has got
(table `fronts`), from which a start works out where to resume. A trigger on `fronts` that never
ends holds a worker inside the second, with the first committed.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from tests.chaos.recovered import partitions, rows
from tests.waiting import until

_HOLD: Final = """
    CREATE TRIGGER held BEFORE {} ON fronts BEGIN
        SELECT count(*) FROM (
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n
        );
    END
"""
_LONGER_THAN_ANY_COMMIT: Final = 0.5


@contextmanager
def held_between_commits(recovery: Path) -> Iterator[None]:
    """Let no frontier be committed from here on; nothing may run on the folder when this ends."""
    paths = partitions(recovery)
    for path in paths:
        for event in ("INSERT", "UPDATE"):
            _execute(path, _HOLD.format(event).replace("held", f"held_{event}"))
    yield
    for path in paths:
        for event in ("INSERT", "UPDATE"):
            _execute(path, f"DROP TRIGGER held_{event}")


def wait_until_held(recovery: Path) -> None:
    """Return when a worker hangs in the second commit."""
    until(lambda: any(map(_is_locked, partitions(recovery))), "a frontier that is held")


def resume_epoch(recovery: Path) -> int:
    """Return the frontier of the last run's slowest worker, 0 where none is recorded."""
    fronts = rows(recovery, "SELECT ex_num, worker_frontier FROM fronts")
    last = max((number for number, _ in fronts), default=0)
    return min((frontier for number, frontier in fronts if number == last), default=0)


def unreachable_snapshots(recovery: Path, resume: int) -> int:
    """Return how many snapshots are of epochs that a start will run again."""
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
