"""The records of the system: what a trip and a window consist of, and in which units."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

import polars as pl

from mobility.entities import Entity
from mobility.measures import MEASURE_SCHEMA
from mobility.sketched_measures import Sketch

MICRO: Final = 1_000_000
"""Totals are integers, counts of a millionth of the unit: sums are the same bits in any order.

Those of the largest amounts have more than 64 bits from 9,224 trips on.
"""

MAX_AMOUNT: Final = 1e9
"""The largest duration (minutes), distance (km) or price of one trip."""

MAX_ID_LENGTH: Final = 128

MAX_NESTING: Final = 500
"""The most levels of objects and arrays in a message; the message itself is the first."""

RulesVersion = Literal[1, 2, 3]
"""Which rules judge a message. Version 1 is that of release 0.1, in which ids, times and nesting
are what the interpreter accepts; version 2 has patterns and limits of its own (ADR 18); version 3
takes trips without a distance or a price (ADR 28). A log that was read by one version is read by it
again."""

RULES_VERSION: Final = 3

MAX_EVENT_TIME: Final = 253_402_300_799_999
"""The last millisecond of the year 9999, as ISO 8601 dates have four-digit years."""

MIN_EVENT_TIME: Final = -62_135_596_800_000
"""The first millisecond of the year 1."""

WINDOW_SCHEMA: Final = pl.Schema(
    {
        "id": pl.String(),
        "window_start": pl.Int64(),  # epoch ms, inclusive; the end is this plus the window's length
        **MEASURE_SCHEMA,
        "pane": pl.String(),  # early, on_time or late
        "generation": pl.Int64(),  # rises with a backfill
    }
)
"""A frame of windows of one entity: a row is one id's whole totals of one window.

Behind these columns are those of the sketches that are computed, if any (`window_schema`).
"""

PARTIAL_SCHEMA: Final = pl.Schema({"id": pl.String(), "window_start": pl.Int64(), **MEASURE_SCHEMA})
"""Partial aggregates: the measures of some trips of an id and window, which merge into totals.

Where memory or time counts, sums have 32 or 64 bits as long as those are enough. Behind these
columns are those of the sketches that are computed, as canonical lists of records.
"""


def window_schema(sketches: Iterable[Sketch]) -> pl.Schema:
    """Return WINDOW_SCHEMA and a column for each of the sketches, which has its bytes."""
    return pl.Schema({**WINDOW_SCHEMA, **{each.name: pl.Binary() for each in sketches}})


@dataclass(frozen=True, slots=True)
class WindowUpdate:
    """What one shard of an entity emits at once: changed windows, and its watermark.

    `rows` has `window_schema` and may be empty, when only the watermark moved. `watermark` is the
    minimum over all partitions of the log in epoch ms, None until each has reported: a window
    whose end plus the allowed lateness lies before it is complete.
    """

    entity: Entity
    shard: int
    shards: int
    watermark: int | None
    rows: pl.DataFrame
