"""Totals of many ids at once, for feature stores and models."""

from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
from litestar import post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta

from api.queries.contract import Totals
from api.queries.store_readers import StoreReaders
from api.queries.time_range import WindowingStrategy
from api.representation.openapi import BatchOperation
from api.representation.responses import (
    BatchItem,
    BatchResponse,
    extremes_to_response,
    range_to_response,
    to_response,
)
from api.routes.parameters import (
    EntityName,
    From,
    TimeZoneParameter,
    To,
    entity_by_name,
    is_storable,
    zone_from_query,
)

MAX_IDS = 1_000


class Ids(msgspec.Struct, frozen=True):
    """The ids of a batch."""

    ids: Annotated[
        list[str], Meta(min_length=1, max_length=MAX_IDS, examples=[["scooter", "bike"]])
    ]


@post(
    "/batch/{entity_name:str}",
    status_code=200,
    summary="The totals of many ids",
    operation_class=BatchOperation,
)
async def batch(
    entity_name: EntityName,
    data: JSONBody[Ids],
    readers: NamedDependency[StoreReaders],
    windowing: NamedDependency[WindowingStrategy],
    default_zone: NamedDependency[ZoneInfo],
    from_: From = None,
    to: To = None,
    tz: TimeZoneParameter = None,
) -> BatchResponse:
    """Return the totals of up to 1,000 ids, in their order; null for an id without trips.

    Of all time, or of a range. All of them come from the same store.
    """
    entity = entity_by_name(entity_name)
    time_range = windowing.parse_range(from_, to, zone_from_query(tz, default_zone))
    ids = list(dict.fromkeys(filter(is_storable, data.ids)))
    answer = await readers.batch(entity, ids, time_range)
    found = answer.value
    return BatchResponse(
        entity=entity.name,
        items=[_to_item(entity_id, found.totals.get(entity_id)) for entity_id in data.ids],
        as_of=found.watermark,
        store=answer.store,
        **range_to_response(time_range),
    )


def _to_item(entity_id: str, totals: Totals | None) -> BatchItem | None:
    if totals is None:
        return None
    return BatchItem(
        id=entity_id, **to_response(totals.sums), **extremes_to_response(totals.extremes)
    )
