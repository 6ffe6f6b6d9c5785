"""The extent of the data: from when to when there are trips, and whether more can come."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from api.queries.store_readers import StoreReaders
from api.queries.time_range import WindowingStrategy, to_datetime
from api.status.responses import DataExtent, FlowProcess
from mobility.entities import BY_NAME
from mobility.settings import Settings

_EVERY_TRIP: Final = BY_NAME["vehicle_type"]
"""Each trip counts for this entity: one without a type is of an unknown one."""

_LIVE_AGE: Final = timedelta(hours=6)
"""A flow without a lag whose trips are older replays the past."""


async def query_extent(
    readers: StoreReaders,
    processes: Sequence[FlowProcess],
    watermarks: Mapping[str, datetime | None],
    now: datetime,
    settings: Settings,
) -> DataExtent | None:
    """Return the extent of the data; None if it is not known."""
    span = await readers.span(_EVERY_TRIP)
    if span is None:
        return None
    windowing = WindowingStrategy.of(settings)
    end = span.newest_window + windowing.length
    watermark = _lowest(watermarks)
    return DataExtent(
        from_=to_datetime(span.oldest_window),
        to=to_datetime(end),
        ended=_has_ended(processes, watermark, now),
        complete=windowing.is_complete(end, watermark),
    )


def _lowest(watermarks: Mapping[str, datetime | None]) -> datetime | None:
    """Return the lowest watermark; None if an entity has none."""
    known = [watermark for watermark in watermarks.values() if watermark is not None]
    return min(known) if known and len(known) == len(watermarks) else None


def _has_ended(processes: Sequence[FlowProcess], watermark: datetime | None, now: datetime) -> bool:
    partitions = [partition for process in processes for partition in process.partitions]
    return (
        watermark is not None
        and now - watermark > _LIVE_AGE
        and bool(partitions)
        and all(each.status == "idle" and each.lag == 0 for each in partitions)
    )
