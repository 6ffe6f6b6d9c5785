"""The SQL of this room, asked of an entity's tables."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import psycopg
from psycopg import sql

from api.queries.contract import Page, StoreDown, Sums, as_time
from api.queries.postgres_client import Connections, Question, Row
from mobility.entities import Entity
from mobility.resources import read_resource
from mobility.settings import Store


class Tables:
    """Asks one database, and turns all its failures into StoreDown."""

    store: Store = "postgres"

    def __init__(self, url: str, *, size: int, seconds: float, memory: str) -> None:
        """Ask on up to `size` connections; each may take `memory` for a sort, and the seconds."""
        # The server gives up a little later than we do: our own deadline covers the network too.
        limits = {"timeout": f"{seconds + 1:.0f}s", "memory": memory}
        session = sql.SQL(text("session.sql"))
        self._connections = Connections(url, session, limits, size=size, seconds=seconds)

    async def fetch(self, question: Question, values: Mapping[str, Any] | None = None) -> list[Row]:
        """Return the rows that answer a question."""
        try:
            return await self._connections.fetch(question, values)
        except (psycopg.Error, TimeoutError, OSError) as error:
            raise StoreDown(self.store, _reason(error)) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._connections.close()


def about(entity: Entity, name: str, **parts: sql.Composable) -> sql.Composed:
    """Return a file's question about an entity's tables."""
    return sql.SQL(text(name)).format(
        totals=sql.Identifier(f"{entity.name}_totals"),
        ledger=sql.Identifier(f"{entity.name}_ledger"),
        **parts,
    )


def text(name: str) -> str:
    """Return a file of the folder `sql`."""
    return read_resource("api.queries", "sql", name)


def sums(cells: Iterable[Any]) -> Sums:
    """Return four cells as sums; Postgres adds whole numbers up as decimals."""
    return Sums(*map(int, cells))


def present(rows: list[Row], column: int) -> Iterator[Row]:
    """Yield the rows that hold something: those that are there for the watermark hold null."""
    return (row for row in rows if row[column] is not None)


def page(rows: list[Row], limit: int) -> Page:
    """Return up to `limit` rows of an id, its sums and the watermark as a page."""
    found = [(row[0], sums(row[1:5])) for row in present(rows, 0)]
    return Page(found[:limit], len(found) > limit, as_time(rows[0][-1]))


def _reason(error: Exception) -> str:
    if isinstance(error, psycopg.errors.UndefinedTable):
        return "has no tables yet: the flow makes them when it starts"
    if isinstance(error, psycopg.errors.UndefinedColumn):
        return "has the tables of an earlier release: the flow upgrades them when it starts"
    if isinstance(
        error, TimeoutError | psycopg.errors.ConnectionTimeout | psycopg.errors.QueryCanceled
    ):
        return "does not answer in time"
    if isinstance(error, psycopg.OperationalError | OSError):
        return "cannot be reached"
    return "answers with an error"
