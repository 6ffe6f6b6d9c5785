"""Exports: all windows of an entity, or all ids of a list, in one response."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

import polars as pl

from api.errors import StoresUnavailableError, StoreUnavailableError
from api.exports import Export, ExportResponse, RunningExports
from api.queries.contract import ExportReader, ListOrder
from api.queries.store_readers import StoreReaders
from api.queries.time_range import TimeRange, to_datetime
from api.representation.distribution_columns import distribution_columns, distribution_schema
from api.representation.formats import Form, content_type, format_headers
from api.representation.responses import TIME_ZONE, complete_header, freshness_headers
from api.representation.row_stream import stream_rows
from api.representation.rows import LIST_ROW_SCHEMA, ROW_SCHEMA, to_list_rows, to_rows_of_batch
from api.routes.windows_query import WindowsQuery
from mobility.entities import Entity
from mobility.sketched_measures import Sketch


@dataclass(frozen=True, slots=True)
class _Rows:
    """What is exported: `what` it is in messages, its file name, and how a source has it.

    `check` raises BeyondLedgerError where a source lacks a part of it.
    """

    what: str
    file_name: str
    schema: pl.Schema
    read: Callable[[ExportReader], AsyncIterator[pl.DataFrame]]
    headers: Callable[[ExportReader], Mapping[str, str]]
    check: Callable[[ExportReader], None]


@dataclass(frozen=True, slots=True)
class Exporter:
    """Makes responses of an entity in a form."""

    entity: Entity
    form: Form
    readers: StoreReaders
    running: RunningExports

    def windows(
        self, query: WindowsQuery, entity_id: str | None = None, sketches: Sequence[Sketch] = ()
    ) -> ExportResponse:
        """Return the response with the windows of an id or of all, in order of time and of the id.

        With sketches each row has the distributions of its trips.
        """
        return self._export(
            _Rows(
                "Windows of all ids",
                f"{self.entity.name}-windows",
                pl.Schema(ROW_SCHEMA | distribution_schema(sketches)),
                lambda source: _read_windows(source, query, entity_id, sketches),
                lambda source: {
                    **complete_header(_is_complete(source, query)),
                    TIME_ZONE: query.tz,
                },
                lambda source: _check_windows(source, query, sketches),
            )
        )

    def ids(self, order: ListOrder, limit: int | None) -> ExportResponse:
        """Return the response with the first ids of a list, or all of them, and their sums."""
        return self._export(
            _Rows(
                "Lists in one response",
                self.entity.name,
                LIST_ROW_SCHEMA,
                lambda source: _read_ids(source, order, limit),
                lambda _: {},
                lambda source: _check_ids(source, order),
            )
        )

    def _export(self, rows: _Rows) -> ExportResponse:
        @asynccontextmanager
        async def begin() -> AsyncIterator[Export]:
            answer = await self.readers.analyze(
                rows.what, lambda reader: reader.begin_export(self.entity)
            )
            source = answer.value
            try:
                rows.check(source)
                headers = {
                    **freshness_headers(source.watermark, answer.store),
                    **rows.headers(source),
                    **format_headers(self.form.name, rows.file_name),
                }
                parts = stream_rows(rows.read(source), rows.schema, self.form)
                yield Export(headers, parts)
            finally:
                await source.close()

        return ExportResponse(self.running, begin, content_type(self.form.name))


async def _read_ids(
    source: ExportReader, order: ListOrder, limit: int | None
) -> AsyncIterator[pl.DataFrame]:
    """Yield the rows of a list; raises StoresUnavailableError."""
    try:
        async with aclosing(source.ids(order, limit)) as batches:
            async for batch in batches:
                yield to_list_rows(batch)
    except StoreUnavailableError as failure:
        raise StoresUnavailableError([failure]) from failure


async def _read_windows(
    source: ExportReader, query: WindowsQuery, entity_id: str | None, sketches: Sequence[Sketch]
) -> AsyncIterator[pl.DataFrame]:
    """Yield the rows of windows; raises StoresUnavailableError."""
    try:
        for bounds in _chunks(source, query):
            parts = list(query.parts(TimeRange(bounds[0], bounds[-1])))
            if not parts:
                continue
            buckets = _to_buckets(bounds, source, query)
            async with aclosing(source.windows(bounds, parts, entity_id, sketches)) as batches:
                async for batch in batches:
                    rows = to_rows_of_batch(batch, buckets)
                    if sketches:
                        derived = await asyncio.to_thread(distribution_columns, batch, sketches)
                        rows = rows.hstack(derived)
                    yield rows
    except StoreUnavailableError as failure:
        raise StoresUnavailableError([failure]) from failure


def _to_buckets(bounds: Sequence[int], source: ExportReader, query: WindowsQuery) -> pl.DataFrame:
    """Return what a row has of its bucket, by the index of the bucket."""
    times = [to_datetime(bound) for bound in bounds]
    return pl.DataFrame(
        {
            "window_start": times[:-1],
            "window_end": times[1:],
            "complete": [
                query.windowing.is_complete(bound, source.watermark) for bound in bounds[1:]
            ],
        }
    ).with_columns(pl.col("window_start", "window_end").cast(pl.Datetime("ms", "UTC")))


def _check_ids(source: ExportReader, order: ListOrder) -> None:
    """Raise BeyondLedgerError where a list needs windows that were dropped."""
    if not order.time_range.is_unbounded:
        source.check(order.time_range.counted)


def _check_windows(source: ExportReader, query: WindowsQuery, sketches: Sequence[Sketch]) -> None:
    """Raise BeyondLedgerError where windows are asked for that were dropped."""
    kept_from = source.kept_from
    for bounds in _chunks(source, query):
        if kept_from is None or bounds[0] >= kept_from:
            return
        parts = list(query.parts(TimeRange(bounds[0], bounds[-1])))
        source.check(parts, bounds, sketches)


def _chunks(source: ExportReader, query: WindowsQuery) -> Iterator[tuple[int, ...]]:
    """Yield the bounds of the buckets that may have windows, some at a time."""
    oldest, newest = source.oldest_window, source.newest_window
    if oldest is None or newest is None:
        return iter(())
    return query.chunks(query.clip(query.range_until(newest), oldest, newest))


def _is_complete(source: ExportReader, query: WindowsQuery) -> bool:
    newest = source.newest_window
    return newest is not None and query.windowing.is_range_complete(
        query.range_until(newest), newest, source.watermark
    )
