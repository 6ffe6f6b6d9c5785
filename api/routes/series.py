"""Series of an id: its windows over time, or hours or days of them."""

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
from api.representation.formats import JSON, negotiate_format, write_rows
from api.representation.openapi import SeriesOperation
from api.representation.responses import (
    SeriesBucket,
    SeriesResponse,
    freshness_headers,
    range_to_response,
    to_response,
)
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
) -> Response[SeriesResponse]:
    """Return the windows of an id, by default those of the day that ends with its newest window.

    The format is JSON, or by the Accept header NDJSON, CSV or Parquet.
    """
    entity = entity_by_name(entity_name)
    found_id = id_from_path(entity, entity_id)
    query = _SeriesQuery(from_, to, granularity, tz, windowing)
    return await _respond(entity, found_id, query, readers, _format_of(request))


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
) -> Response[SeriesResponse]:
    """Return the same for an id with any characters."""
    entity = entity_by_name(entity_name)
    found_id = id_from_query(entity, id_)
    query = _SeriesQuery(from_, to, granularity, tz, windowing)
    return await _respond(entity, found_id, query, readers, _format_of(request))


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
    entity: Entity, entity_id: str, query: _SeriesQuery, readers: StoreReaders, media_type: str
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
    headers = {**freshness_headers(watermark, answer.store), "Vary": "Accept"}
    if media_type != JSON:
        return Response(write_rows(items, media_type), media_type=media_type, headers=headers)
    content = SeriesResponse(
        entity=entity.name,
        id=entity_id,
        granularity=query.granularity,
        tz=query.tz,
        items=items,
        as_of=watermark,
        store=answer.store,
        **range_to_response(time_range),
    )
    return Response(content, headers=headers)


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


def _format_of(request: Request[Any, Any, Any]) -> str:
    return negotiate_format(request.headers.get("accept", ""))
