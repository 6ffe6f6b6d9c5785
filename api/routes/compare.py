"""Comparisons of two ids or two ranges."""

from typing import Annotated
from zoneinfo import ZoneInfo

from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from api.errors import InvalidParameterError
from api.queries.buckets import cut_bounds, merge_pieces
from api.queries.contract import NO_EXTREMES, ZERO_SUMS
from api.queries.store_readers import STORE_ORDER, StoreReaders
from api.queries.time_range import TimeRange, WindowingStrategy
from api.representation.comparison import differences, ratios
from api.representation.openapi import QueryOperation
from api.representation.responses import Amounts, ComparedRange, ComparisonResponse, Ratio
from api.routes.metrics import RangeResult, query_id
from api.routes.parameters import (
    QUERY_ID,
    EntityName,
    From,
    TimeZoneParameter,
    To,
    entity_by_name,
    id_from_query,
    unknown_id,
    zone_from_query,
)
from api.routes.windows_query import (
    HoursParameter,
    WeekdaysParameter,
    range_with_parts,
)
from mobility.entities import Entity

OtherId = Annotated[
    str | None, QueryParameter(description="The id on the right; by default the one on the left.")
]
OtherFrom = Annotated[
    str | None,
    QueryParameter(
        description="The start of the range on the right, as `from`.", format="date-time"
    ),
]
OtherTo = Annotated[
    str | None,
    QueryParameter(description="The end of the range on the right, as `to`.", format="date-time"),
]

OtherHours = Annotated[
    str | None, QueryParameter(description="Hours on the right; by default those on the left.")
]
OtherWeekdays = Annotated[
    str | None, QueryParameter(description="Weekdays on the right; by default those on the left.")
]


@get("/compare/{entity_name:str}", summary="Two ids or two ranges", operation_class=QueryOperation)
async def compare(
    entity_name: EntityName,
    readers: NamedDependency[StoreReaders],
    windowing: NamedDependency[WindowingStrategy],
    default_zone: NamedDependency[ZoneInfo],
    id_: Annotated[str | None, QUERY_ID] = None,
    from_: From = None,
    to: To = None,
    other_id: OtherId = None,
    other_from: OtherFrom = None,
    other_to: OtherTo = None,
    tz: TimeZoneParameter = None,
    hours: HoursParameter = None,
    weekdays: WeekdaysParameter = None,
    other_hours: OtherHours = None,
    other_weekdays: OtherWeekdays = None,
) -> ComparisonResponse:
    """Return two results, the left minus the right one, and their ratio.

    On the left is an id (or without one, all ids of the entity) over a range; on the right another
    id, another range, other hours or weekdays, or several of these.
    """
    entity = entity_by_name(entity_name)
    left_id = None if id_ is None else id_from_query(entity, id_)
    right_id = left_id if other_id is None else id_from_query(entity, other_id)
    zone = zone_from_query(tz, default_zone)
    left_range = range_with_parts(windowing, (from_, to), zone, (hours, weekdays))
    has_own_range = other_from is not None or other_to is not None
    right_range = range_with_parts(
        windowing,
        (other_from, other_to) if has_own_range else (from_, to),
        zone,
        (
            hours if other_hours is None else other_hours,
            weekdays if other_weekdays is None else other_weekdays,
        ),
        "other_",
    )
    if (left_id, left_range) == (right_id, right_range):
        msg = "other_id: both sides are the same; give another id, another range or other hours"
        raise InvalidParameterError(msg)
    left = await _query(readers, entity, left_id, left_range)
    right = await _query(readers, entity, right_id, right_range)
    return _to_comparison(entity, (left_id, left), (right_id, right), windowing)


async def _query(
    readers: StoreReaders, entity: Entity, entity_id: str | None, time_range: TimeRange
) -> RangeResult:
    if entity_id is None:
        return await _query_all(readers, entity, time_range)
    query = query_id if time_range.parts is None else _query_parts
    result = await query(readers, entity, entity_id, time_range)
    if result is None:
        raise unknown_id(entity)
    return result


async def _query_parts(
    readers: StoreReaders, entity: Entity, entity_id: str, time_range: TimeRange
) -> RangeResult | None:
    """Return the sums of one id over the parts of a range; None if no store knows the id."""
    bounds, parts = time_range.bounds, time_range.parts or ()
    cuts = cut_bounds(bounds, parts) if parts else bounds
    found = await readers.series(entity, entity_id, cuts)
    if found is None:
        return None
    sums = merge_pieces(found.value, cuts, bounds, parts).get(0, ZERO_SUMS)
    newest, watermark = found.value.newest_window, found.value.watermark
    return RangeResult(time_range, sums, NO_EXTREMES, newest, watermark, found.store)


async def _query_all(readers: StoreReaders, entity: Entity, time_range: TimeRange) -> RangeResult:
    answer = await readers.analyze(
        "Sums of all ids", lambda reader: reader.total(entity, time_range)
    )
    total = answer.value
    return RangeResult(
        time_range, total.sums, NO_EXTREMES, total.newest_window, total.watermark, answer.store
    )


def _to_comparison(
    entity: Entity,
    left_side: tuple[str | None, RangeResult],
    right_side: tuple[str | None, RangeResult],
    windowing: WindowingStrategy,
) -> ComparisonResponse:
    (left_id, left), (right_id, right) = left_side, right_side
    return ComparisonResponse(
        entity=entity.name,
        left=ComparedRange(id=left_id, **left.to_response(windowing)),
        right=ComparedRange(id=right_id, **right.to_response(windowing)),
        difference=Amounts(**differences(left.sums, right.sums)),
        ratio=Ratio(**ratios(left.sums, right.sums)),
        as_of=(
            min(left.watermark, right.watermark) if left.watermark and right.watermark else None
        ),
        # If the sides come from different stores, name Postgres: Redis alone could not answer.
        store=max(left.store, right.store, key=STORE_ORDER.index),
    )
