"""Judging a log in parts: what the oracle must know of the messages before.

The oracle judges a whole log at once. Here it is shown, before each part, a few rows that stand for
everything it has seen: the trips that a repeat can still be recognised by, and one punctuation a
partition for the prefix maximum. So a log of any length is judged in bounded memory, and by the
very same rules.
"""

from typing import Final

import polars as pl

from audit.oracle import judged
from audit.verdicts import AMOUNTS, MESSAGE_SCHEMA, TIMES
from mobility.settings import Settings

ROWS_SCHEMA: Final = pl.Schema(
    [
        *(item for item in MESSAGE_SCHEMA.items() if item[0] not in {"shape", "text", "time"}),
        ("reason", pl.String),
    ]
)
"""The rows of a log, as audit.oracle.read_log makes them."""

_SEEN_SCHEMA: Final = pl.Schema(
    {"partition": pl.Int32, "trip_id": pl.String, "window_start": pl.Int64}
)


class Carry:
    """The judge of a log that comes in parts, each partition in the order of its offsets."""

    def __init__(self, settings: Settings) -> None:
        self.heard: dict[int, int] = {}
        self._settings = settings
        self._seen = pl.DataFrame(schema=_SEEN_SCHEMA)
        self._horizon = settings.window_ms + settings.allowed_lateness * 1_000

    def judged(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the next rows (ROWS_SCHEMA) as the oracle judges them, in their order."""
        before = pl.concat([self._trips_before(), self._marks_before()])
        after = judged(pl.concat([before, rows.select(ROWS_SCHEMA.names())]), self._settings)
        self._note(after)
        return after.slice(before.height)

    def watermark(self, partitions: int) -> int | None:
        """Return the minimum watermark of the log (epoch ms), None until all have spoken."""
        if len(self.heard) < partitions or not partitions:
            return None
        return min(self.heard.values()) - self._settings.out_of_orderness * 1_000

    def _trips_before(self) -> pl.DataFrame:
        # In the order of their windows none of them can be late to another.
        seen = self._seen.sort("partition", "window_start")
        moments = [pl.col("window_start").alias(name) for name in TIMES]
        return _rows(
            seen.select(
                "partition", "trip_id", *moments, *(pl.lit(0.0).alias(name) for name in AMOUNTS)
            ),
            first=-seen.height - len(self.heard),
        )

    def _marks_before(self) -> pl.DataFrame:
        schema = {"partition": pl.Int32, "watermark": pl.Int64}
        marks = pl.DataFrame(sorted(self.heard.items()), schema=schema, orient="row")
        return _rows(marks, first=-marks.height)

    def _note(self, rows: pl.DataFrame) -> None:
        latest = rows.drop_nulls("event_time").group_by("partition").agg(pl.col("event_time").max())
        self.heard |= dict(latest.iter_rows())
        counted = rows.filter(pl.col("verdict") == "counted").drop_nulls("trip_id")
        seen = counted.select(_SEEN_SCHEMA.names()).join(latest, on="partition")
        reached = pl.col("event_time") - self._settings.out_of_orderness * 1_000
        open_still = pl.col("window_start") + self._horizon >= reached
        self._seen = seen.filter(open_still).drop("event_time")


def _rows(known: pl.DataFrame, first: int) -> pl.DataFrame:
    """Return rows of a log of which only this is known, at offsets that no log has."""
    offsets = pl.int_range(first, first + pl.len(), dtype=pl.Int64).alias("offset")
    known = known.with_columns(offsets)
    missing = [
        pl.lit(None, dtype).alias(name)
        for name, dtype in ROWS_SCHEMA.items()
        if name not in known.columns
    ]
    return known.with_columns(missing).select(ROWS_SCHEMA.names())
