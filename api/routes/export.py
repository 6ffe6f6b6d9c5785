"""Exports: the windows of all ids of an entity in one response."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

import polars as pl

from api.errors import StoresUnavailableError, StoreUnavailableError
from api.exports import Export, ExportResponse, RunningExports
from api.queries.contract import WindowSnapshot
from api.queries.store_readers import StoreAnswer, StoreReaders
from api.queries.time_range import TimeRange, to_datetime
from api.representation.formats import content_type, format_headers
from api.representation.responses import complete_header, freshness_headers
from api.representation.row_stream import stream_rows
from api.representation.rows import to_rows_of_batch
from api.routes.windows_query import Form, WindowsQuery
from mobility.entities import Entity


def export_windows(
    entity: Entity, query: WindowsQuery, form: Form, readers: StoreReaders, exports: RunningExports
) -> ExportResponse:
    """Return the response with the windows of all ids, in order of time and then of the id."""

    @asynccontextmanager
    async def begin() -> AsyncIterator[Export]:
        answer = await readers.analyze("Windows of all ids", lambda reader: reader.snapshot(entity))
        try:
            headers = {**_headers(answer, query), **format_headers(form.name, entity.name)}
            rows = _rows(answer.value, query)
            yield Export(headers, stream_rows(rows, form.name, raw=form.raw))
        finally:
            await answer.value.close()

    return ExportResponse(exports, begin, content_type(form.name))


def _headers(answer: StoreAnswer[WindowSnapshot], query: WindowsQuery) -> dict[str, str]:
    snapshot, newest = answer.value, answer.value.newest_window
    is_complete = newest is not None and query.windowing.is_range_complete(
        query.range_until(newest), newest, snapshot.watermark
    )
    return {**freshness_headers(snapshot.watermark, answer.store), **complete_header(is_complete)}


async def _rows(snapshot: WindowSnapshot, query: WindowsQuery) -> AsyncIterator[pl.DataFrame]:
    """Yield the rows of a snapshot; raises StoresUnavailableError."""
    oldest, newest = snapshot.oldest_window, snapshot.newest_window
    if oldest is None or newest is None:
        return
    time_range = query.clip(query.range_until(newest), oldest, newest)
    try:
        for bounds in query.chunks(time_range):
            parts = list(query.parts(TimeRange(bounds[0], bounds[-1])))
            if not parts:
                continue
            buckets = _to_buckets(bounds, snapshot, query)
            async with aclosing(snapshot.windows(bounds, parts)) as batches:
                async for batch in batches:
                    yield to_rows_of_batch(batch, buckets)
    except StoreUnavailableError as failure:
        raise StoresUnavailableError([failure]) from failure


def _to_buckets(
    bounds: Sequence[int], snapshot: WindowSnapshot, query: WindowsQuery
) -> pl.DataFrame:
    """Return what a row has of its bucket, by the index of the bucket."""
    times = [to_datetime(bound) for bound in bounds]
    return pl.DataFrame(
        {
            "window_start": times[:-1],
            "window_end": times[1:],
            "complete": [
                query.windowing.is_complete(bound, snapshot.watermark) for bound in bounds[1:]
            ],
        }
    ).with_columns(pl.col("window_start", "window_end").cast(pl.Datetime("ms", "UTC")))
