"""Reconciles the staged windows with the ledger of Postgres, one partition after the other."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl
from psycopg import sql
from psycopg.rows import class_row

from mobility.entities import Entity
from postgres.connection import Connection
from sinks.measure_lists import DIFFERENCE_LISTS, WIDE_DIFFERENCE_LISTS
from sinks.partitions import Partition
from sinks.postgres_copy import copy_out
from sinks.sql_files import entity_statement
from sinks.store import TOUCHED_SCHEMA

_ACCEPTED_SCHEMA: Final = pl.Schema(
    {
        "id": pl.String(),
        "window_start": pl.Int64(),
        **TOUCHED_SCHEMA,
        "has_lost": pl.Int64(),
    }
)
"""The rows of return_accepted.sql."""


@dataclass(frozen=True, slots=True)
class ChosenPart:
    """A partition, and the condition for the staged windows that belong there."""

    partition: sql.Identifier
    condition: sql.Composable


@dataclass(frozen=True, slots=True)
class ReconciledPart:
    """How many windows were applied, and which, with the totals of their ids (_ACCEPTED_SCHEMA)."""

    applied: int
    accepted: pl.DataFrame


@dataclass(frozen=True, slots=True)
class _Counted:
    """The answer of count_accepted.sql."""

    applied: int
    uncertain: list[str]


def chosen_parts(partitions: Sequence[Partition]) -> Iterator[ChosenPart]:
    """Yield the parts of the staged windows; all of them are in these partitions."""
    for each in partitions:
        condition: sql.Composable = sql.SQL("true")
        if len(partitions) > 1:
            condition = sql.SQL("window_start < {}").format(sql.Literal(each.end))
            if each.start is not None:
                start = sql.Literal(each.start)
                condition = sql.SQL("window_start >= {} AND {}").format(start, condition)
        yield ChosenPart(sql.Identifier(each.name), condition)


def reconcile_part(
    connection: Connection,
    entity: Entity,
    chosen: ChosenPart,
    sketches: Mapping[str, sql.Composable],
    *,
    are_wide: bool,
    are_returned: bool,
) -> ReconciledPart:
    """Reconcile a part of the staged windows, whose ids are locked.

    `sketches` are the lists of `sketch_lists`. The accepted windows are returned only where
    `are_returned`. Raises psycopg's NumericValueOutOfRange where totals exceed a bigint that does
    not need to be one, unless they `are_wide`.
    """
    answer = entity_statement(entity, f"{'return' if are_returned else 'count'}_accepted.sql")
    statement = entity_statement(
        entity,
        "reconcile.sql",
        answer=answer,
        partition=chosen.partition,
        chosen=chosen.condition,
        **(WIDE_DIFFERENCE_LISTS if are_wide else DIFFERENCE_LISTS),
        **sketches,
    )
    if are_returned:
        accepted = copy_out(connection, statement, _ACCEPTED_SCHEMA)
        uncertain = accepted.filter(pl.col("has_lost") > 0)["id"].unique().to_list()
        restored = _restore_extremes(connection, entity, uncertain)
        return ReconciledPart(accepted.height, accepted.update(restored, "id"))
    with connection.cursor(row_factory=class_row(_Counted)) as cursor:
        (counted,) = cursor.execute(statement).fetchall()
    _restore_extremes(connection, entity, counted.uncertain)
    return ReconciledPart(counted.applied, pl.DataFrame(schema=_ACCEPTED_SCHEMA))


def _restore_extremes(connection: Connection, entity: Entity, ids: list[str]) -> pl.DataFrame:
    """Find the minima and maxima of ids again; return their totals (TOUCHED_SCHEMA) after it."""
    if not ids:
        return pl.DataFrame(schema=TOUCHED_SCHEMA)
    statement = entity_statement(entity, "restore_extremes.sql", ids=sql.Literal(ids))
    return copy_out(connection, statement, TOUCHED_SCHEMA)
