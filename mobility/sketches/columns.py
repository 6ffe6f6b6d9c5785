"""Sketches as columns: of trips, of partial aggregates, and of windows.

A frame has a column for each sketch that is computed, beside those of its schema.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from mobility.sketched_measures import SKETCHES, Sketch, SketchKind
from mobility.sketches import distinct, histogram, records


@dataclass(frozen=True, slots=True)
class _Functions:
    """What a kind of sketches is made of."""

    record_of: Callable[[str], pl.Expr]
    canonical: Callable[[pl.Series], pl.Series]
    to_bytes: Callable[[pl.Series], pl.Series]


_OF_KIND: Final[Mapping[SketchKind, _Functions]] = {
    "histogram": _Functions(histogram.record_of, histogram.canonical, records.to_bytes),
    "distinct": _Functions(distinct.record_of, distinct.canonical, distinct.to_bytes),
}


def sketches_in(rows: pl.DataFrame) -> list[Sketch]:
    """Return the sketches that a frame has a column of."""
    return [each for each in SKETCHES if each.name in rows.columns]


def records_of_trips(sketches: Iterable[Sketch]) -> list[pl.Expr]:
    """Return the record of each trip in each sketch, null where it lacks the input."""
    return [_OF_KIND[each.kind].record_of(each.input).alias(each.name) for each in sketches]


def canonical_columns(rows: pl.DataFrame) -> pl.DataFrame:
    """Return a frame whose lists of records are canonical."""
    return rows.with_columns(
        _OF_KIND[each.kind].canonical(rows[each.name]) for each in sketches_in(rows)
    )


def encoded_columns(rows: pl.DataFrame) -> pl.DataFrame:
    """Return a frame whose canonical lists of records are their bytes (Binary)."""
    return rows.with_columns(
        _OF_KIND[each.kind].to_bytes(rows[each.name]) for each in sketches_in(rows)
    )
