"""Distributions of single trips as columns of rows: of the trips of an id in a bucket."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import polars as pl

from api.queries.contract import PERCENTILES, parts_of, trips_of
from api.representation.rows import nearest_quotients
from mobility.records import MICRO
from mobility.sketched_measures import Sketch, SketchKind
from mobility.sketches import distinct, histogram, records


def distribution_schema(sketches: Sequence[Sketch]) -> pl.Schema:
    """Return the columns of these sketches.

    Of a histogram they are the percentiles in units (`trip_duration_p90`), of distinct ids their
    number (`distinct_passengers`).
    """
    found = pl.Schema()
    for each in sketches:
        columns = _DERIVED[each.kind](each, pl.Series(dtype=pl.List(pl.Binary())))
        found.update(columns.schema)
    return found


def distribution_columns(found: pl.DataFrame, sketches: Sequence[Sketch]) -> pl.DataFrame:
    """Return the columns of these sketches for a batch of windows (`window_batch_schema`).

    They are null where a trip of the bucket is in a window without the sketch, and where no trip
    has the amount.
    """
    columns = []
    for each in sketches:
        if parts_of(each) in found.columns:
            is_known = found[trips_of(each)] == found["trip_count"]
            parts = found[parts_of(each)].set(~is_known, None)
        else:
            parts = pl.repeat(None, found.height, dtype=pl.List(pl.Binary()), eager=True)
        columns.append(_DERIVED[each.kind](each, parts))
    return pl.concat(columns, how="horizontal")


def _percentiles(sketch: Sketch, parts: pl.Series) -> pl.DataFrame:
    found = histogram.percentiles(records.joined(parts, records.from_bytes), PERCENTILES)
    micro = pl.repeat(MICRO, found.height, dtype=pl.Int64, eager=True)
    return pl.DataFrame(
        {
            f"{sketch.answer}_{each.name}": nearest_quotients(each.fill_null(0), micro).set(
                each.is_null(), None
            )
            for each in found
        }
    )


def _distinct_ids(sketch: Sketch, parts: pl.Series) -> pl.DataFrame:
    return distinct.counts(distinct.united_lists(parts)).alias(sketch.name).to_frame()


_DERIVED: Final[Mapping[SketchKind, Callable[[Sketch, pl.Series], pl.DataFrame]]] = {
    "histogram": _percentiles,
    "distinct": _distinct_ids,
}
"""What is derived from the parts of the sketches of a kind (List(Binary))."""
