"""Distributions of single trips: percentiles of their amounts, from the sketches of windows."""

import asyncio
from typing import Annotated
from zoneinfo import ZoneInfo

from litestar import get
from litestar.di import NamedDependency

from api.queries.store_readers import StoreReaders
from api.queries.time_range import TimeRange, WindowingStrategy
from api.representation.distributions import TripDistributionResponse, distributions_of
from api.representation.openapi import QueryOperation
from api.representation.responses import range_to_response
from api.routes.parameters import (
    QUERY_ID,
    EncodedId,
    EntityName,
    From,
    TimeZoneParameter,
    To,
    entity_by_name,
    id_from_path,
    id_from_query,
    required_sketches,
    unknown_id,
    zone_from_query,
)
from api.routes.windows_query import HoursParameter, WeekdaysParameter, range_with_parts
from mobility.entities import Entity
from mobility.settings import Settings


@get(
    "/metrics/{entity_name:str}/{entity_id:str}/distribution",
    summary="The distribution of an id's trips",
    operation_class=QueryOperation,
)
async def id_distribution(
    entity_name: EntityName,
    entity_id: EncodedId,
    readers: NamedDependency[StoreReaders],
    windowing: NamedDependency[WindowingStrategy],
    default_zone: NamedDependency[ZoneInfo],
    settings: NamedDependency[Settings],
    from_: From = None,
    to: To = None,
    tz: TimeZoneParameter = None,
    hours: HoursParameter = None,
    weekdays: WeekdaysParameter = None,
) -> TripDistributionResponse:
    """Return percentiles of the single trips of an id, and how many people they were of.

    Over a range, or of all time.
    """
    entity = entity_by_name(entity_name)
    time_range = range_with_parts(
        windowing, (from_, to), zone_from_query(tz, default_zone), (hours, weekdays)
    )
    found_id = id_from_path(entity, entity_id)
    return await _respond(entity, found_id, time_range, readers, windowing, settings)


@get(
    "/distribution/{entity_name:str}",
    summary="The distribution of the trips of all ids, or of one",
    operation_class=QueryOperation,
)
async def distribution(
    entity_name: EntityName,
    readers: NamedDependency[StoreReaders],
    windowing: NamedDependency[WindowingStrategy],
    default_zone: NamedDependency[ZoneInfo],
    settings: NamedDependency[Settings],
    id_: Annotated[str | None, QUERY_ID] = None,
    from_: From = None,
    to: To = None,
    tz: TimeZoneParameter = None,
    hours: HoursParameter = None,
    weekdays: WeekdaysParameter = None,
) -> TripDistributionResponse:
    """Return percentiles of the single trips of all ids; or with `id`, of one with any characters.

    /summary has percentiles of the sums of ids.
    """
    entity = entity_by_name(entity_name)
    time_range = range_with_parts(
        windowing, (from_, to), zone_from_query(tz, default_zone), (hours, weekdays)
    )
    found_id = None if id_ is None else id_from_query(entity, id_)
    return await _respond(entity, found_id, time_range, readers, windowing, settings)


async def _respond(
    entity: Entity,
    entity_id: str | None,
    time_range: TimeRange,
    readers: StoreReaders,
    windowing: WindowingStrategy,
    settings: Settings,
) -> TripDistributionResponse:
    sketches = required_sketches(entity, settings)
    if entity_id is not None and await readers.totals(entity, entity_id) is None:
        raise unknown_id(entity)
    answer = await readers.analyze(
        "Distributions of trips",
        lambda reader: reader.distribution(entity, entity_id, time_range, sketches),
    )
    found = answer.value
    return TripDistributionResponse(
        entity=entity.name,
        id=entity_id,
        trip_count=found.trip_count,
        complete=windowing.is_range_complete(time_range, found.newest_window, found.watermark),
        as_of=found.watermark,
        store=answer.store,
        # Of a long range it would hold up other requests.
        **await asyncio.to_thread(distributions_of, found.sketches),
        **range_to_response(time_range),
    )
