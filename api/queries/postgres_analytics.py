"""Queries over all ids, which Postgres answers on connections of their own."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import psycopg
from psycopg import sql

from api.errors import StoreUnavailableError
from api.queries.contract import (
    NO_EXTREMES,
    PERCENTILES,
    SUM_OF_KEY,
    ZERO_SUMS,
    EntitySummary,
    EntityTotal,
    ListOrder,
    ListPosition,
    Page,
    RankedId,
    SketchedTrips,
    SortKey,
    TopIds,
    Totals,
    TotalsBatch,
    WeekSums,
)
from api.queries.hours_of_week import ClockSpan
from api.queries.measure_lists import ALL, PERCENTILES_OF
from api.queries.postgres_client import (
    Database,
    Row,
    chosen_ids,
    entity_query,
    rows_with_value,
    to_extremes,
    to_page,
    to_sums,
)
from api.queries.postgres_export import PostgresExportReader
from api.queries.postgres_lists import (
    count_query,
    list_values,
    page_query,
    range_values,
    rows_query,
    sums_query,
)
from api.queries.postgres_retention import refuse_dropped, refuse_dropped_in
from api.queries.postgres_sketches import distribution_query, to_sketches
from api.queries.time_range import TimeRange, known_time
from mobility.entities import Entity
from mobility.measures import SUMS
from mobility.settings import Store
from mobility.sketched_measures import Sketch

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
        values = {**range_values(entity, time_range), "limit": limit, "only": only}
        amount = sql.Identifier(SUM_OF_KEY[sort_key])
        first_file = "top_first.sql" if only is None else "top_only.sql"
        first = entity_query(entity, first_file, amount=amount)
        query = entity_query(entity, "top.sql", sums=sums_query(entity, time_range), first=first)
        rows = await self._database.fetch(query, values)
        await refuse_dropped_in(self._database, entity, time_range)
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
        """Return up to `limit` ids after a position, in any order and over any range."""
        values = {
            **list_values(entity, order),
            "after": after.last_id if after else "",
            "value": after.value if after else 0,
            # One more than the limit tells whether others follow.
            "limit": limit + 1,
        }
        rows = await self._database.fetch(page_query(entity, order, after), values)
        await refuse_dropped_in(self._database, entity, order.time_range)
        return to_page(rows, limit)

    async def count(self, entity: Entity, order: ListOrder) -> int:
        """Return the number of ids in a list."""
        [row] = await self._database.fetch(count_query(entity, order), list_values(entity, order))
        await refuse_dropped_in(self._database, entity, order.time_range)
        return int(row["number"])

    async def batch(self, entity: Entity, ids: Sequence[str], time_range: TimeRange) -> TotalsBatch:
        """Return the totals over a range of those ids that have any."""
        values = {**range_values(entity, time_range), "ids": list(ids)}
        rows = await self._database.fetch(entity_query(entity, "batch_in_range.sql"), values)
        await refuse_dropped_in(self._database, entity, time_range)
        watermark = known_time(rows[0]["watermark"])
        found = {row["id"]: _totals_of(row, watermark) for row in rows_with_value(rows, "id")}
        return TotalsBatch(found, watermark)

    async def total(self, entity: Entity, time_range: TimeRange) -> EntityTotal:
        """Return the sums of all ids over a range."""
        query = entity_query(entity, "total.sql", rows=rows_query(entity, time_range))
        rows = await self._database.fetch(query, range_values(entity, time_range))
        await refuse_dropped_in(self._database, entity, time_range)
        [row] = rows
        return EntityTotal(to_sums(row), row["newest_window"], known_time(row["watermark"]))

    async def summary(self, entity: Entity, time_range: TimeRange) -> EntitySummary:
        """Return sums and percentiles of the ids with trips in a range."""
        shares = [percentile / 100 for percentile in PERCENTILES]
        values = {**range_values(entity, time_range), "shares": shares}
        query = entity_query(entity, "summary.sql", sums=sums_query(entity, time_range))
        [row] = await self._database.fetch(query, values)
        await refuse_dropped_in(self._database, entity, time_range)
        active = row["active_ids"]
        percentiles = (
            {name: [int(each) for each in row[PERCENTILES_OF + name]] for name in SUMS}
            if active
            else {}
        )
        watermark = known_time(row["watermark"])
        return EntitySummary(active, to_sums(row), percentiles, row["newest_window"], watermark)

    async def week(
        self, entity: Entity, spans: Sequence[ClockSpan], only: str | None = None
    ) -> WeekSums:
        """Return the sums of the hours of the week over spans, of all ids or of one."""
        values = {
            "entity": entity.name,
            "starts": [span.start for span in spans],
            "ends": [span.end for span in spans],
            "shifts": [span.shift for span in spans],
            "start": min((span.start for span in spans), default=0),
            "end": max((span.end for span in spans), default=0),
            "id": only,
        }
        query = entity_query(entity, "week.sql", chosen=chosen_ids(only))
        rows = await self._database.fetch(query, values)
        if spans:
            await refuse_dropped(self._database, entity, spans[0].start)
        sums = {row["hour_of_week"]: to_sums(row) for row in rows_with_value(rows, "hour_of_week")}
        return WeekSums(sums, rows[0]["newest_window"], known_time(rows[0]["watermark"]))

    async def distribution(
        self,
        entity: Entity,
        entity_id: str | None,
        time_range: TimeRange,
        sketches: Sequence[Sketch],
    ) -> SketchedTrips:
        """Return these sketches of the trips of an id in a range, or of all ids."""
        start, end = time_range.bounds
        parts = time_range.parts or ((start, end),)
        values = {
            "entity": entity.name,
            "id": entity_id,
            "start": start,
            "end": end,
            "starts": [start for start, _ in parts],
            "ends": [end for _, end in parts],
        }
        try:
            [row] = await self._database.fetch(
                distribution_query(entity, entity_id, sketches), values
            )
        except StoreUnavailableError as failure:
            # The ledger gets the columns at the next start of the flow.
            if not isinstance(failure.__cause__, psycopg.errors.UndefinedColumn):
                raise
            [row] = await self._database.fetch(distribution_query(entity, entity_id, ()), values)
        await refuse_dropped(self._database, entity, start)
        return SketchedTrips(
            int(row["trip_count"]),
            to_sketches(row, sketches),
            row["newest_window"],
            known_time(row["watermark"]),
        )

    async def begin_export(self, entity: Entity) -> PostgresExportReader:
        """Begin to read all of an entity, on one more connection."""
        return await PostgresExportReader.begin(
            await self._database.connect(), entity, ANALYTICS_SECONDS
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._database.close()


def _totals_of(row: Row, watermark: datetime | None) -> Totals:
    """Return the totals in a row, which has none if there are no windows."""
    if row["trip_count"] is None:
        return Totals(ZERO_SUMS, NO_EXTREMES, None, watermark)
    return Totals(to_sums(row), to_extremes(row), None, watermark)
