"""Drops the oldest weeks of the ledger in Postgres (MOBILITY_RETENTION).

A week is dropped once all of it is older than the retention, counted from the lowest watermark, and
rolled up. Totals stay: what was dropped of an id is kept as one row (`<entity>_before`), as in
Redis. From then on windows of that time are refused, because whether they were counted can't be
known.

That is three steps, each of which is found done or not by the next round: in one transaction the
windows are added up and the partition is closed; then it is detached, and then its table dropped.
"""

import logging
from collections.abc import Iterable
from typing import Final

from psycopg import sql

from mobility.entities import Entity
from mobility.records import MIN_EVENT_TIME
from postgres.connection import Connection
from sinks.partitions import Partition, read_partitions
from sinks.rollups import read_rollups, refresh_rollups
from sinks.sql_files import entity_statement, sql_file

_log: Final = logging.getLogger(__name__)


def drop_old_windows(connection: Connection, entity: Entity, limit: int) -> None:
    """Drop the partitions that end before a limit (epoch ms), once they are rolled up.

    Raises psycopg.Error: LockNotAvailable or DeadlockDetected where others hold a lock for longer
    than the connection waits.
    """
    for each in _old_partitions(connection, entity, limit):
        _close(connection, entity, each)
    _drop_closed(connection, entity)


def _old_partitions(connection: Connection, entity: Entity, limit: int) -> Iterable[Partition]:
    """Return the partitions that end before a limit and have all their windows in rollups."""
    rolled = [each.rolled_up_to for each in read_rollups(connection, entity).values()]
    limit = min([limit, *rolled])
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
        connection.execute(entity_statement(entity, "lock_dropped_partition.sql", **values))
        refresh_rollups(connection, entity, (MIN_EVENT_TIME, partition.end))
        for name in ("keep_before.sql", "close_partition.sql"):
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
