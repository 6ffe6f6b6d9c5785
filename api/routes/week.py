"""The hours of the week: when there are trips, of all ids or of one."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from litestar import get
from litestar.di import NamedDependency

from api.errors import InvalidParameterError, RangeTooLongError
from api.queries.buckets import bucket_length
from api.queries.contract import ZERO_SUMS, WeekSums
from api.queries.hours_of_week import ClockSpan, clock_spans, lengths_of_hours
from api.queries.local_times import DAYS
from api.queries.store_readers import StoreReaders
from api.queries.time_range import TimeRange, WindowingStrategy
from api.representation.openapi import QueryOperation
from api.representation.responses import (
    HourOfWeek,
    WeekResponse,
    range_to_response,
    to_response,
)
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

MAX_DAYS: Final = 10_000

_HOUR: Final = 3_600_000
_HOURS_OF_DAY: Final = 24


@get(
    "/week/{entity_name:str}",
    summary="The hours of the week",
    operation_class=QueryOperation,
)
async def week(
    entity_name: EntityName,
    readers: NamedDependency[StoreReaders],
    windowing: NamedDependency[WindowingStrategy],
    default_zone: NamedDependency[ZoneInfo],
    id_: Annotated[str | None, QUERY_ID] = None,
    from_: From = None,
    to: To = None,
    tz: TimeZoneParameter = None,
) -> WeekResponse:
    """Return the sums of each hour of the week in the time zone, over a range.

    Of all ids, or with `id` of one. An hour has the windows that start in it, on all days of the
    range; `hours` is how much of the range that is.
    """
    entity = entity_by_name(entity_name)
    zone = zone_from_query(tz, default_zone)
    time_range = windowing.parse_range(from_, to, zone)
    _check(time_range, windowing)
    only = None if id_ is None else id_from_query(entity, id_)
    if only is not None and await readers.totals(entity, only) is None:
        raise unknown_id(entity)
    spans = tuple(clock_spans(*time_range.bounds, zone))
    answer = await readers.analyze(
        "Hours of the week", lambda reader: reader.week(entity, spans, only)
    )
    found = answer.value
    return WeekResponse(
        entity=entity.name,
        id=only,
        tz=zone.key,
        items=list(_to_items(found, spans)),
        complete=windowing.is_range_complete(time_range, found.newest_window, found.watermark),
        as_of=found.watermark,
        store=answer.store,
        **range_to_response(time_range),
    )


def _check(time_range: TimeRange, windowing: WindowingStrategy) -> None:
    """Raise the problem of a range whose hours can't be told."""
    if time_range.start is None or time_range.end is None:
        msg = (
            f"{'from' if time_range.start is None else 'to'}: needed, as hours are those of a range"
        )
        raise InvalidParameterError(msg)
    if time_range.end - time_range.start > MAX_DAYS * _HOURS_OF_DAY * _HOUR:
        msg = f"from: the range has more than {MAX_DAYS:,} days"
        raise RangeTooLongError(msg)
    bucket_length("PT1H", windowing)


def _to_items(found: WeekSums, spans: Sequence[ClockSpan]) -> Iterator[HourOfWeek]:
    """Yield the hours of the week that the spans have, also those without trips."""
    for index, length in enumerate(lengths_of_hours(spans)):
        if length:
            day, hour = divmod(index, _HOURS_OF_DAY)
            sums = found.sums.get(index, ZERO_SUMS)
            yield HourOfWeek(
                weekday=DAYS[day], hour=hour, hours=length / _HOUR, **to_response(sums)
            )
