"""The measures: what is computed of the trips of an id in a window. One table, one row each."""

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
    column of counted trips that it is computed of; a count has none. `label` is its name on pages.
    `mean` is the name of a sum divided by the trip count, which is derived where it is shown.
    `substitute` is the measure whose value stands for this one in windows of an earlier release,
    which lack it. An `added` measure has no substitute: it is null in those windows, and in the
    totals of ids that have no others. It is a minimum or a maximum, as a sum without the trips of
    before would be taken for that of all.
    """

    name: str
    kind: Kind
    unit: Unit
    input: str | None
    label: str
    mean: str | None = None
    substitute: str | None = None
    added: bool = False

    @property
    def dtype(self) -> pl.DataType:
        """The type of its column: a sum can have up to 128 bits."""
        return pl.Int128() if self.kind == "sum" else pl.Int64()


MEASURES: Final = (
    Measure("trip_count", "count", "trips", None, "Trips"),
    Measure("total_duration", "sum", "minutes", "duration", "Riding time", "avg_duration"),
    Measure("total_distance", "sum", "kilometres", "distance", "Distance", "avg_distance"),
    Measure("total_revenue", "sum", "currency", "revenue", "Revenue", "avg_revenue"),
    Measure("start_time", "min", "time", "start_time", "First trip"),
    Measure("last_start_time", "max", "time", "start_time", "Last trip", substitute="start_time"),
    Measure("max_price", "max", "currency", "revenue", "Highest price", added=True),
    Measure("max_distance", "max", "kilometres", "distance", "Longest distance", added=True),
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
"""The measures that windows of an earlier release may lack."""

STARTS: Final = tuple(each.name for each in MEASURES if each.unit == "time")
"""The names of what is stored as epoch ms: the starts of the earliest and the latest trip."""

MEANS: Final = {each.mean: each.name for each in MEASURES if each.mean is not None}
"""The names of the means, and of the sums that they are derived from."""
