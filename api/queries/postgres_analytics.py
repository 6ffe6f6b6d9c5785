"""Queries over all ids, which Postgres answers on connections of their own."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

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
    Query,
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
    rows_query,
    sums_query,
)
from api.queries.postgres_sketches import distribution_query, to_sketches
from api.queries.postgres_windows import ledger_snapshot
from api.queries.time_range import TimeRange, known_time
from api.queries.window_tables import begin_with_clock_hours
from mobility.entities import Entity
from mobility.measures import SUMS
from mobility.rollups import HOUR
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
        amount = sql.Identifier(SUM_OF_KEY[sort_key])
        first_file = "top_first.sql" if only is None else "top_only.sql"
        first = entity_query(entity, first_file, amount=amount)
        rows = await self._fetch(
            entity,
            time_range,
            lambda rows: entity_query(
                entity, "top.sql", sums=sums_query(entity, rows), first=first
            ),
            {"entity": entity.name, "limit": limit, "only": only},
        )
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
        rows = await self._fetch(
            entity, order.time_range, lambda rows: page_query(entity, order, after, rows), values
        )
        return to_page(rows, limit)

    async def count(self, entity: Entity, order: ListOrder) -> int:
        """Return the number of ids in a list."""
        [row] = await self._fetch(
            entity,
            order.time_range,
            lambda rows: count_query(entity, rows),
            list_values(entity, order),
        )
        return int(row["number"])

    async def batch(self, entity: Entity, ids: Sequence[str], time_range: TimeRange) -> TotalsBatch:
        """Return the totals over a range of those ids that have any."""
        values = {"entity": entity.name, "ids": list(ids)}
        async with ledger_snapshot(self._database, entity, time_range.counted) as snapshot:
            windows = snapshot.windows()
            query = entity_query(entity, "batch_in_range.sql", rows=windows.query)
            rows = await snapshot.fetch(query, {**values, **windows.values})
        watermark = known_time(rows[0]["watermark"])
        found = {row["id"]: _totals_of(row, watermark) for row in rows_with_value(rows, "id")}
        return TotalsBatch(found, watermark)

    async def total(self, entity: Entity, time_range: TimeRange) -> EntityTotal:
        """Return the sums of all ids over a range."""
        [row] = await self._fetch(
            entity,
            time_range,
            lambda rows: entity_query(entity, "total.sql", rows=rows_query(entity, rows)),
            {"entity": entity.name},
        )
        return EntityTotal(to_sums(row), row["newest_window"], known_time(row["watermark"]))

    async def summary(self, entity: Entity, time_range: TimeRange) -> EntitySummary:
        """Return sums and percentiles of the ids with trips in a range."""
        shares = [percentile / 100 for percentile in PERCENTILES]
        [row] = await self._fetch(
            entity,
            time_range,
            lambda rows: entity_query(entity, "summary.sql", sums=sums_query(entity, rows)),
            {"entity": entity.name, "shares": shares},
        )
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
            "span_starts": [span.start for span in spans],
            "shifts": [span.shift for span in spans],
            "id": only,
        }
        parts = [(span.start, span.end) for span in spans]
        async with ledger_snapshot(self._database, entity, parts) as snapshot:
            has_hours = begin_with_clock_hours(snapshot.state, spans)
            windows = snapshot.windows(longest=HOUR if has_hours else 0)
            query = entity_query(entity, "week.sql", rows=windows.query, chosen=chosen_ids(only))
            rows = await snapshot.fetch(query, {**values, **windows.values})
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
        values = {"entity": entity.name, "id": entity_id}

        async def fetch(known: Sequence[Sketch]) -> Row:
            parts = time_range.counted
            async with ledger_snapshot(self._database, entity, parts) as snapshot:
                windows = snapshot.windows(sketches=known)
                query = distribution_query(entity, entity_id, known, windows.query)
                [row] = await snapshot.fetch(query, {**values, **windows.values})
                return row

        try:
            row = await fetch(sketches)
        except StoreUnavailableError as failure:
            # The ledger gets the columns at the next start of the flow.
            if not isinstance(failure.__cause__, psycopg.errors.UndefinedColumn):
                raise
            row = await fetch(())
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

    async def _fetch(
        self,
        entity: Entity,
        time_range: TimeRange,
        query_of: Callable[[sql.Composable | None], Query],
        values: Mapping[str, Any],
    ) -> list[Row]:
        """Return the rows of the query of the windows in a range; of None for all time.

        Raises StoreUnavailableError, and BeyondLedgerError where windows were dropped.
        """
        if time_range.is_unbounded:
            return await self._database.fetch(query_of(None), values)
        async with ledger_snapshot(self._database, entity, time_range.counted) as snapshot:
            windows = snapshot.windows()
            return await snapshot.fetch(query_of(windows.query), {**values, **windows.values})


def _totals_of(row: Row, watermark: datetime | None) -> Totals:
    """Return the totals in a row, which has none if there are no windows."""
    if row["trip_count"] is None:
        return Totals(ZERO_SUMS, NO_EXTREMES, None, watermark)
    return Totals(to_sums(row), to_extremes(row), None, watermark)
