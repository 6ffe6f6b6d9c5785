"""The SQL of lists: ids with their sums, of all time or over a range, sorted by a sum or by id."""

from collections.abc import Sequence
from typing import Any

from psycopg import sql

from api.queries.contract import MAX_CHARACTER, SUM_OF_KEY, ListOrder, ListPosition
from api.queries.postgres_client import entity_query
from api.queries.time_range import TimeRange
from mobility.entities import Entity


def range_values(entity: Entity, time_range: TimeRange) -> dict[str, Any]:
    """Return the values of a query over a range."""
    start, end = time_range.bounds
    parts = time_range.parts or ()
    return {
        "entity": entity.name,
        "start": start,
        "end": end,
        "starts": [part_start for part_start, _ in parts],
        "ends": [part_end for _, part_end in parts],
    }


def rows_query(entity: Entity, time_range: TimeRange) -> sql.Composed:
    """Return the query of the rows of a range: windows, or totals if the range is unbounded."""
    if time_range.parts is not None:
        return entity_query(entity, "rows_in_parts.sql")
    return entity_query(entity, "rows_all.sql" if time_range.is_unbounded else "rows_in_range.sql")


def sums_query(entity: Entity, time_range: TimeRange) -> sql.Composed:
    """Return the query of the sums of each id over a range."""
    rows = rows_query(entity, time_range)
    return rows if time_range.is_unbounded else entity_query(entity, "sums_in_range.sql", rows=rows)


def list_values(entity: Entity, order: ListOrder) -> dict[str, Any]:
    """Return the values of a query of a list."""
    prefix_end = order.prefix + MAX_CHARACTER
    return {
        **range_values(entity, order.time_range),
        "prefix": order.prefix,
        "prefix_end": prefix_end,
    }


def list_query(entity: Entity, order: ListOrder) -> sql.Composed:
    """Return the query of the first ids in a list, of all if the limit is null."""
    return entity_query(
        entity, "list.sql", ids=_ids_query(entity, order), order=_order_by(_columns(order), order)
    )


def count_query(entity: Entity, order: ListOrder) -> sql.Composed:
    """Return the query of the number of ids in a list."""
    return entity_query(entity, "count_in_list.sql", ids=_ids_query(entity, order))


def page_query(entity: Entity, order: ListOrder, after: ListPosition | None) -> sql.Composed:
    """Return the query of the ids in a list after a position."""
    columns = _columns(order)
    last = [sql.SQL("%(value)s"), sql.SQL("%(after)s")][-len(columns) :]
    comparison = sql.SQL(" < " if order.is_descending else " > ")
    follows = _row(columns) + comparison + _row(last)
    return entity_query(
        entity,
        "sorted_page.sql",
        ids=_ids_query(entity, order),
        after=follows if after else sql.SQL("true"),
        order=_order_by(columns, order),
    )


def _ids_query(entity: Entity, order: ListOrder) -> sql.Composed:
    """Return the query of the ids in a list with their sums, of any prefix.

    Without a range these are all ids, also those that a backfill has left without trips.
    """
    if order.time_range.is_unbounded:
        return entity_query(entity, "ids_all.sql")
    return sums_query(entity, order.time_range)


def _columns(order: ListOrder) -> list[sql.Composable]:
    """Return the columns that a list is sorted by."""
    if order.sort_key is None:
        return [sql.SQL("id")]
    return [sql.Identifier(SUM_OF_KEY[order.sort_key]), sql.SQL("id")]


def _order_by(columns: Sequence[sql.Composable], order: ListOrder) -> sql.Composed:
    direction = sql.SQL(" DESC" if order.is_descending else " ASC")
    return sql.SQL(", ").join(column + direction for column in columns)


def _row(values: Sequence[sql.Composable]) -> sql.Composed:
    return sql.SQL("({})").format(sql.SQL(", ").join(values))
