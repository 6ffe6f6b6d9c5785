"""Rows as a stream of bytes, in each format of rows."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import polars as pl

from api.representation.formats import Form
from api.representation.parquet_file import write_parquet
from api.representation.rows import write_csv, write_ndjson


def stream_rows(
    frames: AsyncIterator[pl.DataFrame], schema: pl.Schema, form: Form
) -> AsyncGenerator[bytes, None]:
    """Return the parts of one file with these rows, which are written in other threads."""
    if form.name == "parquet":
        return write_parquet(frames, schema)
    if form.name == "csv":
        return _stream_csv(frames, schema, raw=form.raw)
    return _stream_ndjson(frames)


async def _stream_csv(
    frames: AsyncIterator[pl.DataFrame], schema: pl.Schema, *, raw: bool
) -> AsyncGenerator[bytes, None]:
    has_header = True
    async for frame in frames:
        yield await asyncio.to_thread(write_csv, frame, raw=raw, has_header=has_header)
        has_header = False
    if has_header:
        yield write_csv(schema.to_frame())


async def _stream_ndjson(frames: AsyncIterator[pl.DataFrame]) -> AsyncGenerator[bytes, None]:
    async for frame in frames:
        yield await asyncio.to_thread(write_ndjson, frame)
