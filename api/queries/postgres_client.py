"""A small connection pool to Postgres, and the SQL files of this package."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from api.errors import StoreUnavailableError
from api.queries.contract import Extremes, Page, Sums
from api.queries.measure_lists import MEASURE_LISTS
from api.queries.time_range import known_time, to_datetime
from mobility.entities import Entity
from mobility.measure_lists import fill_in_lists
from mobility.measures import EXTREMES, STARTS, SUMS
from mobility.resources import read_resource
from mobility.settings import Store
from postgres.server_check import UnsuitableServerError, check_server

Row = dict[str, Any]
"""A row by the names of its columns."""

Query = sql.SQL | sql.Composed

Fetch = Callable[[Query, Mapping[str, Any]], Awaitable[list[Row]]]
"""Returns the rows of a query with these values."""

CONNECT_SECONDS: Final = 2
"""The shortest that libpq knows: it takes 1 for 2."""

QUERY_SECONDS: Final = 2.0

_STORE: Final[Store] = "postgres"


class ConnectionPool:
    """Runs one query per connection at a time; others wait until a connection is free.

    Connections are opened when a query needs one, run `session` first, and are kept. Before the
    first one the server is checked. A query that takes longer than `seconds` fails.
    """

    def __init__(
        self,
        url: str,
        session: Query,
        values: Mapping[str, object] | None = None,
        *,
        size: int = 8,
        seconds: float = QUERY_SECONDS,
    ) -> None:
        self._url = url
        self._session = session
        self._values = values
        self._seconds = seconds
        self._slots = asyncio.Semaphore(size)
        self._idle: list[psycopg.AsyncConnection[Row]] = []
        self._is_checked = False

    async def fetch(self, query: Query, values: Mapping[str, object] | None = None) -> list[Row]:
        """Return the rows of a query.

        Raises UnsuitableServerError, psycopg.Error, TimeoutError or OSError.
        """
        async with self._slots:
            connection, rows = await self._first(query, values)
            self._idle.append(connection)
            return rows

    @asynccontextmanager
    async def snapshot(self, first: Query) -> AsyncIterator[tuple[list[Row], Fetch]]:
        """Begin a transaction; yield the rows of `first`, and what fetches others in it.

        All see what the first query sees. `first` may be several statements, without values: it is
        sent together with the begin. Raises as `fetch`.
        """
        begin = sql.SQL("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;\n")
        async with self._slots:
            connection, rows = await self._first(begin + first, None)

            async def fetch(query: Query, values: Mapping[str, Any]) -> list[Row]:
                return await self._run(connection, query, values)

            try:
                yield rows, fetch
            finally:
                # A question that is refused leaves the connection as it is; a failed one closes it.
                if not connection.closed:
                    await self._run(connection, sql.SQL("COMMIT"), None)
                    self._idle.append(connection)

    async def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            await self._idle.pop().close()

    async def connect(self) -> psycopg.AsyncConnection[Row]:
        """Return a new connection, which has run `session`; the caller closes it."""
        if not self._is_checked:
            await asyncio.to_thread(check_server, self._url)
            self._is_checked = True
        connection = await psycopg.AsyncConnection.connect(
            self._url,
            autocommit=True,
            row_factory=dict_row,
            connect_timeout=CONNECT_SECONDS,
            client_encoding="UTF8",
        )
        async with time_limit(connection, self._seconds):
            await connection.execute(self._session, self._values)
        return connection

    async def _first(
        self, query: Query, values: Mapping[str, object] | None
    ) -> tuple[psycopg.AsyncConnection[Row], list[Row]]:
        """Run a query on an idle connection, or a new one; return both."""
        while self._idle:
            connection = self._idle.pop()
            try:
                return connection, await self._run(connection, query, values)
            except psycopg.OperationalError:
                # The server may have closed this connection long ago: try the next one.
                continue
        connection = await self.connect()
        return connection, await self._run(connection, query, values)

    async def _run(
        self,
        connection: psycopg.AsyncConnection[Row],
        query: Query,
        values: Mapping[str, object] | None,
    ) -> list[Row]:
        async with time_limit(connection, self._seconds):
            return await last_rows(connection, query, values)


@asynccontextmanager
async def time_limit(
    connection: psycopg.AsyncConnection[Row], seconds: float
) -> AsyncIterator[None]:
    """Close the connection if what is done with it fails, or takes longer: a TimeoutError."""
    timeout = asyncio.get_running_loop().call_later(seconds, _shut_down, connection)
    try:
        yield
    except BaseException as error:
        await connection.close()
        if asyncio.get_running_loop().time() >= timeout.when():
            raise TimeoutError from error
        raise
    finally:
        timeout.cancel()


async def last_rows(
    connection: psycopg.AsyncConnection[Row],
    query: Query,
    values: Mapping[str, object] | None = None,
) -> list[Row]:
    """Return the rows of the last statement of a query; several have no values."""
    cursor = await connection.execute(query, values)
    while cursor.nextset():
        pass
    return await cursor.fetchall() if cursor.description else []


class Database:
    """Queries one database; every failure is a StoreUnavailableError."""

    def __init__(self, url: str, *, size: int, seconds: float, memory: str) -> None:
        """Use up to `size` connections; a query may take `seconds`, and `memory` for each sort."""
        # The server's timeout is a little longer than ours, which covers the network too.
        limits = {"timeout": f"{seconds + 1:.0f}s", "memory": memory}
        session = sql_file("session.sql")
        self._pool = ConnectionPool(url, session, limits, size=size, seconds=seconds)

    async def fetch(self, query: Query, values: Mapping[str, Any] | None = None) -> list[Row]:
        """Return the rows of a query."""
        with store_failures():
            return await self._pool.fetch(query, values)

    @asynccontextmanager
    async def snapshot(self, first: Query) -> AsyncIterator[tuple[list[Row], Fetch]]:
        """Begin a transaction; yield the rows of `first`, and what fetches others in it."""
        with store_failures():
            async with self._pool.snapshot(first) as begun:
                yield begun

    async def connect(self) -> psycopg.AsyncConnection[Row]:
        """Return a new connection beside those of the queries; the caller closes it."""
        with store_failures():
            return await self._pool.connect()

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.close()


@contextmanager
def store_failures() -> Iterator[None]:
    """Raise StoreUnavailableError for every failure of Postgres."""
    try:
        yield
    except (UnsuitableServerError, psycopg.Error, TimeoutError, OSError) as error:
        raise StoreUnavailableError(_STORE, _failure_reason(error)) from error


@cache
def sql_file(name: str) -> sql.SQL:
    """Return the query in a file of the folder `sql`, with the lists of measures filled in."""
    return sql.SQL(fill_in_lists(read_resource("api.queries", "sql", name), MEASURE_LISTS))


def entity_query(entity: Entity, name: str, **parts: sql.Composable) -> sql.Composed:
    """Return the query in a file, with an entity's tables and other parts filled in."""
    return sql_file(name).format(
        totals=sql.Identifier(f"{entity.name}_totals"),
        ledger=sql.Identifier(f"{entity.name}_ledger"),
        **parts,
    )


def chosen_ids(entity_id: str | None) -> sql.SQL:
    """Return the condition on the id `%(id)s`, which is true without one."""
    return sql.SQL("true" if entity_id is None else "id = %(id)s")


def to_sums(row: Row, prefix: str = "") -> Sums:
    """Return the sums in a row, whose names have a prefix; Postgres returns some as decimals."""
    return {name: int(row[prefix + name]) for name in SUMS}


def to_extremes(row: Row) -> Extremes:
    """Return the minima and maxima in a row, whose times are in epoch ms."""
    return {
        name: to_datetime(row[name]) if name in STARTS and row[name] is not None else row[name]
        for name in EXTREMES
    }


def rows_with_value(rows: list[Row], column: str) -> Iterator[Row]:
    """Yield the rows with a value in a column: a row that only has the watermark has null there."""
    return (row for row in rows if row[column] is not None)


def to_page(rows: list[Row], limit: int) -> Page:
    """Return up to `limit` rows of id, sums and watermark as a page."""
    found = [(row["id"], to_sums(row)) for row in rows_with_value(rows, "id")]
    return Page(found[:limit], len(found) > limit, known_time(rows[0]["watermark"]))


def _shut_down(connection: psycopg.AsyncConnection[Row]) -> None:
    """Make a query fail at once that the server does not answer.

    Cancelling it does not: psycopg then waits for the server to confirm.
    """
    with socket.socket(fileno=os.dup(connection.fileno())) as wire:
        wire.shutdown(socket.SHUT_RDWR)


def _failure_reason(error: Exception) -> str:
    """Return the reason of a failure, to complete "postgres …"; it contains no secret."""
    if isinstance(error, UnsuitableServerError):
        return "is refused: the log of the API says why"
    if isinstance(error, psycopg.errors.UndefinedTable):
        return "has no tables yet, or not all of this release: the flow creates them when it starts"
    if isinstance(error, psycopg.errors.UndefinedColumn):
        return "has the tables of an earlier release: the flow upgrades them when it starts"
    if isinstance(
        error, TimeoutError | psycopg.errors.ConnectionTimeout | psycopg.errors.QueryCanceled
    ):
        return "does not answer in time"
    if isinstance(error, psycopg.OperationalError | OSError):
        return "cannot be reached"
    return "answers with an error"
