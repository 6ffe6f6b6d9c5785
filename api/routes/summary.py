"""Summaries of all ids of an entity."""

from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

from litestar import get
from litestar.di import NamedDependency

from api.queries.contract import Sums
from api.queries.store_readers import StoreReaders
from api.queries.time_range import WindowingStrategy
from api.representation.openapi import QueryOperation
from api.representation.responses import (
    Distribution,
    Percentiles,
    SummaryResponse,
    in_units,
    is_absent,
    range_to_response,
    to_response,
)
from api.routes.parameters import (
    EntityName,
    From,
    TimeZoneParameter,
    To,
    entity_by_name,
    zone_from_query,
)
from api.routes.windows_query import (
    HoursParameter,
    WeekdaysParameter,
    range_with_parts,
)
from mobility.measures import OPTIONAL, SUMS


@get(
    "/summary/{entity_name:str}",
    summary="All ids of an entity together",
    operation_class=QueryOperation,
)
async def summary(
    entity_name: EntityName,
    readers: NamedDependency[StoreReaders],
    windowing: NamedDependency[WindowingStrategy],
    default_zone: NamedDependency[ZoneInfo],
    from_: From = None,
    to: To = None,
    tz: TimeZoneParameter = None,
    hours: HoursParameter = None,
    weekdays: WeekdaysParameter = None,
) -> SummaryResponse:
    """Return the sums of all ids over a range or of all time, and their distribution."""
    entity = entity_by_name(entity_name)
    time_range = range_with_parts(
        windowing, (from_, to), zone_from_query(tz, default_zone), (hours, weekdays)
    )
    answer = await readers.analyze("Summaries", lambda reader: reader.summary(entity, time_range))
    found = answer.value
    return SummaryResponse(
        entity=entity.name,
        active_ids=found.active_ids,
        distribution=_to_distribution(found.percentiles, found.total),
        complete=windowing.is_range_complete(time_range, found.newest_window, found.watermark),
        as_of=found.watermark,
        store=answer.store,
        **to_response(found.total),
        **range_to_response(time_range),
    )


def _to_distribution(percentiles: Mapping[str, Sequence[int]], total: Sums) -> Distribution:
    if not percentiles:
        return Distribution(**dict.fromkeys(SUMS))
    # The same percentile of all sums has the form of Sums, and is converted as such.
    p50, p90, p99 = (
        in_units(dict(zip(SUMS, values, strict=True)))
        for values in zip(*(percentiles[name] for name in SUMS), strict=True)
    )
    found: dict[str, Percentiles | None] = {
        name: Percentiles(p50=p50[name], p90=p90[name], p99=p99[name]) for name in SUMS
    }
    return Distribution(**{**found, **{name: None for name in OPTIONAL if is_absent(name, total)}})
