"""The measures: what is computed of the trips of an id in a window. One table, one row each.

These are always computed; mobility/sketched_measures.py has those that are optional.
"""

from dataclasses import dataclass
from typing import Final, Literal

import polars as pl

Kind = Literal["count", "sum", "min", "max"]
"""How values of parts of the trips merge: counts and sums by addition, the others by comparison."""

Unit = Literal["trips", "minutes", "kilometres", "currency", "time"]
"""Minutes, kilometres and currency are stored as integers in micro-units, times as epoch ms."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A value that is computed of the trips of an id in a window.

    `name` is stored data: it stands in topics, keys, tables, files and answers. `input` is the
    column of counted trips that it is computed of: a count without one is that of all trips, with
    one that of the trips that have it. `label` is its name on pages. `mean` is the name of a sum
    divided by the number of trips that have its input, `count`, which is derived where it is shown.
    `substitute` is the measure whose value stands for this one in windows of an earlier release,
    which lack it. The columns of an `added` measure are null in those windows. Without a substitute
    it is not known there, nor in the totals of ids that have no others; then it is a minimum or a
    maximum, as a sum without the trips of before would be taken for that of all.
    """

    name: str
    kind: Kind
    unit: Unit
    input: str | None
    label: str
    mean: str | None = None
    count: str = "trip_count"
    substitute: str | None = None
    added: bool = False

    @property
    def dtype(self) -> pl.DataType:
        """The type of its column: a sum can have up to 128 bits."""
        return pl.Int128() if self.kind == "sum" else pl.Int64()


MEASURES: Final = (
    Measure("trip_count", "count", "trips", None, "Trips"),
    Measure("total_duration", "sum", "minutes", "duration", "Riding time", "avg_duration"),
    Measure(
        *("total_distance", "sum", "kilometres", "distance", "Distance"),
        mean="avg_distance",
        count="distance_count",
    ),
    Measure(
        *("total_revenue", "sum", "currency", "revenue", "Revenue"),
        mean="avg_revenue",
        count="revenue_count",
    ),
    Measure("start_time", "min", "time", "start_time", "First trip"),
    Measure(
        *("last_start_time", "max", "time", "start_time", "Last trip"),
        substitute="start_time",
        added=True,
    ),
    Measure("max_price", "max", "currency", "revenue", "Highest price", added=True),
    Measure("max_distance", "max", "kilometres", "distance", "Longest distance", added=True),
    Measure(
        *("distance_count", "count", "trips", "distance", "Trips with a distance"),
        substitute="trip_count",
        added=True,
    ),
    Measure(
        *("revenue_count", "count", "trips", "revenue", "Trips with a price"),
        substitute="trip_count",
        added=True,
    ),
)

MEASURE_SCHEMA: Final = pl.Schema({measure.name: measure.dtype for measure in MEASURES})
"""The columns of the measures, in the order of the table."""

ADDITIVE: Final = tuple(each for each in MEASURES if each.kind in {"count", "sum"})
"""The measures that are merged by addition."""

SUMS: Final = tuple(each.name for each in ADDITIVE)
"""The names of the measures that are merged by addition."""

EXTREMES: Final = tuple(each.name for each in MEASURES if each.kind in {"min", "max"})
"""The names of minima and maxima."""

COUNTS: Final = tuple(each.name for each in MEASURES if each.kind == "count")
"""The names of numbers of trips."""

TOTALS: Final = tuple(each.name for each in MEASURES if each.kind == "sum")
"""The names of sums of amounts."""

AMOUNTS: Final = tuple(each.name for each in MEASURES if each.unit not in {"trips", "time"})
"""The names of what is stored in micro-units."""

ADDED: Final = tuple(each for each in MEASURES if each.added)
"""The measures whose columns are null in windows of an earlier release."""

NULLABLE: Final = tuple(each for each in ADDED if each.substitute is None)
"""The measures that are not known of windows of an earlier release."""

SUBSTITUTES: Final = {each.name: each.substitute for each in MEASURES if each.substitute}
"""By name of a measure: the one that stands for it in windows of an earlier release."""

STARTS: Final = tuple(each.name for each in MEASURES if each.unit == "time")
"""The names of what is stored as epoch ms: the starts of the earliest and the latest trip."""

COUNT_OF: Final = {each.name: each.count for each in MEASURES if each.kind == "sum"}
"""By name of a sum: the count of the trips that it is the sum of."""

OPTIONAL: Final = tuple(name for name, count in COUNT_OF.items() if count != "trip_count")
"""The names of sums of what a trip need not have: of a distance, of a price."""

MEANS: Final = {each.mean: each.name for each in MEASURES if each.mean is not None}
"""The names of the means, and of the sums that they are derived from."""
