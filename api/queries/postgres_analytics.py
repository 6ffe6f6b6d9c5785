"""Questions about all ids at once, asked of Postgres beside the quick ones."""

from typing import Any, Final

from psycopg import sql

from api.queries.contract import (
    AMOUNT_OF,
    LAST,
    PERCENTILES,
    By,
    Order,
    Page,
    Place,
    Ranked,
    Summary,
    Top,
    Total,
    as_time,
)
from api.queries.tables import Tables, about, page, present, sums
from api.queries.time_range import Range
from api.representation.amounts import NAMES
from mobility.entities import Entity
from mobility.settings import Store

ANALYSIS_SECONDS: Final = 10.0


class PostgresAnalyst:
    """Adds up windows of a range, or the totals of all time. Connects at the first question.

    It has connections of its own, few of them: whoever asks for one id does not wait behind those
    who ask for all.
    """

    store: Final[Store] = "postgres"

    def __init__(self, url: str) -> None:
        self._tables = Tables(url, seconds=ANALYSIS_SECONDS, size=2, memory="128MB")

    async def top(
        self, entity: Entity, over: Range, by: By, limit: int, only: str | None = None
    ) -> Top:
        """Return the first ids by an amount over a range, or `only` one of them, with its rank."""
        values = {**_values(entity, over), "limit": limit, "only": only}
        amount = sql.Identifier(AMOUNT_OF[by])
        first = about(entity, "top_first.sql" if only is None else "top_only.sql", amount=amount)
        question = about(entity, "top.sql", sums=_sums(entity, over), first=first)
        rows = await self._tables.fetch(question, values)
        active, *total, newest, watermark = rows[0][:7]
        ids = [
            Ranked(entity_id, rank, sums(amounts))
            for entity_id, rank, *amounts in (row[7:] for row in present(rows, 7))
        ]
        return Top(ids, active, sums(total), newest, as_time(watermark))

    async def page(self, entity: Entity, order: Order, after: Place | None, limit: int) -> Page:
        """Return up to `limit` ids from a place on, in an order by an amount."""
        values = {
            "entity": entity.name,
            "prefix": order.prefix,
            "beyond": order.prefix + LAST,
            "after": after.last_id if after else "",
            "value": after.value if after else 0,
            # One more than asked for tells whether there are more.
            "limit": limit + 1,
        }
        return page(await self._tables.fetch(_page(entity, order, after), values), limit)

    async def total(self, entity: Entity, over: Range) -> Total:
        """Return the sums of all ids over a range."""
        question = about(entity, "total.sql", rows=_rows(entity, over))
        [(*cells, newest, watermark)] = await self._tables.fetch(question, _values(entity, over))
        return Total(sums(cells), newest, as_time(watermark))

    async def summary(self, entity: Entity, over: Range) -> Summary:
        """Return sums and percentiles of the ids with trips in a range."""
        values = {**_values(entity, over), "shares": [share / 100 for share in PERCENTILES]}
        question = about(entity, "summary.sql", sums=_sums(entity, over))
        [(active, *cells)] = await self._tables.fetch(question, values)
        newest, watermark = cells[8:]
        percentiles = dict(zip(NAMES, cells[4:8], strict=True)) if active else {}
        return Summary(active, sums(cells[:4]), percentiles, newest, as_time(watermark))

    async def close(self) -> None:
        """Close the connections."""
        await self._tables.close()


def _values(entity: Entity, over: Range) -> dict[str, Any]:
    start, end = over.edges
    return {"entity": entity.name, "start": start, "end": end}


def _rows(entity: Entity, over: Range) -> sql.Composed:
    """Return the question for what adds up to a range: totals for all time, else windows."""
    return about(entity, "rows_ever.sql" if over.is_open else "rows_between.sql")


def _sums(entity: Entity, over: Range) -> sql.Composed:
    """Return the question for the sums of each id over a range."""
    rows = _rows(entity, over)
    return rows if over.is_open else about(entity, "sums_between.sql", rows=rows)


def _page(entity: Entity, order: Order, after: Place | None) -> sql.Composed:
    amount = sql.Identifier(AMOUNT_OF[order.by or "trips"])
    follows = "({}, id) < (%(value)s, %(after)s)"
    if not order.descending:
        follows = follows.replace("<", ">")
    return about(
        entity,
        "page_by.sql",
        amount=amount,
        after=sql.SQL(follows).format(amount) if after else sql.SQL("true"),
        direction=sql.SQL("DESC" if order.descending else "ASC"),
    )
