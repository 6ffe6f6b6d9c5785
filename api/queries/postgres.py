"""Reads the tables that the Postgres sink writes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import psycopg

from api.errors import StoreUnavailableError
from api.queries.contract import (
    MAX_CHARACTER,
    Bucket,
    Page,
    SequenceNumbers,
    Series,
    StatusRecord,
    Totals,
    TotalsBatch,
    WindowSpan,
)
from api.queries.postgres_client import (
    QUERY_SECONDS,
    Database,
    Row,
    entity_query,
    rows_with_value,
    sql_file,
    to_extremes,
    to_page,
    to_sums,
)
from api.queries.postgres_windows import ledger_snapshot
from api.queries.time_range import known_time
from mobility.entities import ENTITIES, Entity
from mobility.settings import Store
from mobility.status import EXPIRY


class PostgresReader:
    """Reads one database, by primary keys and indexes. Connects at the first query."""

    store: Final[Store] = "postgres"

    def __init__(self, url: str) -> None:
        self._database = Database(url, seconds=QUERY_SECONDS, size=8, memory="4MB")

    async def totals(self, entity: Entity, entity_id: str) -> Totals | None:
        """Return the totals of an id; None if it has none."""
        values = {"entity": entity.name, "id": entity_id}
        rows = await self._database.fetch(entity_query(entity, "totals.sql"), values)
        return _to_totals(rows[0]) if rows else None

    async def batch(self, entity: Entity, ids: Sequence[str]) -> TotalsBatch:
        """Return the totals of those ids that have any."""
        values = {"entity": entity.name, "ids": list(ids)}
        rows = await self._database.fetch(entity_query(entity, "batch.sql"), values)
        found = {row["id"]: _to_totals(row) for row in rows_with_value(rows, "id")}
        return TotalsBatch(found, known_time(rows[0]["watermark"]))

    async def series(self, entity: Entity, entity_id: str, bounds: Sequence[int]) -> Series | None:
        """Return the series of an id between bucket bounds; None if it has no totals."""
        values = {
            "entity": entity.name,
            "id": entity_id,
            "bounds": list(bounds),
        }
        parts = [(bounds[0], bounds[-1])]
        async with ledger_snapshot(self._database, entity, parts) as snapshot:
            windows = snapshot.windows(bounds)
            query = entity_query(entity, "series.sql", rows=windows.query)
            rows = await snapshot.fetch(query, {**values, **windows.values})
        if not rows:
            return None
        buckets = [
            Bucket(row["bucket"], to_sums(row), to_extremes(row))
            for row in rows_with_value(rows, "bucket")
        ]
        return Series(buckets, rows[0]["newest_window"], known_time(rows[0]["watermark"]))

    async def page(self, entity: Entity, prefix: str, after: str, limit: int) -> Page:
        """Return up to `limit` ids with a prefix that follow the id `after`."""
        values = {
            "entity": entity.name,
            "prefix": prefix,
            "prefix_end": prefix + MAX_CHARACTER,
            "after": after,
            # One more than the limit tells whether others follow.
            "limit": limit + 1,
        }
        return to_page(await self._database.fetch(entity_query(entity, "page.sql"), values), limit)

    async def count(self, entity: Entity, prefix: str) -> int:
        """Return the number of ids with a prefix."""
        values = {"prefix": prefix, "prefix_end": prefix + MAX_CHARACTER}
        [row] = await self._database.fetch(entity_query(entity, "count.sql"), values)
        return int(row["number"])

    async def span(self, entity: Entity) -> WindowSpan | None:
        """Return from when to when there are windows; None without any."""
        query = entity_query(entity, "window_span.sql")
        [row] = await self._database.fetch(query, {"entity": entity.name})
        if row["oldest_window"] is None:
            return None
        return WindowSpan(row["oldest_window"], row["newest_window"])

    async def watermarks(self) -> Mapping[str, datetime | None]:
        """Return the watermark of each entity, by name."""
        rows = await self._database.fetch(sql_file("watermarks.sql"))
        watermarks: dict[str, int] = {row["entity"]: row["watermark"] for row in rows}
        return {entity.name: known_time(watermarks.get(entity.name)) for entity in ENTITIES}

    async def statuses(self) -> Sequence[StatusRecord]:
        """Return the status records of the last minute, sorted by process."""
        try:
            rows = await self._database.fetch(sql_file("statuses.sql"), {"expiry": EXPIRY})
        except StoreUnavailableError as failure:
            # A database of an earlier release has no such table until the flow is started again.
            if isinstance(failure.__cause__, psycopg.errors.UndefinedTable):
                return []
            raise
        return [StatusRecord(**row) for row in rows]

    async def sequence_numbers(self) -> SequenceNumbers:
        """Return the sequence numbers; raises StoreUnavailableError."""
        rows = await self._database.fetch(sql_file("sequence_numbers.sql"))
        numbers = {row["entity"]: row["number"] for row in rows_with_value(rows, "entity")}
        return SequenceNumbers(rows[0]["instance_id"], numbers)

    async def close(self) -> None:
        """Close the connections."""
        await self._database.close()


def _to_totals(row: Row) -> Totals:
    watermark = known_time(row["watermark"])
    return Totals(to_sums(row), to_extremes(row), row["newest_window"], watermark)
