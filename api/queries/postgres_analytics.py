"""Queries over all ids, which Postgres answers on connections of their own."""

from typing import Any, Final

from psycopg import sql

from api.queries.contract import (
    MAX_CHARACTER,
    PERCENTILES,
    SUM_OF_KEY,
    EntitySummary,
    EntityTotal,
    ListOrder,
    ListPosition,
    Page,
    RankedId,
    SortKey,
    TopIds,
)
from api.queries.measure_lists import ALL, PERCENTILES_OF
from api.queries.postgres_client import (
    Database,
    entity_query,
    rows_with_value,
    to_page,
    to_sums,
)
from api.queries.postgres_snapshot import PostgresSnapshot
from api.queries.time_range import TimeRange, known_time
from mobility.entities import Entity
from mobility.measures import SUMS
from mobility.settings import Store

ANALYTICS_SECONDS: Final = 10.0


class PostgresAnalytics:
    """Sums up the windows of a range, or the totals of all time. Connects at the first query.

    It has its own few connections, so that queries for single ids do not wait for slow ones.
    """

    store: Final[Store] = "postgres"

    def __init__(self, url: str) -> None:
        self._database = Database(url, seconds=ANALYTICS_SECONDS, size=2, memory="128MB")

    async def top(
        self,
        entity: Entity,
        time_range: TimeRange,
        sort_key: SortKey,
        limit: int,
        only: str | None = None,
    ) -> TopIds:
        """Return the first ids by a sum over a range; with `only`, that id alone with its rank."""
        values = {**_values(entity, time_range), "limit": limit, "only": only}
        amount = sql.Identifier(SUM_OF_KEY[sort_key])
        first_file = "top_first.sql" if only is None else "top_only.sql"
        first = entity_query(entity, first_file, amount=amount)
        query = entity_query(entity, "top.sql", sums=_sums_query(entity, time_range), first=first)
        rows = await self._database.fetch(query, values)
        ids = [
            RankedId(row["id"], row["rank"], to_sums(row)) for row in rows_with_value(rows, "id")
        ]
        whole = rows[0]
        watermark = known_time(whole["watermark"])
        total = to_sums(whole, ALL)
        return TopIds(ids, whole["active_ids"], total, whole["newest_window"], watermark)

    async def page(
        self, entity: Entity, order: ListOrder, after: ListPosition | None, limit: int
    ) -> Page:
        """Return up to `limit` ids after a position, sorted by a sum."""
        values = {
            "entity": entity.name,
            "prefix": order.prefix,
            "prefix_end": order.prefix + MAX_CHARACTER,
            "after": after.last_id if after else "",
            "value": after.value if after else 0,
            # One more than the limit tells whether others follow.
            "limit": limit + 1,
        }
        rows = await self._database.fetch(_page_query(entity, order, after), values)
        return to_page(rows, limit)

    async def total(self, entity: Entity, time_range: TimeRange) -> EntityTotal:
        """Return the sums of all ids over a range."""
        query = entity_query(entity, "total.sql", rows=_rows_query(entity, time_range))
        rows = await self._database.fetch(query, _values(entity, time_range))
        [row] = rows
        return EntityTotal(to_sums(row), row["newest_window"], known_time(row["watermark"]))

    async def summary(self, entity: Entity, time_range: TimeRange) -> EntitySummary:
        """Return sums and percentiles of the ids with trips in a range."""
        shares = [percentile / 100 for percentile in PERCENTILES]
        values = {**_values(entity, time_range), "shares": shares}
        query = entity_query(entity, "summary.sql", sums=_sums_query(entity, time_range))
        [row] = await self._database.fetch(query, values)
        active = row["active_ids"]
        percentiles = {name: row[PERCENTILES_OF + name] for name in SUMS} if active else {}
        watermark = known_time(row["watermark"])
        return EntitySummary(active, to_sums(row), percentiles, row["newest_window"], watermark)

    async def snapshot(self, entity: Entity) -> PostgresSnapshot:
        """Begin to read all windows of an entity, on one more connection."""
        return await PostgresSnapshot.begin(
            await self._database.connect(), entity, ANALYTICS_SECONDS
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._database.close()


def _values(entity: Entity, time_range: TimeRange) -> dict[str, Any]:
    start, end = time_range.bounds
    return {"entity": entity.name, "start": start, "end": end}


def _rows_query(entity: Entity, time_range: TimeRange) -> sql.Composed:
    """Return the query of the rows of a range: windows, or totals if the range is unbounded."""
    return entity_query(entity, "rows_all.sql" if time_range.is_unbounded else "rows_in_range.sql")


def _sums_query(entity: Entity, time_range: TimeRange) -> sql.Composed:
    """Return the query of the sums of each id over a range."""
    rows = _rows_query(entity, time_range)
    return rows if time_range.is_unbounded else entity_query(entity, "sums_in_range.sql", rows=rows)


def _page_query(entity: Entity, order: ListOrder, after: ListPosition | None) -> sql.Composed:
    amount = sql.Identifier(SUM_OF_KEY[order.sort_key or "trips"])
    follows = "({}, id) < (%(value)s, %(after)s)"
    if not order.is_descending:
        follows = follows.replace("<", ">")
    return entity_query(
        entity,
        "sorted_page.sql",
        amount=amount,
        after=sql.SQL(follows).format(amount) if after else sql.SQL("true"),
        direction=sql.SQL("DESC" if order.is_descending else "ASC"),
    )
