"""The partitions of the ledger in Postgres: a week each, from Monday on, in UTC.

All windows from before 2000-01-03 are one partition: those of clocks that were never set, and few
others. They are created when the first window of their week comes, in a transaction of their own:
so none of them is lost with the windows that it was made for, and nobody waits for its locks.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from psycopg import sql
from psycopg.rows import class_row

from mobility.entities import Entity
from mobility.rollups import FIRST_WEEK, WEEK
from postgres.connection import Connection
from sinks.sql_files import entity_statement, sql_file

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition: from when to when (epoch ms, without the end). None: from the beginning on."""

    name: str
    start: int | None
    end: int

    def holds(self, window_start: int) -> bool:
        """Return whether a window that starts then belongs here."""
        return (self.start is None or self.start <= window_start) and window_start < self.end


def week_of(window_start: int) -> int:
    """Return the start of the week that a window starts in; of early ones, that of the last one.

    >>> [week_of(each) - FIRST_WEEK for each in (FIRST_WEEK - 1, FIRST_WEEK, FIRST_WEEK + WEEK)]
    [-604800000, 0, 604800000]
    >>> week_of(-(10**13)) == week_of(0) == FIRST_WEEK - WEEK
    True
    """
    return max(window_start - (window_start - FIRST_WEEK) % WEEK, FIRST_WEEK - WEEK)


def earlier_name(entity: Entity) -> str:
    """Return the name of the partition without a beginning."""
    return f"{entity.name}_ledger_earlier"


def partition_of(entity: Entity, week: int) -> Partition:
    """Return the partition of a week (`week_of`).

    >>> from mobility.entities import BY_NAME
    >>> partition_of(BY_NAME["driver"], FIRST_WEEK).name
    'driver_ledger_20000103'
    """
    if week < FIRST_WEEK:
        return Partition(earlier_name(entity), None, FIRST_WEEK)
    day = _EPOCH + timedelta(milliseconds=week)
    return Partition(f"{entity.name}_ledger_{day.year:04}{day:%m%d}", week, week + WEEK)


def read_partitions(connection: Connection, entity: Entity) -> list[Partition]:
    """Return the partitions of the ledger, earliest first."""
    with connection.cursor(row_factory=class_row(Partition)) as cursor:
        return cursor.execute(entity_statement(entity, "select_partitions.sql")).fetchall()


def create_partitions(
    connection: Connection, entity: Entity, weeks: Iterable[int]
) -> dict[int, Partition]:
    """Create the partitions of weeks that there are not yet, in the caller's transaction.

    Returns the partition of each week; those that were dropped have none. Others that create some
    at once wait for the end of the transaction.
    """
    connection.execute(sql_file("acquire_schema_lock.sql"))
    kept_from = read_kept_from(connection, entity)
    held = read_partitions(connection, entity)
    found: dict[int, Partition] = {}
    for week in sorted(weeks):
        partition = next((each for each in held if each.holds(week)), None)
        if partition is None:
            partition = partition_of(entity, week)
            if kept_from is None or partition.end > kept_from:
                _create(connection, entity, partition)
        if kept_from is None or partition.end > kept_from:
            found[week] = partition
    return found


def _create(connection: Connection, entity: Entity, partition: Partition) -> None:
    start = partition.start
    statement = entity_statement(
        entity,
        "create_partition.sql",
        partition=sql.Identifier(partition.name),
        start=sql.SQL("MINVALUE") if start is None else sql.Literal(start),
        end=sql.Literal(partition.end),
    )
    connection.execute(statement)


def read_kept_from(connection: Connection, entity: Entity) -> int | None:
    """Return from when on the ledger has all windows (epoch ms); None where none was dropped."""
    rows = connection.execute(sql_file("read_kept_from.sql"), {"entity": entity.name}).fetchall()
    return next((int(str(start)) for (start,) in rows if start is not None), None)
