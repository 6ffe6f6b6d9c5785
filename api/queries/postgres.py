"""Reads the tables that the Postgres sink writes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg import sql

from api.queries.contract import (
    LAST,
    Batch,
    Page,
    Part,
    Series,
    StoreDown,
    Told,
    Totals,
    as_time,
)
from api.queries.postgres_client import ANSWER_SECONDS
from api.queries.tables import Tables, about, page, present, sums, text
from api.queries.times import time_of
from mobility.entities import ENTITIES, Entity
from mobility.settings import Store
from mobility.status import EXPIRY


class PostgresReader:
    """Reads one database, by primary keys and indexes. Connects at the first question."""

    store: Final[Store] = "postgres"

    def __init__(self, url: str) -> None:
        self._tables = Tables(url, seconds=ANSWER_SECONDS, size=8, memory="4MB")

    async def totals(self, entity: Entity, entity_id: str) -> Totals | None:
        """Return an id's totals, None where it has none."""
        values = {"entity": entity.name, "id": entity_id}
        rows = await self._tables.fetch(about(entity, "totals.sql"), values)
        return _totals(rows[0]) if rows else None

    async def batch(self, entity: Entity, ids: Sequence[str]) -> Batch:
        """Return the totals of those ids that there are."""
        values = {"entity": entity.name, "ids": list(ids)}
        rows = await self._tables.fetch(about(entity, "batch.sql"), values)
        found = {row[0]: _totals(row[1:]) for row in present(rows, 0)}
        return Batch(found, as_time(rows[0][-1]))

    async def series(self, entity: Entity, entity_id: str, edges: Sequence[int]) -> Series | None:
        """Return an id's trips in the spans between edges, None where it has no totals."""
        values = {
            "entity": entity.name,
            "id": entity_id,
            "edges": list(edges),
            "start": edges[0],
            "end": edges[-1],
        }
        rows = await self._tables.fetch(about(entity, "series.sql"), values)
        if not rows:
            return None
        parts = [
            Part(span, sums(amounts), time_of(start), time_of(last))
            for span, *amounts, start, last, _ in present(rows, 0)
        ]
        return Series(parts, as_time(rows[0][-1]))

    async def page(self, entity: Entity, prefix: str, after: str, limit: int) -> Page:
        """Return up to `limit` ids that follow an id."""
        values = {
            "entity": entity.name,
            "prefix": prefix,
            "beyond": prefix + LAST,
            "after": after,
            # One more than asked for tells whether there are more.
            "limit": limit + 1,
        }
        return page(await self._tables.fetch(about(entity, "page.sql"), values), limit)

    async def count(self, entity: Entity, prefix: str) -> int:
        """Return how many ids begin with a prefix."""
        values = {"prefix": prefix, "beyond": prefix + LAST}
        [(total,)] = await self._tables.fetch(about(entity, "count.sql"), values)
        return int(total)

    async def freshness(self) -> Mapping[str, datetime | None]:
        """Return each entity's watermark."""
        watermarks: dict[str, int] = dict(await self._tables.fetch(sql.SQL(text("freshness.sql"))))
        return {entity.name: as_time(watermarks.get(entity.name)) for entity in ENTITIES}

    async def statuses(self) -> Sequence[Told]:
        """Return what each process has said of itself within a minute."""
        try:
            rows = await self._tables.fetch(sql.SQL(text("statuses.sql")), {"expiry": EXPIRY})
        except StoreDown as down:
            # The table came later than the totals, and is made when the flow starts the next time.
            if isinstance(down.__cause__, psycopg.errors.UndefinedTable):
                return []
            raise
        return [Told(process, age, record) for process, age, record in rows]

    async def close(self) -> None:
        """Close the connections."""
        await self._tables.close()


def _totals(cells: Sequence[Any]) -> Totals:
    *amounts, first, last, newest, watermark = cells
    start, last_start = (None if ms is None else time_of(ms) for ms in (first, last))
    return Totals(sums(amounts), start, last_start, newest, as_time(watermark))
