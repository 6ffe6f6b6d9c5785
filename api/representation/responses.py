"""Response bodies as JSON, and the headers that say how fresh a response is.

Amounts are minutes, kilometres and currency units. Sums are exact numbers: beyond 2^53 micro-units
they have more digits than a double. Means are the doubles nearest to the exact ones. A
sum or a mean is null where there are trips, but none of them has a distance, or a price.
`as_of` is the watermark: all trips of windows that ended more than the allowed lateness before it
are counted; null while some shard has not reported one. `complete` says that the whole range is
before that, so that only a backfill can still change it. Ranges are half-open; `from` and `to` are
the bounds that were used, which are bounds of windows.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from litestar import Response

from api.queries.contract import Extremes, Sums
from api.queries.time_range import TimeRange, to_datetime
from mobility.measures import (
    AMOUNTS,
    COUNT_OF,
    COUNTS,
    EXTREMES,
    MEANS,
    OPTIONAL,
    STARTS,
    SUMS,
    TOTALS,
)
from mobility.records import MICRO
from mobility.settings import Store

AS_OF: Final = "Mobility-As-Of"
STORE: Final = "Mobility-Store"
COMPLETE: Final = "Mobility-Complete"

TIME_ZONE: Final = "Mobility-Timezone"
"""Names the zone of `tz`, also where the body has rows only."""

EXACT_DOUBLES: Final = 2**53
"""Up to here a double has every integer, and of millionths another double for each."""

_EXTREMES: Final = {name: datetime | None if name in STARTS else float | None for name in EXTREMES}
"""The fields of minima and maxima, which are null without trips: a backfill can leave an id so."""

_AMOUNT_TYPES: Final = {name: float | None if name in OPTIONAL else float for name in TOTALS}


class Freshness(msgspec.Struct, frozen=True, kw_only=True):
    """The watermark of the answer, and the store that it comes from."""

    as_of: datetime | None
    store: Store


class SumFields(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over trips."""

    __annotations__ = {name: int if name in COUNTS else _AMOUNT_TYPES[name] for name in SUMS}


class Amounts(SumFields, frozen=True, kw_only=True):
    """Sums over trips, and means over the trips that have the amount, which are 0 without trips."""

    __annotations__ = {name: _AMOUNT_TYPES[total] for name, total in MEANS.items()}


class RangeAmounts(Amounts, frozen=True, kw_only=True):
    """The amounts of a range; a bound is null if the range is unbounded on that side."""

    from_: datetime | None = msgspec.field(name="from")
    to: datetime | None
    complete: bool


class LastWindow(msgspec.Struct, frozen=True, kw_only=True):
    """The last window of an id."""

    window_start: datetime
    window_end: datetime
    complete: bool


class MetricsResponse(RangeAmounts, frozen=True, kw_only=True):
    """The running totals of an id, or those of a range, with the first and last start of a trip.

    A backfill can leave an id without trips: its trip count is 0, and both starts are null.
    """

    entity: str
    id: str
    __annotations__ |= _EXTREMES
    last_window: LastWindow | None
    as_of: datetime | None
    store: Store


class ListItem(SumFields, frozen=True, kw_only=True):
    """An id and its sums."""

    id: str


class ListingResponse(Freshness, frozen=True, kw_only=True):
    """A page of ids, by default sorted by the bytes of their UTF-8.

    `next` is the cursor of the next page. `total` is the number of all ids in the list at the time
    of its first page. With a range the list has the ids with trips in it.
    """

    entity: str
    from_: datetime | None = msgspec.field(name="from")
    to: datetime | None
    items: Sequence[ListItem]
    total: int
    next: str | None


class SeriesBucket(Amounts, frozen=True, kw_only=True):
    """A window, or an hour or day of windows. The range cuts the first and the last bucket."""

    window_start: datetime
    window_end: datetime
    complete: bool


class SeriesResponse(Freshness, frozen=True, kw_only=True):
    """The buckets in which an id has trips, in order. Empty buckets are left out."""

    entity: str
    id: str
    from_: datetime = msgspec.field(name="from")
    to: datetime
    granularity: str
    tz: str
    items: Sequence[SeriesBucket]


class TopItem(Amounts, frozen=True, kw_only=True):
    """An id with its rank; equal amounts have equal ranks.

    `share` is its share of the total; null if the total is 0, or the amount null.
    """

    rank: int
    id: str
    share: float | None


class TopResponse(Freshness, frozen=True, kw_only=True):
    """The first ids by a sum. `active_ids` is the number of ids with trips, `total` their sums."""

    entity: str
    by: str
    from_: datetime | None = msgspec.field(name="from")
    to: datetime | None
    active_ids: int
    items: Sequence[TopItem]
    total: Amounts
    complete: bool


class Percentiles(msgspec.Struct, frozen=True, kw_only=True):
    """The smallest values that 50, 90 and 99 % of the ids do not exceed."""

    p50: float
    p90: float
    p99: float


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """The distribution of the sums over the ids with trips; null if there are none.

    That of distances or prices is also null where no trip has one.
    """

    __annotations__ = dict.fromkeys(SUMS, Percentiles | None)


class SummaryResponse(RangeAmounts, frozen=True, kw_only=True):
    """All ids of an entity over a range."""

    entity: str
    active_ids: int
    distribution: Distribution
    as_of: datetime | None
    store: Store


class HourOfWeek(Amounts, frozen=True, kw_only=True):
    """An hour of the week: the sums of all such hours in a range, and how many hours those are.

    Less of an hour counts if the range has less, or clocks skip a part of it.
    """

    weekday: str
    hour: int
    hours: float


class WeekResponse(Freshness, frozen=True, kw_only=True):
    """The hours of the week that a range has, from Monday on; without an id, of all ids."""

    entity: str
    id: str | None
    from_: datetime = msgspec.field(name="from")
    to: datetime
    tz: str
    items: Sequence[HourOfWeek]
    complete: bool


class ComparedRange(RangeAmounts, frozen=True, kw_only=True):
    """One side of a comparison; without an id, all ids of the entity."""

    id: str | None


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    """The left amounts divided by the right ones; null if the right one is 0, or one is null."""

    __annotations__ = dict.fromkeys((*COUNTS, *MEANS, *TOTALS), float | None)


class ComparisonResponse(Freshness, frozen=True, kw_only=True):
    """Two ranges or two ids, the left amounts minus the right ones, and their ratio.

    A difference is null where one of the amounts is.
    """

    entity: str
    left: ComparedRange
    right: ComparedRange
    difference: Amounts
    ratio: Ratio


class BatchItem(Amounts, frozen=True, kw_only=True):
    """The totals of an id of a batch."""

    id: str
    __annotations__ |= _EXTREMES


class BatchResponse(Freshness, frozen=True, kw_only=True):
    """The totals of ids in the order of the request; null for an id without trips of all time."""

    entity: str
    from_: datetime | None = msgspec.field(name="from")
    to: datetime | None
    items: Sequence[BatchItem | None]


def exact_units(amount: int) -> float | msgspec.Raw:
    """Return micro-units in units: as a double where it tells all of them apart, else as JSON.

    >>> exact_units(-12_500_000), bytes(exact_units(2**53 + 1))
    (-12.5, b'9007199254.740993')
    """
    if abs(amount) <= EXACT_DOUBLES:
        return amount / MICRO
    whole, part = divmod(abs(amount), MICRO)
    digits = f"{whole}.{part:06}".rstrip("0").removesuffix(".")
    return msgspec.Raw(f"{'-' if amount < 0 else ''}{digits}".encode())


def in_units(sums: Sums) -> dict[str, Any]:
    """Return sums in units."""
    return {name: exact_units(sums[name]) if name in AMOUNTS else sums[name] for name in SUMS}


def is_absent(total: str, sums: Sums) -> bool:
    """Return whether there are trips, but none of them has what a sum is of."""
    return sums["trip_count"] > 0 and sums[COUNT_OF[total]] == 0


def sums_to_response(sums: Sums) -> dict[str, Any]:
    """Return the fields of SumFields: sums in units, null where they are absent."""
    return {**in_units(sums), **{name: None for name in OPTIONAL if is_absent(name, sums)}}


def to_response(sums: Sums) -> dict[str, Any]:
    """Return the fields of Amounts: sums in units, and means over trips that have the amount."""
    return {
        **sums_to_response(sums),
        **{name: _mean(total, sums) for name, total in MEANS.items()},
    }


def _mean(total: str, sums: Sums) -> float | None:
    if is_absent(total, sums):
        return None
    # Division of two integers gives the nearest double, for means as for sums.
    divisor = sums[COUNT_OF[total]] * MICRO
    return sums[total] / divisor if divisor else 0.0


def extremes_to_response(extremes: Extremes) -> dict[str, Any]:
    """Return minima and maxima: amounts in units, and times."""
    return {
        name: value / MICRO if isinstance(value, int) else value for name, value in extremes.items()
    }


def range_to_response(time_range: TimeRange) -> dict[str, Any]:
    """Return the fields `from_` and `to`."""
    start, end = time_range.start, time_range.end
    return {
        "from_": None if start is None else to_datetime(start),
        "to": None if end is None else to_datetime(end),
    }


def freshness_headers(as_of: datetime | None, store: Store) -> dict[str, str]:
    """Return the headers that say how fresh a response is.

    There is no Last-Modified: the watermark is event time, and numbers change before it does. There
    is no Age: nothing here is cached. A client that keeps a response must revalidate it (ETag).
    """
    headers = {STORE: store, "Cache-Control": "no-cache"}
    if as_of is not None:
        headers[AS_OF] = as_of.isoformat().replace("+00:00", "Z")
    return headers


def complete_header(is_complete: bool) -> dict[str, str]:
    """Return the header that stands for `complete` where the body has it of each row only.

    >>> complete_header(True)
    {'Mobility-Complete': 'true'}
    """
    return {COMPLETE: "true" if is_complete else "false"}


async def add_freshness_headers(response: Response[Any]) -> Response[Any]:
    """Add the headers to a response whose content has `as_of` and `store` (an after_request hook).

    It is a coroutine because Litestar runs hooks that are not on another thread.
    """
    content = response.content
    if hasattr(content, "as_of") and hasattr(content, "store"):
        response.headers.update(freshness_headers(content.as_of, content.store))
    return response
