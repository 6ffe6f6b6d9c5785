"""New windows go straight into the ledger of Postgres: none is looked up, none is compared.

In a catch-up nearly all windows are new. They are copied into the ledger and their sums are added
to the totals, in one transaction. Where the ledger has one of them, its primary key refuses it:
then nothing of the transaction stays, and the batch is reconciled.
"""

from collections.abc import Iterable
from typing import Final

import polars as pl
from psycopg import sql

from mobility.entities import Entity
from mobility.records import WINDOW_SCHEMA
from mobility.sketched_measures import Sketch
from mobility.totals import running_totals
from postgres.connection import Connection
from sinks.postgres_copy import copy_in, copy_out
from sinks.sql_files import entity_statement
from sinks.store import TOUCHED_SCHEMA

MOST_SKIPPED: Final = 16
"""Batches at most that are reconciled without an attempt to copy after one that has failed."""

WORTH_COPYING: Final = 1_000
"""Windows from which those on time are copied in a transaction beside one for the late ones."""


class CopyChoice:
    """Chooses the windows to copy: by their panes, and by what became of those before.

    An attempt that fails costs up to what it would have saved. So after each failure in a row twice
    as many batches are reconciled at once, up to MOST_SKIPPED. Threads may share it: a choice
    decides on time only, so a count that two of them change at once need not be exact.
    """

    def __init__(self) -> None:
        """Expect new windows at first."""
        self._skipped = 0
        self._left = 0

    def expected_new(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return those windows of a batch (`window_schema`) that are probably all new; or none.

        A batch with early panes is of a live phase, where most windows were sent before. Late panes
        are of windows that were, also in a catch-up; they leave the others to be copied where those
        are worth a transaction of their own.
        """
        on_time = pl.col("pane") == "on_time"
        new = rows.filter(on_time)
        is_live = (rows["pane"] == "early").any()
        if is_live or (new.height < rows.height and new.height < WORTH_COPYING):
            return rows.clear()
        if self._left > 0:
            self._left -= 1
            return rows.clear()
        return new

    def learn(self, *, were_new: bool) -> None:
        """Take the outcome of a batch that was to be copied."""
        self._skipped = 0 if were_new else min(2 * self._skipped or 1, MOST_SKIPPED)
        self._left = self._skipped


def copy_windows(
    connection: Connection, entity: Entity, rows: pl.DataFrame, sketches: Iterable[Sketch]
) -> None:
    """Copy windows (`window_schema`) and add them to the totals, in the caller's transaction.

    `sketches` are those that the ledger has columns of. Raises psycopg's UniqueViolation where the
    ledger has one of the windows, and NumericValueOutOfRange where totals need a carry.
    """
    newest = rows.group_by("id").agg(pl.col("window_start").max().alias("newest_window"))
    totals = running_totals(rows).join(newest, "id")
    copy_in(connection, sql.Identifier("staged_totals"), totals)
    connection.execute(entity_statement(entity, "add_to_totals.sql"))
    known = [*WINDOW_SCHEMA.names(), *(each.name for each in sketches)]
    ledger = sql.Identifier(f"{entity.name}_ledger")
    copy_in(connection, ledger, rows.select(name for name in known if name in rows.columns))


def select_touched(connection: Connection, entity: Entity) -> pl.DataFrame:
    """Return the totals (TOUCHED_SCHEMA) of the ids of the windows that were copied before it."""
    return copy_out(connection, entity_statement(entity, "select_touched.sql"), TOUCHED_SCHEMA)
