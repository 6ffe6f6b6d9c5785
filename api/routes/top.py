"""The first ids of an entity by a sum."""

from collections.abc import Mapping
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from api.queries.contract import SUM_OF_KEY, RankedId, SortKey, Sums
from api.queries.store_readers import StoreReaders
from api.queries.time_range import WindowingStrategy
from api.representation.formats import MEDIA_TYPES, Form, choose_format, format_headers
from api.representation.openapi import FormatsOperation
from api.representation.responses import (
    Amounts,
    TopItem,
    TopResponse,
    complete_header,
    freshness_headers,
    range_to_response,
    to_response,
)
from api.representation.rows import to_top_rows, write_rows
from api.routes.parameters import (
    QUERY_ID,
    EntityName,
    FormatParameter,
    From,
    RawParameter,
    TimeZoneParameter,
    To,
    entity_by_name,
    id_from_query,
    zone_from_query,
)
from api.routes.windows_query import (
    HoursParameter,
    WeekdaysParameter,
    range_with_parts,
)

MAX_TOP: Final = 5_000

_LIMIT: Final = QueryParameter(
    ge=1,
    le=MAX_TOP,
    description=f"The number of ids, up to {MAX_TOP:,}. `/metrics/<entity>?sort=-trips&format=csv` "
    "has all of them.",
)


@get("/top/{entity_name:str}", summary="The first ids by a sum", operation_class=FormatsOperation)
async def top(
    request: Request[Any, Any, Any],
    entity_name: EntityName,
    readers: NamedDependency[StoreReaders],
    windowing: NamedDependency[WindowingStrategy],
    default_zone: NamedDependency[ZoneInfo],
    by: Annotated[SortKey, QueryParameter(description="The sum that ids are ranked by.")] = "trips",
    limit: Annotated[int, _LIMIT] = 10,
    id_: Annotated[str | None, QUERY_ID] = None,
    from_: From = None,
    to: To = None,
    tz: TimeZoneParameter = None,
    hours: HoursParameter = None,
    weekdays: WeekdaysParameter = None,
    format_: FormatParameter = None,
    raw: RawParameter = False,
) -> Response[TopResponse]:
    """Return the first ids over a range or of all time, each with its share of the total.

    The format is JSON, or by `format` or the Accept header NDJSON, CSV or Parquet of the ids alone.
    With `id`, return that id alone with its rank among all; nothing if it has no trips.
    """
    entity = entity_by_name(entity_name)
    form = Form(choose_format(format_, request.headers.get("accept")), raw)
    only = None if id_ is None else id_from_query(entity, id_)
    time_range = range_with_parts(
        windowing, (from_, to), zone_from_query(tz, default_zone), (hours, weekdays)
    )
    answer = await readers.analyze(
        "Top ids", lambda reader: reader.top(entity, time_range, by, limit, only)
    )
    found = answer.value
    is_complete = windowing.is_range_complete(time_range, found.newest_window, found.watermark)
    body = TopResponse(
        entity=entity.name,
        by=by,
        active_ids=found.active_ids,
        items=[_to_item(ranked, found.total, SUM_OF_KEY[by]) for ranked in found.ids],
        total=Amounts(**to_response(found.total)),
        complete=is_complete,
        as_of=found.watermark,
        store=answer.store,
        **range_to_response(time_range),
    )
    headers = format_headers(form.name, f"{entity.name}-top")
    if form.name == "json":
        return Response(body, headers=headers)
    return _respond_with_rows(body, form, headers)


def _respond_with_rows(body: TopResponse, form: Form, headers: Mapping[str, str]) -> Response[Any]:
    content = write_rows(to_top_rows(body.items), form.name, raw=form.raw)
    facts = {**freshness_headers(body.as_of, body.store), **complete_header(body.complete)}
    media_type = MEDIA_TYPES[form.name]
    return Response(content, media_type=media_type, headers={**headers, **facts})


def _to_item(ranked: RankedId, total: Sums, name: str) -> TopItem:
    whole, amounts = total[name], to_response(ranked.sums)
    has_share = whole and amounts[name] is not None
    share = ranked.sums[name] / whole if has_share else None
    return TopItem(rank=ranked.rank, id=ranked.id, share=share, **amounts)
