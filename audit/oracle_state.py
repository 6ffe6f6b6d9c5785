"""The oracle on a log in parts: the state that it needs from the messages before.

The oracle classifies a whole log at once. Here it gets, before each part, a few rows that stand for
everything before: the trips by which a duplicate can still be recognised, and one punctuation per
partition for the prefix maximum. So a log of any length is classified in bounded memory, and by the
same rules.
"""

from typing import Final

import polars as pl

from audit.oracle import classify
from audit.validation import AMOUNTS, MESSAGE_SCHEMA, TIMES, VALIDATION_COLUMNS
from mobility.settings import Settings

LOG_ROW_SCHEMA: Final = pl.Schema(
    [
        *(item for item in MESSAGE_SCHEMA.items() if item[0] not in VALIDATION_COLUMNS),
        ("reason", pl.String),
    ]
)
"""The rows of a log, as audit.oracle.validate_log returns them."""

_DEDUPE_SCHEMA: Final = pl.Schema(
    {"partition": pl.Int32, "trip_id": pl.String, "window_start": pl.Int64}
)


class OracleState:
    """Classifies a log that comes in parts, each partition in offset order.

    `max_event_times` has the highest event time (epoch ms) of each partition that has one.
    """

    def __init__(self, settings: Settings) -> None:
        self.max_event_times: dict[int, int] = {}
        self._settings = settings
        self._counted_trips = pl.DataFrame(schema=_DEDUPE_SCHEMA)
        self._retention = settings.window_ms + settings.allowed_lateness * 1_000

    def classify(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the next rows (LOG_ROW_SCHEMA) as the oracle classifies them, in their order."""
        before = pl.concat([self._dedupe_rows(), self._watermark_rows()])
        after = classify(pl.concat([before, rows.select(LOG_ROW_SCHEMA.names())]), self._settings)
        self._update(after)
        return after.slice(before.height)

    def watermark(self, partitions: int) -> int | None:
        """Return the minimum watermark (epoch ms); None while a partition has none."""
        if len(self.max_event_times) < partitions or not partitions:
            return None
        return min(self.max_event_times.values()) - self._settings.out_of_orderness * 1_000

    def _dedupe_rows(self) -> pl.DataFrame:
        # In the order of their windows, so that no row makes another one late.
        trips = self._counted_trips.sort("partition", "window_start")
        times = [pl.col("window_start").alias(name) for name in TIMES]
        return _log_rows(
            trips.select(
                "partition", "trip_id", *times, *(pl.lit(0.0).alias(name) for name in AMOUNTS)
            ),
            first_offset=-trips.height - len(self.max_event_times),
        )

    def _watermark_rows(self) -> pl.DataFrame:
        schema = {"partition": pl.Int32, "watermark": pl.Int64}
        rows = pl.DataFrame(sorted(self.max_event_times.items()), schema=schema, orient="row")
        return _log_rows(rows, first_offset=-rows.height)

    def _update(self, rows: pl.DataFrame) -> None:
        latest = rows.drop_nulls("event_time").group_by("partition").agg(pl.col("event_time").max())
        self.max_event_times |= dict(latest.iter_rows())
        counted = rows.filter(pl.col("outcome") == "counted").drop_nulls("trip_id")
        trips = counted.select(_DEDUPE_SCHEMA.names()).join(latest, on="partition")
        watermark = pl.col("event_time") - self._settings.out_of_orderness * 1_000
        is_open = pl.col("window_start") + self._retention >= watermark
        self._counted_trips = trips.filter(is_open).drop("event_time")


def _log_rows(columns: pl.DataFrame, first_offset: int) -> pl.DataFrame:
    """Return rows of a log with only these columns set, at negative offsets, which no log has."""
    offsets = pl.int_range(first_offset, first_offset + pl.len(), dtype=pl.Int64).alias("offset")
    columns = columns.with_columns(offsets)
    missing = [
        pl.lit(None, dtype).alias(name)
        for name, dtype in LOG_ROW_SCHEMA.items()
        if name not in columns.columns
    ]
    return columns.with_columns(missing).select(LOG_ROW_SCHEMA.names())
