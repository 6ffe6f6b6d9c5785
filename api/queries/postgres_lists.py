"""The SQL of lists: ids with their sums, of all time or over windows, sorted by a sum or by id."""

from collections.abc import Sequence
from typing import Any

from psycopg import sql

from api.queries.contract import MAX_CHARACTER, SUM_OF_KEY, ListOrder, ListPosition
from api.queries.postgres_client import entity_query
from mobility.entities import Entity


def rows_query(entity: Entity, windows: sql.Composable | None) -> sql.Composable:
    """Return the query of windows, or without them that of the totals of all time."""
    return entity_query(entity, "totals_of_all.sql") if windows is None else windows


def sums_query(entity: Entity, windows: sql.Composable | None) -> sql.Composed:
    """Return the query of the sums of each id over windows, or of all time."""
    if windows is None:
        return entity_query(entity, "ids_with_trips.sql")
    return entity_query(entity, "sums_in_range.sql", rows=windows)


def list_values(entity: Entity, order: ListOrder) -> dict[str, Any]:
    """Return the values of a query of a list, without those of its windows."""
    prefix_end = order.prefix + MAX_CHARACTER
    return {"entity": entity.name, "prefix": order.prefix, "prefix_end": prefix_end}


def list_query(entity: Entity, order: ListOrder, windows: sql.Composable | None) -> sql.Composed:
    """Return the query of the first ids in a list, of all if the limit is null."""
    return entity_query(
        entity,
        "list.sql",
        ids=_ids_query(entity, windows),
        order=_order_by(_columns(order), order),
    )


def count_query(entity: Entity, windows: sql.Composable | None) -> sql.Composed:
    """Return the query of the number of ids in a list."""
    return entity_query(entity, "count_in_list.sql", ids=_ids_query(entity, windows))


def page_query(
    entity: Entity, order: ListOrder, after: ListPosition | None, windows: sql.Composable | None
) -> sql.Composed:
    """Return the query of the ids in a list after a position."""
    columns = _columns(order)
    last = [sql.SQL("%(value)s"), sql.SQL("%(after)s")][-len(columns) :]
    comparison = sql.SQL(" < " if order.is_descending else " > ")
    follows = _row(columns) + comparison + _row(last)
    return entity_query(
        entity,
        "sorted_page.sql",
        ids=_ids_query(entity, windows),
        after=follows if after else sql.SQL("true"),
        order=_order_by(columns, order),
    )


def _ids_query(entity: Entity, windows: sql.Composable | None) -> sql.Composed:
    """Return the query of the ids in a list with their sums, of any prefix.

    Without windows these are all ids, also those that a backfill has left without trips.
    """
    if windows is None:
        return entity_query(entity, "ids_all.sql")
    return sums_query(entity, windows)


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
