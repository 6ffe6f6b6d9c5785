"""The parquet files of `--out`."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import polars as pl
import pytest

from audit import export
from mobility.measures import COUNTS, NULLABLE

TOTALS: Final = pl.DataFrame(
    {
        "entity": ["h3", "driver"],
        "id": ["a", "b"],
        "trip_count": [1, 2],
        "distance_count": [1, 2],
        "revenue_count": [0, 2],
        "total_duration": [1, 2_500_000],
        "total_distance": [1, 2],
        "total_revenue": [-1, 2],
        "avg_duration": [1e-6, 1.25],
        "start_time": [0, 1],
        "last_start_time": [0, 2],
        **{each.name: [None, 4] for each in NULLABLE},
    },
    schema_overrides={each.name: each.dtype for each in NULLABLE},
)


UNITS: Final = {
    **dict.fromkeys(COUNTS, pl.Int64),
    "total_duration": pl.Float64,
    "total_distance": pl.Float64,
    "total_revenue": pl.Float64,
    "avg_duration": pl.Float64,
    **{each.name: pl.Float64 for each in NULLABLE},
}


@pytest.mark.parametrize("convert", [lambda frame: frame, export.in_units])
def test_totals_are_written_in_units(tmp_path: Path, convert: Callable[..., pl.DataFrame]) -> None:
    """From the micro-units of a store, or the doubles of the API."""
    export.write_totals(tmp_path / "x.parquet", convert(TOTALS))
    frame = pl.read_parquet(tmp_path / "x.parquet")
    assert dict(frame.schema) == {"entity": pl.String, "id": pl.String, **UNITS}
    assert frame.select("entity", "id", *list(UNITS)[:7]).rows() == [
        ("driver", "b", 2, 2, 2, 2.5, 0.000002, 0.000002, 1.25),
        ("h3", "a", 1, 1, 0, 0.000001, 0.000001, -0.000001, 1e-6),
    ]
    for name in list(UNITS)[7:]:
        assert frame[name].to_list() == [0.000004, None]


def test_windows_are_written_in_units(tmp_path: Path) -> None:
    """They have the same columns, and their start as a time in UTC."""
    windows = TOTALS.with_columns(window_start=pl.lit(300_000, dtype=pl.Int64))
    export.write_windows(tmp_path / "x.parquet", windows)
    frame = pl.read_parquet(tmp_path / "x.parquet")
    moment = pl.Datetime("ms", "UTC")
    assert dict(frame.schema) == {
        "entity": pl.String,
        "id": pl.String,
        "window_start": moment,
        **UNITS,
    }
    assert frame["window_start"].to_list() == [datetime(1970, 1, 1, 0, 5, tzinfo=UTC)] * 2
