"""Windows for tests, by the names of their fields."""

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from mobility.measures import MEASURES
from mobility.records import WINDOW_SCHEMA
from tests.strategies import NOON


def window(
    entity_id: str = "d1", start: int = NOON, trips: int = 1, /, **fields: object
) -> dict[str, Any]:
    """Return a window: sums of 1 a trip, and times at its start, but for the given fields."""
    measures = {each.name: start if each.unit == "time" else trips for each in MEASURES}
    others = {"id": entity_id, "window_start": start, "pane": "on_time", "generation": 0}
    return {**others, **measures, **fields}


def window_frame(
    rows: Iterable[Mapping[str, object]], schema: pl.Schema = WINDOW_SCHEMA
) -> pl.DataFrame:
    """Return rows as a frame with the columns of a schema."""
    return pl.DataFrame([{name: row[name] for name in schema} for row in rows], schema=schema)
