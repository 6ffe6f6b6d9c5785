"""Drops the oldest weeks of the ledger in Postgres (MOBILITY_RETENTION).

A week is dropped once all of it is older than the retention, counted from the lowest watermark.
Totals stay: what was dropped of an id is kept as one row (`<entity>_before`), as in Redis. From
then on windows of that time are refused, because whether they were counted can't be known.

That is three steps, each of which is found done or not by the next round: in one transaction the
windows are added up and the partition is closed; then it is detached, and then its table dropped.
"""

import logging
import threading
from collections.abc import Iterable
from typing import Final

import psycopg
from psycopg import sql

from mobility.entities import ENTITIES, Entity
from mobility.settings import Settings
from postgres.connection import Connection, connect
from sinks.partitions import Partition, read_partitions
from sinks.sql_files import entity_statement, sql_file
from sinks.store import WRITERS

EVERY_SECONDS: Final = 60.0

_LOCK_KEY: Final = len(WRITERS) + 1
_BUSY: Final = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)

_log: Final = logging.getLogger(__name__)


class RetentionThread:
    """Drops old windows every minute, in a thread and over a connection of its own.

    All processes of a flow have one; the one that gets the lock does the work of a round. A failure
    is logged when it begins, and has no other consequence.
    """

    def __init__(self, settings: Settings, *, every: float = EVERY_SECONDS) -> None:
        """Drop the windows of the Postgres of these settings, where they name one and a retention.

        Nothing happens before `start`.
        """
        self._settings = settings
        self._every = every
        self._closing = threading.Event()
        self._has_failed = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, the first time after `every` seconds; do nothing where all is kept."""
        if "postgres" in self._settings.stores and self._settings.panes_retention_ms is not None:
            self._thread = threading.Thread(target=self._run, name="retention", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End after the round that runs."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(self._every):
            try:
                drop_old_windows(self._settings)
            except Exception as error:  # noqa: BLE001 - no failure here may end the flow
                if not self._has_failed:
                    _log.warning("Old windows of Postgres are not dropped: %s", error)
                self._has_failed = True
            else:
                self._has_failed = False


def drop_old_windows(settings: Settings) -> None:
    """Drop what is older than the retention, unless another process does so now.

    Raises psycopg.Error. What needs a lock that others hold for over a second is left to the next
    round.
    """
    retention = settings.panes_retention_ms
    if retention is None:
        return
    with connect(settings.postgres, "retention", answer_seconds=None) as connection:
        row = connection.execute(sql_file("acquire_retention_lock.sql"), {"key": _LOCK_KEY})
        if row.fetchall() != [(True,)]:
            return
        connection.execute("SET lock_timeout = '1500ms'")
        for entity in ENTITIES:
            try:
                for each in _old_partitions(connection, entity, retention + settings.window_ms):
                    _close(connection, entity, each)
                _drop_closed(connection, entity)
            except _BUSY as error:
                _log.info("Old windows of %s are dropped later: %s", entity.name, error)


def _old_partitions(connection: Connection, entity: Entity, age: int) -> Iterable[Partition]:
    """Return the partitions that end `age` ms or more before the lowest watermark."""
    statement, params = sql_file("select_lowest_watermark.sql"), {"entity": entity.name}
    ((lowest,),) = connection.execute(statement, params).fetchall()
    if lowest is None:
        return []
    limit = int(str(lowest)) - age
    closed = {name for name, _ in _closed_partitions(connection, entity)}
    held = read_partitions(connection, entity)
    return [each for each in held if each.end <= limit and each.name not in closed]


def _close(connection: Connection, entity: Entity, partition: Partition) -> None:
    """Keep the windows of a partition as one an id, and let it take no more."""
    values = {
        "partition": sql.Identifier(partition.name),
        "name": sql.Literal(entity.name),
        "end": sql.Literal(partition.end),
        "mark": sql.Identifier(_mark(entity)),
    }
    with connection.transaction():
        for name in ("lock_dropped_partition.sql", "keep_before.sql", "close_partition.sql"):
            connection.execute(entity_statement(entity, name, **values))
    _log.info("The windows of %s are dropped from the ledger", partition.name)


def _drop_closed(connection: Connection, entity: Entity) -> None:
    """Detach the closed partitions, which waits for who reads the ledger, and drop their tables."""
    for name, state in _closed_partitions(connection, entity):
        names = {
            "ledger": sql.Identifier(f"{entity.name}_ledger"),
            "partition": sql.Identifier(name),
        }
        if state != "detached":
            # Only one partition at a time can be detached, and a wait that was given up leaves it
            # so.
            mode = sql.SQL("CONCURRENTLY" if state == "attached" else "FINALIZE")
            detach = sql.SQL("ALTER TABLE {ledger} DETACH PARTITION {partition} {mode}")
            connection.execute(detach.format(**names, mode=mode))
        connection.execute(sql.SQL("DROP TABLE {partition}").format(**names))


def _closed_partitions(connection: Connection, entity: Entity) -> list[tuple[str, str]]:
    """Return the partitions that were closed, and the state of each; first one half detached."""
    statement, params = sql_file("select_closed_partitions.sql"), {"mark": _mark(entity)}
    found = connection.execute(statement, params).fetchall()
    states = [(str(name), str(state)) for name, state in found]
    return sorted(states, key=lambda each: each[1] != "detaching")


def _mark(entity: Entity) -> str:
    return f"{entity.name}_ledger_dropped"
