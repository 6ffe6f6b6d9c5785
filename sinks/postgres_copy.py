"""Rows of Postgres to Polars frames, and back, through COPY.

https://www.postgresql.org/docs/current/sql-copy.html
"""

import io

import polars as pl
from psycopg import sql

from postgres.connection import Connection


def copy_out(connection: Connection, query: sql.Composable, schema: pl.Schema) -> pl.DataFrame:
    """Return the rows of a query as a frame; `schema` has the query's columns in their order."""
    statement = sql.SQL("COPY ({}) TO STDOUT (FORMAT csv)").format(query)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        text = b"".join(bytes(part) for part in copy)
    if not text:
        return pl.DataFrame(schema=schema)
    texts = {name: pl.String() if kind == pl.Binary else kind for name, kind in schema.items()}
    rows = pl.read_csv(io.BytesIO(text), has_header=False, schema=texts)
    return rows.with_columns(
        pl.col(name).str.strip_prefix(r"\x").str.decode("hex")
        for name, kind in schema.items()
        if kind == pl.Binary
    )


def copy_in(connection: Connection, table: sql.Identifier, rows: pl.DataFrame) -> None:
    """Append a frame to a table, whose columns have the names of the frame's."""
    columns = sql.SQL(", ").join(map(sql.Identifier, rows.columns))
    rows = rows.with_columns(
        pl.format(r"\x{}", pl.col(name).bin.encode("hex")).alias(name)
        for name, kind in rows.schema.items()
        if kind == pl.Binary
    )
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(table, columns)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        # In CSV format a quoted value is never read as NULL or as the end-of-data marker.
        copy.write(rows.write_csv(include_header=False, quote_style="non_numeric").encode())
