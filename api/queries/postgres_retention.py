"""Ranges that begin before the windows that Postgres keeps are refused (MOBILITY_RETENTION)."""

from api.errors import BeyondLedgerError
from api.queries.postgres_client import Database, entity_query
from api.queries.time_range import TimeRange, to_datetime
from mobility.entities import Entity


async def refuse_dropped(database: Database, entity: Entity, start: int) -> None:
    """Raise BeyondLedgerError where windows from `start` on (epoch ms) may have been dropped.

    To be called after they were read: what is kept by then was there all the time.
    """
    rows = await database.fetch(entity_query(entity, "kept_from.sql"), {"entity": entity.name})
    for row in rows:
        refuse_before(row["kept_from"], start)


async def refuse_dropped_in(database: Database, entity: Entity, time_range: TimeRange) -> None:
    """Do the same for a range; without bounds it is answered from the totals, which have all."""
    if not time_range.is_unbounded:
        await refuse_dropped(database, entity, time_range.bounds[0])


def refuse_before(kept_from: int | None, start: int) -> None:
    """Raise BeyondLedgerError where a range starts before what is kept, None being everything."""
    if kept_from is not None and start < kept_from:
        msg = "Windows are kept for a time (MOBILITY_RETENTION), and"
        raise BeyondLedgerError(msg, to_datetime(kept_from))
