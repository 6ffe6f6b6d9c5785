"""The windows of a recount, by the rules of docs/adr/0007. Pure, and without the backfill's code.

A trip at one position of the log counts once, whichever topics have a copy of it. Corrections
replace the trips with their trip_id. Then a trip_id counts once per window: its correction, else
the trip of the lowest partition, of the lowest offset there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from audit.sketches import TEXTS
from audit.validation import AMOUNTS
from mobility.entities import ENTITIES
from mobility.records import MICRO

PLACE: Final = ("partition", "offset", "is_late", "read_partition", "read_offset")
"""The position of a trip in the log, and where it was read; of equal positions `trips_stream`'s
comes first."""

_FIELDS: Final = tuple(
    dict.fromkeys(
        ("trip_id", "window_start", "start_time", *TEXTS, *(each.id_column for each in ENTITIES))
    )
)

RECOUNT_SCHEMA: Final = pl.Schema(
    {
        "partition": pl.Int32(),
        "offset": pl.Int64(),
        "is_late": pl.Boolean(),
        "read_partition": pl.Int32(),
        "read_offset": pl.Int64(),
        **dict.fromkeys(_FIELDS, pl.String()),
        "window_start": pl.Int64(),
        "start_time": pl.Int64(),
        **dict.fromkeys(AMOUNTS, pl.Float64()),
    }
)
"""Enriched trips: what decides on windows."""

NAMED_SCHEMA: Final = pl.Schema(
    {
        **{name: RECOUNT_SCHEMA[name] for name in PLACE},
        "window_start": pl.Int64(),
        "name": pl.UInt64(),
    }
)
"""Where other trips are, with the hash of their trip_id and window."""


@dataclass(frozen=True, slots=True)
class Corrections:
    """A file of corrections, for the windows from `first` to before `beyond` (epoch ms).

    `trips` (RECOUNT_SCHEMA) have no place. Of those with one trip_id the last is left.
    """

    sha256: str
    first: int
    beyond: int
    trips: pl.DataFrame

    def replaces(self) -> pl.Expr:
        """Return the condition that a trip is replaced by one of these."""
        is_named = pl.col("trip_id").is_in(self.trips["trip_id"].drop_nulls().implode())
        return self._covers() & is_named.fill_null(value=False)

    def _covers(self) -> pl.Expr:
        return pl.col("window_start").is_between(self.first, self.beyond, closed="left")

    def added_to(self, earlier: pl.DataFrame) -> pl.DataFrame:
        """Return earlier corrections (with `sha256`) and these; the same file counts once."""
        is_again = self._covers() & (pl.col("sha256") == self.sha256)
        kept = earlier.filter(~(self.replaces() | is_again))
        return pl.concat([kept, self.trips.with_columns(sha256=pl.lit(self.sha256))])


def last_of_each_name(trips: pl.DataFrame) -> pl.DataFrame:
    """Return the trips of a file of corrections that count: of those with one trip_id the last."""
    return trips.filter(pl.col("trip_id").is_null() | pl.col("trip_id").is_last_distinct())


def counted_trips(
    trips: pl.DataFrame, others: pl.DataFrame, corrections: Sequence[Corrections]
) -> pl.DataFrame:
    """Return the trips (RECOUNT_SCHEMA) that count, of those that a recount has read.

    `others` (NAMED_SCHEMA) are trips that need not be returned, and may come before one of these.
    The corrections are in the order in which they were given.
    """
    added = pl.DataFrame(schema={**RECOUNT_SCHEMA, "sha256": pl.String()})
    for each in corrections:
        added = each.added_to(added)
    is_replaced = pl.any_horizontal(pl.lit(value=False), *(each.replaces() for each in corrections))
    left = _without_copies(trips).filter(~is_replaced)
    return pl.concat([_first_of_each_name(left, others), added.drop("sha256")])


def name_of() -> pl.Expr:
    """Return the hash of a trip_id and a window."""
    return pl.struct("trip_id", "window_start").hash(0).alias("name")


def _without_copies(trips: pl.DataFrame) -> pl.DataFrame:
    ordered = trips.sort(PLACE).with_columns(
        (pl.col(name) * MICRO).round(mode="half_to_even").alias(f"{name}_micro") for name in AMOUNTS
    )
    same = ["partition", "offset", *_FIELDS, *(f"{name}_micro" for name in AMOUNTS)]
    return ordered.unique(same, keep="first", maintain_order=True).select(trips.columns)


def _first_of_each_name(trips: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    named = trips.filter(pl.col("trip_id").is_not_null()).with_columns(name_of())
    places = pl.concat([named.select("name", *PLACE), others.select("name", *PLACE)])
    firsts = places.sort(PLACE).unique("name", keep="first", maintain_order=True)
    counted = named.join(firsts, on=["name", *PLACE], how="semi").drop("name")
    return pl.concat([trips.filter(pl.col("trip_id").is_null()), counted])
