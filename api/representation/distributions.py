"""Distributions of single trips as JSON, derived from merged sketches."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
import polars as pl

from api.queries.contract import PERCENTILES, SketchOfWindows
from api.representation.responses import Freshness
from mobility.records import MICRO
from mobility.sketched_measures import SKETCH_BY_NAME, SKETCHES, SketchKind
from mobility.sketches import distinct, histogram, records
from mobility.sketches.records import RECORDS


class TripPercentiles(msgspec.Struct, frozen=True, kw_only=True):
    """The smallest values that 50, 90 and 99 % of the trips do not exceed, within 2 %.

    `trip_count` is how many trips they are of: those that have the amount, in windows that have its
    histogram.
    """

    trip_count: int
    p50: float
    p90: float
    p99: float


class DistinctIds(msgspec.Struct, frozen=True, kw_only=True):
    """How many different ids the trips have: exact below 1,000, beyond that estimated.

    The standard error of an estimate is 1.6 %. `trip_count` is how many trips are in the windows
    that have the measure.
    """

    trip_count: int
    distinct: int
    is_estimated: bool


_TYPES: Final = {"histogram": TripPercentiles, "distinct": DistinctIds}


class TripDistributionResponse(Freshness, frozen=True, kw_only=True):
    """How the single trips of an id, or of all ids, are distributed over a range.

    `trip_count` is the number of all trips. A distribution is null where no trip has the amount; it
    and a number of ids also where MOBILITY_MEASURES does not name the measure, or did not when the
    windows were counted, and where it is not computed for the entity.
    """

    entity: str
    id: str | None
    from_: datetime | None = msgspec.field(name="from")
    to: datetime | None
    trip_count: int
    __annotations__ |= {each.answer: _TYPES[each.kind] | None for each in SKETCHES}
    complete: bool


def distributions_of(sketches: Mapping[str, SketchOfWindows]) -> dict[str, Any]:
    """Return the distributions, by their fields in answers."""
    nothing = {each.answer: None for each in SKETCHES}
    found = {
        SKETCH_BY_NAME[name].answer: _DERIVED[SKETCH_BY_NAME[name].kind](each)
        for name, each in sketches.items()
    }
    return {**nothing, **found}


def _percentiles(found: SketchOfWindows) -> TripPercentiles | None:
    counted = records.records_in(b"".join(found.parts))
    if counted.is_empty():
        return None
    [amounts] = histogram.percentiles(pl.Series([counted], dtype=RECORDS), PERCENTILES).iter_rows()
    p50, p90, p99 = (value / MICRO for value in amounts)
    return TripPercentiles(trip_count=histogram.count(counted), p50=p50, p90=p90, p99=p99)


def _distinct_ids(found: SketchOfWindows) -> DistinctIds:
    union = distinct.united(found.parts)
    return DistinctIds(
        trip_count=found.trips,
        distinct=distinct.count(union),
        is_estimated=distinct.is_estimate(union),
    )


_DERIVED: Final[Mapping[SketchKind, Callable[[SketchOfWindows], object]]] = {
    "histogram": _percentiles,
    "distinct": _distinct_ids,
}
"""What is derived from the sketches of a kind."""
