"""Series of an id: its windows over time, or hours or days of them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from litestar import Request, Response, get
from litestar.di import NamedDependency

from api.exports import RunningExports
from api.queries.buckets import cut_bounds, merge_pieces
from api.queries.contract import Series, Sums
from api.queries.store_readers import StoreAnswer, StoreReaders
from api.queries.time_range import WindowingStrategy, to_datetime
from api.representation.formats import (
    MEDIA_TYPES,
    ROW_FORMATS,
    Form,
    choose_format,
    format_headers,
)
from api.representation.openapi import FormatsOperation
from api.representation.responses import (
    TIME_ZONE,
    SeriesBucket,
    SeriesResponse,
    freshness_headers,
    range_to_response,
    to_response,
)
from api.representation.rows import to_rows, write_rows
from api.routes.export import Exporter
from api.routes.parameters import (
    QUERY_ID,
    EncodedId,
    EntityName,
    FormatParameter,
    From,
    RawParameter,
    TimeZoneParameter,
    To,
    entity_by_name,
    id_from_path,
    id_from_query,
    required_sketches,
    unknown_id,
    zone_from_query,
)
from api.routes.windows_query import (
    DistributionsParameter,
    GranularityParameter,
    HoursParameter,
    WeekdaysParameter,
    WindowsQuery,
)
from mobility.entities import Entity
from mobility.settings import Settings

_OPERATION: Final[dict[str, Any]] = {
    "summary": "An id's windows",
    "operation_class": FormatsOperation,
}


@get("/metrics/{entity_name:str}/{entity_id:str}/windows", **_OPERATION)
async def series(
    request: Request[Any, Any, Any],
    entity_name: EntityName,
    entity_id: EncodedId,
    readers: NamedDependency[StoreReaders],
    windowing: NamedDependency[WindowingStrategy],
    default_zone: NamedDependency[ZoneInfo],
    from_: From = None,
    to: To = None,
    granularity: GranularityParameter = None,
    tz: TimeZoneParameter = None,
    hours: HoursParameter = None,
    weekdays: WeekdaysParameter = None,
    format_: FormatParameter = None,
    raw: RawParameter = False,
) -> Response[SeriesResponse]:
    """Return the windows of an id, by default those of the day that ends with its newest window.

    The format is JSON, or by `format` or the Accept header NDJSON, CSV or Parquet.
    """
    entity = entity_by_name(entity_name)
    found_id = id_from_path(entity, entity_id)
    form = Form(choose_format(format_, request.headers.get("accept")), raw)
    query = WindowsQuery(
        windowing,
        start=from_,
        end=to,
        granularity=granularity,
        zone=zone_from_query(tz, default_zone),
        hours=hours,
        weekdays=weekdays,
    )
    return await _respond(entity, found_id, query, readers, form)


@get("/windows/{entity_name:str}", **_OPERATION | {"summary": "The windows of all ids, or of one"})
async def windows(
    request: Request[Any, Any, Any],
    entity_name: EntityName,
    readers: NamedDependency[StoreReaders],
    windowing: NamedDependency[WindowingStrategy],
    default_zone: NamedDependency[ZoneInfo],
    exports: NamedDependency[RunningExports],
    settings: NamedDependency[Settings],
    id_: Annotated[str | None, QUERY_ID] = None,
    from_: From = None,
    to: To = None,
    granularity: GranularityParameter = None,
    tz: TimeZoneParameter = None,
    hours: HoursParameter = None,
    weekdays: WeekdaysParameter = None,
    distributions: DistributionsParameter = False,
    format_: FormatParameter = None,
    raw: RawParameter = False,
) -> Response[SeriesResponse]:
    """Return the windows of all ids, in order of time; or with `id`, of one with any characters.

    Those of all ids, and those with distributions, come in NDJSON, or by `format` or the Accept
    header in CSV or Parquet.
    """
    entity = entity_by_name(entity_name)
    accept = request.headers.get("accept")
    query = WindowsQuery(
        windowing,
        start=from_,
        end=to,
        granularity=granularity,
        zone=zone_from_query(tz, default_zone),
        hours=hours,
        weekdays=weekdays,
    )
    found_id = None if id_ is None else id_from_query(entity, id_)
    if found_id is None or distributions:
        form = Form(choose_format(format_, accept, ROW_FORMATS), raw)
        sketches = required_sketches(entity, settings) if distributions else ()
        if found_id is not None and await readers.totals(entity, found_id) is None:
            raise unknown_id(entity)
        return Exporter(entity, form, readers, exports).windows(query, found_id, sketches)
    form = Form(choose_format(format_, accept), raw)
    return await _respond(entity, found_id, query, readers, form)


async def _respond(
    entity: Entity, entity_id: str, query: WindowsQuery, readers: StoreReaders, form: Form
) -> Response[Any]:
    known = await readers.totals(entity, entity_id)
    if known is None or known.value.newest_window is None:
        raise unknown_id(entity)
    time_range = query.range_until(known.value.newest_window)
    bounds, parts = query.bounds(time_range), list(query.parts(time_range))
    cuts = cut_bounds(bounds, parts)
    if cuts:
        answer = await readers.series(entity, entity_id, cuts)
        if answer is None:
            raise unknown_id(entity)
    else:
        newest, watermark = known.value.newest_window, known.value.watermark
        answer = StoreAnswer(known.store, Series((), newest, watermark))
    items = _to_items(merge_pieces(answer.value, cuts, bounds, parts), bounds, answer.value, query)
    watermark = answer.value.watermark
    headers = {
        **freshness_headers(watermark, answer.store),
        **format_headers(form.name, f"{entity.name}-windows"),
        TIME_ZONE: query.tz,
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
    sums_of: Mapping[int, Sums], bounds: Sequence[int], found: Series, query: WindowsQuery
) -> list[SeriesBucket]:
    return [
        SeriesBucket(
            window_start=to_datetime(bounds[index]),
            window_end=to_datetime(bounds[index + 1]),
            complete=query.windowing.is_complete(bounds[index + 1], found.watermark),
            **to_response(sums),
        )
        for index, sums in sums_of.items()
    ]
