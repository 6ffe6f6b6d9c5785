"""Comparisons of two ids or two ranges."""

from typing import Annotated
from zoneinfo import ZoneInfo

from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from api.errors import InvalidParameterError
from api.queries.contract import NO_EXTREMES
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
) -> ComparisonResponse:
    """Return two results, the left minus the right one, and their ratio.

    On the left is an id (or without one, all ids of the entity) over a range; on the right another
    id, another range, or both.
    """
    entity = entity_by_name(entity_name)
    left_id = None if id_ is None else id_from_query(entity, id_)
    right_id = left_id if other_id is None else id_from_query(entity, other_id)
    zone = zone_from_query(tz, default_zone)
    left_range = right_range = windowing.parse_range(from_, to, zone)
    if other_from is not None or other_to is not None:
        right_range = windowing.parse_range(other_from, other_to, zone, prefix="other_")
    if (left_id, left_range) == (right_id, right_range):
        msg = "other_id: both sides are the same; give another id or another range"
        raise InvalidParameterError(msg)
    left = await _query(readers, entity, left_id, left_range)
    right = await _query(readers, entity, right_id, right_range)
    return _to_comparison(entity, (left_id, left), (right_id, right), windowing)


async def _query(
    readers: StoreReaders, entity: Entity, entity_id: str | None, time_range: TimeRange
) -> RangeResult:
    if entity_id is None:
        return await _query_all(readers, entity, time_range)
    result = await query_id(readers, entity, entity_id, time_range)
    if result is None:
        raise unknown_id(entity)
    return result


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
