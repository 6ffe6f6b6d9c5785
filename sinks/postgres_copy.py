"""Frames to Postgres and back through COPY, whole columns at a time."""

import io

import polars as pl
from psycopg import sql

from sinks.migrations import Connection


def copy_in(connection: Connection, table: sql.Identifier, rows: pl.DataFrame) -> None:
    """Append a frame to a table that has columns of the frame's names."""
    columns = sql.SQL(", ").join(map(sql.Identifier, rows.columns))
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(table, columns)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        # Quoted text is never taken for null or for the end of the data.
        copy.write(rows.write_csv(include_header=False, quote_style="non_numeric").encode())


def copy_out(connection: Connection, query: sql.Composable, schema: pl.Schema) -> pl.DataFrame:
    """Return a query's rows as a frame of the schema, which names the query's columns in order."""
    statement = sql.SQL("COPY ({}) TO STDOUT (FORMAT csv)").format(query)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        text = b"".join(bytes(part) for part in copy)
    if not text:
        return pl.DataFrame(schema=schema)
    return pl.read_csv(io.BytesIO(text), has_header=False, schema=schema)
