"""Reads the tables that the Postgres sink writes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final

import psycopg
from psycopg import sql

from api.connections import Connections, Question, Row
from api.reader import Page, StoreDown, Told, Totals, as_time, micro
from mobility.entities import ENTITIES, Entity
from mobility.settings import Store
from mobility.status import EXPIRY


class PostgresReader:
    """Reads one database, by primary keys. Connects at the first question."""

    store: Final[Store] = "postgres"

    def __init__(self, url: str) -> None:
        self._connections = Connections(url, sql.SQL(_text("session.sql")))

    async def totals(self, entity: Entity, entity_id: str) -> Totals | None:
        """Return an id's totals, None where it has none."""
        values = {"entity": entity.name, "id": entity_id}
        rows = await self._fetch(_about(entity, "totals.sql"), values)
        if not rows:
            return None
        trip_count, duration, distance, revenue, start_time, watermark = rows[0]
        return Totals(
            trip_count=trip_count,
            total_duration=micro(duration),
            total_distance=micro(distance),
            total_revenue=micro(revenue),
            start_time=start_time,
            as_of=as_time(watermark),
        )

    async def page(self, entity: Entity, after: str, limit: int) -> Page:
        """Return up to `limit` ids that follow `after`, and the number of all."""
        # One more than asked for tells whether there are more.
        values = {"after": after, "limit": limit + 1}
        rows = await self._fetch(_about(entity, "page.sql"), values)
        [(total,)] = await self._fetch(_about(entity, "total.sql"))
        ids = tuple((entity_id, trip_count) for entity_id, trip_count in rows[:limit])
        return Page(ids, total, has_more=len(rows) > limit)

    async def freshness(self) -> Mapping[str, datetime | None]:
        """Return each entity's watermark."""
        watermarks: dict[str, int] = dict(await self._fetch(sql.SQL(_text("freshness.sql"))))
        return {entity.name: as_time(watermarks.get(entity.name)) for entity in ENTITIES}

    async def statuses(self) -> Sequence[Told]:
        """Return what each process has said of itself within a minute."""
        try:
            rows = await self._fetch(sql.SQL(_text("statuses.sql")), {"expiry": EXPIRY})
        except StoreDown as down:
            # The table came later than the totals, and is made when the flow starts the next time.
            if isinstance(down.__cause__, psycopg.errors.UndefinedTable):
                return []
            raise
        return [Told(process, age, record) for process, age, record in rows]

    async def close(self) -> None:
        """Close the connections."""
        await self._connections.close()

    async def _fetch(
        self, question: Question, values: Mapping[str, Any] | None = None
    ) -> list[Row]:
        try:
            return await self._connections.fetch(question, values)
        except (psycopg.Error, TimeoutError, OSError) as error:
            raise StoreDown(self.store, _reason(error)) from error


@cache
def _about(entity: Entity, name: str) -> sql.Composed:
    """Return a question about an entity's totals."""
    return sql.SQL(_text(name)).format(metrics=sql.Identifier(f"{entity.name}_metrics"))


@cache
def _text(name: str) -> str:
    return files("api").joinpath("sql", name).read_text(encoding="utf-8")


def _reason(error: Exception) -> str:
    if isinstance(error, psycopg.errors.UndefinedTable):
        return "has no tables yet: the flow makes them when it starts"
    if isinstance(error, TimeoutError | psycopg.errors.ConnectionTimeout):
        return "does not answer in time"
    if isinstance(error, psycopg.OperationalError | OSError):
        return "cannot be reached"
    return "answers with an error"
