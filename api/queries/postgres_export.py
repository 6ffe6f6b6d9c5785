"""All of an entity, read from Postgres in batches."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Any, Final, LiteralString

import polars as pl
import psycopg
from psycopg import sql
from psycopg.rows import tuple_row
from psycopg.types.string import TextLoader

from api.queries.contract import LIST_BATCH_SCHEMA, ListOrder, window_batch_schema
from api.queries.local_times import Part
from api.queries.postgres_client import (
    Query,
    Row,
    entity_query,
    last_rows,
    store_failures,
    time_limit,
)
from api.queries.postgres_lists import list_query, list_values
from api.queries.postgres_sketches import windows_query
from api.queries.postgres_windows import (
    ledger_state_query,
    to_ledger_state,
    windows_in,
)
from api.queries.time_range import ALL_TIME, known_time
from api.queries.window_tables import LedgerState, choose_tables
from mobility.entities import Entity
from mobility.rollups import DAY
from mobility.sketched_measures import Sketch

BATCH_ROWS: Final = 2_000
"""Rows that are fetched and written at once: few, so that other requests do not wait for them."""

SKETCH_BATCH_ROWS: Final = 200
"""The same of rows with sketches, which can have kilobytes for each window of a bucket."""

_BEGIN: Final[LiteralString] = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_CURSOR: Final = "windows"


class PostgresExportReader:
    """The windows and ids of an entity at one moment, on a connection of its own.

    All is read in one transaction, so that the watermark promises exactly what the windows have. A
    cursor of the server keeps what is not fetched yet.
    """

    def __init__(
        self,
        connection: psycopg.AsyncConnection[Row],
        entity: Entity,
        span: Row,
        state: LedgerState,
        seconds: float,
    ) -> None:
        self.oldest_window: Final[int | None] = span["oldest_window"]
        self.newest_window: Final[int | None] = span["newest_window"]
        self.kept_from: Final = state.kept_from
        self.watermark: Final = known_time(span["watermark"])
        # Sums: to read them as decimals takes longer than all else that is done with a row.
        connection.adapters.register_loader("numeric", TextLoader)
        self._connection = connection
        self._entity = entity
        self._state = state
        self._seconds = seconds
        self._columns: frozenset[str] | None = None

    @classmethod
    async def begin(
        cls, connection: psycopg.AsyncConnection[Row], entity: Entity, seconds: float
    ) -> "PostgresExportReader":
        """Begin to read; each query may take `seconds`. Raises StoreUnavailableError."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(connection.close)
            with store_failures():
                async with time_limit(connection, seconds):
                    await connection.execute(sql.SQL(_BEGIN))
                    query = ledger_state_query(entity, ALL_TIME.bounds)
                    state = to_ledger_state(await last_rows(connection, query))
                    query = entity_query(entity, "window_span.sql")
                    [span] = await last_rows(connection, query, {"entity": entity.name})
            stack.pop_all()
        return cls(connection, entity, span, state, seconds)

    def check(
        self, parts: Sequence[Part], bounds: Sequence[int] = (), sketches: Sequence[Sketch] = ()
    ) -> None:
        """Raise BeyondLedgerError where windows in parts are needed that were dropped."""
        # Only that, without the query: an export of years has many thousand bounds.
        choose_tables(self._state, parts, bounds, longest=0 if sketches else DAY)

    async def windows(
        self,
        bounds: Sequence[int],
        parts: Sequence[Part],
        entity_id: str | None = None,
        sketches: Sequence[Sketch] = (),
    ) -> AsyncGenerator[pl.DataFrame, None]:
        """Yield the buckets between bounds in batches (`window_batch_schema`).

        Only windows in the parts count. Raises StoreUnavailableError.
        """
        known = await self._known(sketches)
        windows = windows_in(self._entity, self._state, parts, bounds, sketches=known)
        values = {"id": entity_id, "bounds": list(bounds), **windows.values}
        query = windows_query(self._entity, entity_id, known, windows.query)
        schema, size = window_batch_schema(known), SKETCH_BATCH_ROWS if known else BATCH_ROWS
        async with aclosing(self._read(query, values, schema, size)) as frames:
            async for frame in frames:
                yield frame

    async def ids(self, order: ListOrder, limit: int | None) -> AsyncGenerator[pl.DataFrame, None]:
        """Yield the first ids of a list in batches (LIST_BATCH_SCHEMA), all without a limit.

        Raises StoreUnavailableError.
        """
        values = {**list_values(self._entity, order), "limit": limit}
        windows = None
        if not order.time_range.is_unbounded:
            windows = windows_in(self._entity, self._state, order.time_range.counted)
            values |= windows.values
        query = list_query(self._entity, order, windows.query if windows else None)
        async with aclosing(self._read(query, values, LIST_BATCH_SCHEMA)) as frames:
            async for frame in frames:
                yield frame

    async def close(self) -> None:
        """End reading: the server ends the transaction with the connection."""
        await self._connection.close()

    async def _known(self, sketches: Sequence[Sketch]) -> Sequence[Sketch]:
        """Return the sketches that the ledger has; it gets them at the next start of the flow."""
        if not sketches:
            return sketches
        if self._columns is None:
            query = entity_query(self._entity, "ledger_columns.sql")
            with store_failures():
                async with time_limit(self._connection, self._seconds):
                    rows = await last_rows(self._connection, query)
                    self._columns = frozenset(row["name"] for row in rows)
        return [each for each in sketches if each.name in self._columns]

    async def _read(
        self, query: Query, values: Mapping[str, Any], schema: pl.Schema, size: int = BATCH_ROWS
    ) -> AsyncGenerator[pl.DataFrame, None]:
        cursor = self._connection.cursor(_CURSOR, row_factory=tuple_row)
        with store_failures():
            async with time_limit(self._connection, self._seconds):
                await cursor.execute(query, values)
        while rows := await self._fetch(cursor, size):
            yield await asyncio.to_thread(_to_frame, rows, schema)
        with store_failures():
            await cursor.close()

    async def _fetch(self, cursor: psycopg.AsyncServerCursor[Any], size: int) -> list[Any]:
        with store_failures():
            async with time_limit(self._connection, self._seconds):
                return await cursor.fetchmany(size)


def _to_frame(rows: Sequence[tuple[Any, ...]], schema: pl.Schema) -> pl.DataFrame:
    """Return rows as a frame; sums are texts in them."""
    read = {name: pl.String() if kind == pl.Int128 else kind for name, kind in schema.items()}
    return pl.DataFrame(rows, read, orient="row").cast(schema)
