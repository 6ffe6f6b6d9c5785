"""Lists of the ids of an entity, in pages."""

from typing import Annotated, Any, Final, Literal, cast
from zoneinfo import ZoneInfo

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from api.errors import InvalidParameterError
from api.exports import RunningExports
from api.queries.contract import SUM_OF_KEY, ListOrder, ListPosition, SortKey, Sums
from api.queries.store_readers import StoreReaders
from api.queries.time_range import TimeRange, WindowingStrategy
from api.representation.cursor import Cursor, decode_cursor, encode_cursor
from api.representation.formats import ALL_FORMATS, Form, choose_format, format_headers
from api.representation.openapi import FormatsOperation
from api.representation.responses import (
    ListingResponse,
    ListItem,
    MetricsResponse,
    range_to_response,
    sums_to_response,
)
from api.routes.export import Exporter
from api.routes.metrics import id_metrics
from api.routes.parameters import (
    QUERY_ID,
    EntityName,
    FormatParameter,
    From,
    RawParameter,
    TimeZoneParameter,
    To,
    check_prefix,
    entity_by_name,
    id_from_query,
    zone_from_query,
)
from mobility.entities import Entity

MAX_LIMIT: Final = 500
DEFAULT_LIMIT: Final = 100

Sort = Literal[
    "revenue", "trips", "distance", "duration", "-revenue", "-trips", "-distance", "-duration"
]

Limit = Annotated[
    int | None,
    QueryParameter(
        ge=1,
        le=2**53,
        description=f"The number of ids: in JSON up to {MAX_LIMIT}, by default {DEFAULT_LIMIT}; "
        "in other formats by default all.",
    ),
]


@get("/metrics/{entity_name:str}", summary="The ids of an entity", operation_class=FormatsOperation)
async def listing(
    request: Request[Any, Any, Any],
    entity_name: EntityName,
    readers: NamedDependency[StoreReaders],
    windowing: NamedDependency[WindowingStrategy],
    default_zone: NamedDependency[ZoneInfo],
    exports: NamedDependency[RunningExports],
    limit: Limit = None,
    cursor: Annotated[
        str | None, QueryParameter(description="The value of `next` in the previous page.")
    ] = None,
    prefix: Annotated[str, QueryParameter(description="List ids with this prefix only.")] = "",
    sort: Annotated[
        Sort | None,
        QueryParameter(description="Sort by a sum, descending with `-`; by default, by id."),
    ] = None,
    id_: Annotated[str | None, QUERY_ID] = None,
    from_: From = None,
    to: To = None,
    tz: TimeZoneParameter = None,
    format_: FormatParameter = None,
    raw: RawParameter = False,
) -> Response[ListingResponse | MetricsResponse]:
    """Return ids with their sums, in pages; or with `id` the totals of that id.

    Of all time, or of a range. In NDJSON, CSV or Parquet (by `format` or the Accept header) a list
    has no pages. The other parameters can't be combined with `id`.
    """
    entity = entity_by_name(entity_name)
    time_range = windowing.parse_range(from_, to, zone_from_query(tz, default_zone))
    accept = None if id_ is not None else request.headers.get("accept")
    form = Form(choose_format(format_, accept, ALL_FORMATS if id_ is None else ["json"]), raw)
    if id_ is not None:
        if cursor is not None or prefix or sort is not None:
            msg = "id: can't be combined with `cursor`, `prefix` and `sort`, which are for lists"
            raise InvalidParameterError(msg)
        found_id = id_from_query(entity, id_)
        return Response(await id_metrics(entity, found_id, time_range, readers, windowing))
    order = _to_order(check_prefix(prefix), sort, time_range)
    previous = None if cursor is None else decode_cursor(cursor, order)
    if form.name == "json":
        page = await _query_page(entity, order, previous, _page_size(limit), readers)
        return Response(page, headers=format_headers(form.name, entity.name))
    if cursor is not None:
        msg = f"cursor: {form.name} has no pages: without `limit` it has all ids"
        raise InvalidParameterError(msg)
    return Exporter(entity, form, readers, exports).ids(order, limit)


def _page_size(limit: int | None) -> int:
    if limit is not None and limit > MAX_LIMIT:
        msg = f"limit: a page has up to {MAX_LIMIT} ids; `format=csv` has all of them at once"
        raise InvalidParameterError(msg)
    return limit or DEFAULT_LIMIT


async def _query_page(
    entity: Entity, order: ListOrder, previous: Cursor | None, limit: int, readers: StoreReaders
) -> ListingResponse:
    answer = await readers.page(entity, order, previous.position if previous else None, limit)
    total = previous.total if previous else await readers.count(entity, order)
    page = answer.value
    following = None
    if page.has_more:
        position = _position(*page.ids[-1], order.sort_key)
        following = encode_cursor(Cursor(position, order, total))
    return ListingResponse(
        entity=entity.name,
        items=[ListItem(id=entity_id, **sums_to_response(sums)) for entity_id, sums in page.ids],
        total=total,
        next=following,
        as_of=page.watermark,
        store=answer.store,
        **range_to_response(order.time_range),
    )


def _to_order(prefix: str, sort: Sort | None, time_range: TimeRange) -> ListOrder:
    if sort is None:
        return ListOrder(prefix, time_range=time_range)
    sort_key = cast("SortKey", sort.removeprefix("-"))
    return ListOrder(prefix, sort_key, sort.startswith("-"), time_range)


def _position(last_id: str, sums: Sums, sort_key: SortKey | None) -> ListPosition:
    value = 0 if sort_key is None else sums[SUM_OF_KEY[sort_key]]
    return ListPosition(last_id, value)
