"""Series of an id: its windows over time, or hours or days of them."""

from dataclasses import dataclass
from typing import Annotated, Any, Final

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.openapi.spec import Example
from litestar.params import QueryParameter

from api.queries.buckets import (
    Granularity,
    bucket_bounds,
    bucket_length,
    iso_duration,
    series_range,
    time_zone,
)
from api.queries.contract import Series
from api.queries.store_readers import StoreAnswer, StoreReaders
from api.queries.time_range import TimeRange, WindowingStrategy, to_datetime
from api.representation.formats import MEDIA_TYPES, Format, choose_format, format_headers
from api.representation.openapi import SeriesOperation
from api.representation.responses import (
    SeriesBucket,
    SeriesResponse,
    freshness_headers,
    range_to_response,
    to_response,
)
from api.representation.rows import to_rows, write_rows
from api.routes.parameters import (
    QUERY_ID,
    EncodedId,
    EntityName,
    From,
    To,
    entity_by_name,
    id_from_path,
    id_from_query,
    unknown_id,
)
from mobility.entities import Entity

GranularityParameter = Annotated[
    Granularity | None,
    QueryParameter(description="The length of a bucket; by default, that of a window."),
]
TimeZoneParameter = Annotated[
    str,
    QueryParameter(
        description="The time zone of days and hours (a name of the IANA database).",
        examples=[Example(value="Europe/Berlin"), Example(value="UTC")],
    ),
]
FormatParameter = Annotated[
    Format | None,
    QueryParameter(name="format", description="The format, in place of that in the Accept header."),
]
RawParameter = Annotated[
    bool,
    QueryParameter(
        description="In CSV, ids that a spreadsheet would run as a formula begin with an "
        "apostrophe; with `raw=1` they are as they are."
    ),
]
_OPERATION: Final[dict[str, Any]] = {
    "summary": "An id's windows",
    "operation_class": SeriesOperation,
}


@get("/metrics/{entity_name:str}/{entity_id:str}/windows", **_OPERATION)
async def series(
    request: Request[Any, Any, Any],
    entity_name: EntityName,
    entity_id: EncodedId,
    readers: NamedDependency[StoreReaders],
    windowing: NamedDependency[WindowingStrategy],
    from_: From = None,
    to: To = None,
    granularity: GranularityParameter = None,
    tz: TimeZoneParameter = "UTC",
    format_: FormatParameter = None,
    raw: RawParameter = False,
) -> Response[SeriesResponse]:
    """Return the windows of an id, by default those of the day that ends with its newest window.

    The format is JSON, or by `format` or the Accept header NDJSON, CSV or Parquet.
    """
    entity = entity_by_name(entity_name)
    found_id = id_from_path(entity, entity_id)
    form = _Form(choose_format(format_, request.headers.get("accept")), raw)
    query = _SeriesQuery(from_, to, granularity, tz, windowing)
    return await _respond(entity, found_id, query, readers, form)


@get("/windows/{entity_name:str}", **_OPERATION)
async def series_by_query(
    request: Request[Any, Any, Any],
    entity_name: EntityName,
    id_: Annotated[str, QUERY_ID],
    readers: NamedDependency[StoreReaders],
    windowing: NamedDependency[WindowingStrategy],
    from_: From = None,
    to: To = None,
    granularity: GranularityParameter = None,
    tz: TimeZoneParameter = "UTC",
    format_: FormatParameter = None,
    raw: RawParameter = False,
) -> Response[SeriesResponse]:
    """Return the same for an id with any characters."""
    entity = entity_by_name(entity_name)
    found_id = id_from_query(entity, id_)
    form = _Form(choose_format(format_, request.headers.get("accept")), raw)
    query = _SeriesQuery(from_, to, granularity, tz, windowing)
    return await _respond(entity, found_id, query, readers, form)


@dataclass(frozen=True, slots=True)
class _Form:
    """The form of a response: its format, and whether cells of CSV are as they are."""

    name: Format
    raw: bool


class _SeriesQuery:
    """The parameters of a series."""

    def __init__(
        self,
        start: str | None,
        end: str | None,
        granularity: Granularity | None,
        tz: str,
        windowing: WindowingStrategy,
    ) -> None:
        self.windowing = windowing
        self.tz = tz
        self._zone = time_zone(tz)
        self._length = bucket_length(granularity, windowing)
        self._time_range = windowing.parse_range(start, end, self._zone)
        self.granularity = iso_duration(self._length)

    def range_until(self, newest_window: int) -> TimeRange:
        """Return the range of the series of an id with this newest window."""
        return series_range(self._time_range, newest_window, self._length, self.windowing)

    def bounds(self, time_range: TimeRange) -> tuple[int, ...]:
        """Return the bounds of the buckets in a range."""
        return bucket_bounds(time_range, self._length, self._zone, self.windowing)


async def _respond(
    entity: Entity, entity_id: str, query: _SeriesQuery, readers: StoreReaders, form: _Form
) -> Response[Any]:
    known = await readers.totals(entity, entity_id)
    if known is None or known.value.newest_window is None:
        raise unknown_id(entity)
    time_range = query.range_until(known.value.newest_window)
    bounds = query.bounds(time_range)
    if bounds:
        answer = await readers.series(entity, entity_id, bounds)
        if answer is None:
            raise unknown_id(entity)
    else:
        newest, watermark = known.value.newest_window, known.value.watermark
        answer = StoreAnswer(known.store, Series((), newest, watermark))
    items = _to_items(answer.value, bounds, query.windowing)
    watermark = answer.value.watermark
    headers = {
        **freshness_headers(watermark, answer.store),
        **format_headers(form.name, entity.name),
    }
    if form.name != "json":
        content = write_rows(to_rows(entity_id, items), form.name, raw=form.raw)
        return Response(content, media_type=MEDIA_TYPES[form.name], headers=headers)
    body = SeriesResponse(
        entity=entity.name,
        id=entity_id,
        granularity=query.granularity,
        tz=query.tz,
        items=items,
        as_of=watermark,
        store=answer.store,
        **range_to_response(time_range),
    )
    return Response(body, headers=headers)


def _to_items(
    found: Series, bounds: tuple[int, ...], windowing: WindowingStrategy
) -> list[SeriesBucket]:
    return [
        SeriesBucket(
            window_start=to_datetime(bounds[bucket.index]),
            window_end=to_datetime(bounds[bucket.index + 1]),
            complete=windowing.is_complete(bounds[bucket.index + 1], found.watermark),
            **to_response(bucket.sums),
        )
        for bucket in found.buckets
    ]
