"""The totals of one id, of all time or over a range."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from litestar import get
from litestar.di import NamedDependency

from api.queries.contract import NO_EXTREMES, ZERO_SUMS, Extremes, Sums
from api.queries.store_readers import StoreReaders
from api.queries.time_range import TimeRange, WindowingStrategy, to_datetime
from api.representation.openapi import QueryOperation
from api.representation.responses import (
    LastWindow,
    MetricsResponse,
    extremes_to_response,
    range_to_response,
    to_response,
)
from api.routes.parameters import (
    EncodedId,
    EntityName,
    From,
    TimeZoneParameter,
    To,
    entity_by_name,
    id_from_path,
    unknown_id,
    zone_from_query,
)
from mobility.entities import Entity
from mobility.settings import Store


@dataclass(frozen=True, slots=True)
class RangeResult:
    """The measures of a range.

    `newest_window` is the start of the newest window of all time (epoch ms).
    """

    time_range: TimeRange
    sums: Sums
    extremes: Extremes
    newest_window: int | None
    watermark: datetime | None
    store: Store

    def to_response(self, windowing: WindowingStrategy) -> dict[str, Any]:
        """Return the fields of `responses.RangeAmounts`."""
        complete = windowing.is_range_complete(self.time_range, self.newest_window, self.watermark)
        return {
            **to_response(self.sums),
            **range_to_response(self.time_range),
            "complete": complete,
        }


@get(
    "/metrics/{entity_name:str}/{entity_id:str}",
    summary="An id's totals",
    operation_class=QueryOperation,
)
async def metrics(
    entity_name: EntityName,
    entity_id: EncodedId,
    readers: NamedDependency[StoreReaders],
    windowing: NamedDependency[WindowingStrategy],
    default_zone: NamedDependency[ZoneInfo],
    from_: From = None,
    to: To = None,
    tz: TimeZoneParameter = None,
) -> MetricsResponse:
    """Return the running totals of an id, or its totals over a range."""
    entity = entity_by_name(entity_name)
    found_id = id_from_path(entity, entity_id)
    time_range = windowing.parse_range(from_, to, zone_from_query(tz, default_zone))
    return await id_metrics(entity, found_id, time_range, readers, windowing)


async def id_metrics(
    entity: Entity,
    entity_id: str,
    time_range: TimeRange,
    readers: StoreReaders,
    windowing: WindowingStrategy,
) -> MetricsResponse:
    """Return the response about an id over a range; raises the problem of an unknown id."""
    result = await query_id(readers, entity, entity_id, time_range)
    if result is None:
        raise unknown_id(entity)
    newest = None
    if result.newest_window is not None:
        end = result.newest_window + windowing.length
        newest = LastWindow(
            window_start=to_datetime(result.newest_window),
            window_end=to_datetime(end),
            complete=windowing.is_complete(end, result.watermark),
        )
    return MetricsResponse(
        entity=entity.name,
        id=entity_id,
        last_window=newest,
        as_of=result.watermark,
        store=result.store,
        **result.to_response(windowing),
        **extremes_to_response(result.extremes),
    )


async def query_id(
    readers: StoreReaders, entity: Entity, entity_id: str, time_range: TimeRange
) -> RangeResult | None:
    """Return the sums of one id over a range; None if no store knows the id."""
    if time_range.is_unbounded:
        known = await readers.totals(entity, entity_id)
        if known is None:
            return None
        totals = known.value
        return RangeResult(
            time_range,
            totals.sums,
            totals.extremes,
            totals.newest_window,
            totals.watermark,
            known.store,
        )
    found = await readers.series(entity, entity_id, time_range.bounds)
    if found is None:
        return None
    # Two bounds make one bucket, which is left out if it has no trips.
    bucket = next(iter(found.value.buckets), None)
    return RangeResult(
        time_range,
        ZERO_SUMS if bucket is None else bucket.sums,
        NO_EXTREMES if bucket is None else bucket.extremes,
        found.value.newest_window,
        found.value.watermark,
        found.store,
    )
