"""How the oracle computes the measures: the flow's declarations, with arithmetic of its own."""

from typing import Final

import polars as pl

from mobility.measures import AMOUNTS, EXTREMES, MEASURES, SUMS, Measure
from mobility.records import MICRO

TRIP_FIELDS: Final = {
    "duration": "duration_min",
    "distance": "distance_km",
    "revenue": "price",
    "start_time": "start_time",
}
"""The fields of trips that the inputs of measures are computed from."""


def measures_of_trips() -> list[pl.Expr]:
    """Return the measures of trips, whose amounts are doubles in units; times are epoch ms."""
    return [_of_trips(each).alias(each.name) for each in MEASURES]


def measures_of_parts() -> list[pl.Expr]:
    """Return the measures of all trips, from those of parts of them."""
    kinds = {each.name: each.kind for each in MEASURES}
    extremes = (
        pl.col(name).min() if kinds[name] == "min" else pl.col(name).max() for name in EXTREMES
    )
    return [pl.col(*SUMS).sum(), *extremes]


def _of_trips(measure: Measure) -> pl.Expr:
    if measure.input is None:
        return pl.len().cast(pl.Int64)
    value = pl.col(TRIP_FIELDS[measure.input])
    if measure.kind == "count":
        return value.is_not_null().sum().cast(pl.Int64)
    if measure.name in AMOUNTS:
        value = (value * MICRO).round(mode="half_to_even").cast(pl.Int128)
    if measure.kind == "sum":
        return value.sum()
    extreme = value.min() if measure.kind == "min" else value.max()
    return extreme.cast(pl.Int64)
