"""Each window once, in its highest version."""

from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from mobility.measures import NULLABLE
from mobility.records import WINDOW_SCHEMA
from mobility.totals import highest_versions
from sinks.store import ApplyResult

Row = dict[str, Any]

rows = st.fixed_dictionaries(
    {
        "id": st.sampled_from(("a", "B", "é", "水", "🚲", "a b")),
        "window_start": st.sampled_from((-300_000, 0, 300_000)),
        "trip_count": st.integers(1, 3),
        "total_duration": st.integers(0, 5),
        "total_distance": st.just(0),
        "total_revenue": st.just(0),
        "start_time": st.just(0),
        "last_start_time": st.just(0),
        **{each.name: st.none() for each in NULLABLE},
        "distance_count": st.just(0),
        "revenue_count": st.integers(0, 1),
        "pane": st.sampled_from(("early", "on_time", "late")),
        "generation": st.integers(0, 2),
    }
)


@given(st.lists(rows, max_size=30))
def test_the_last_row_of_the_highest_version_stays(batch: list[Row]) -> None:
    """The result equals a dict of windows to which rows are added in order of version."""
    best: dict[tuple[str, int], Row] = {}
    for row in sorted(batch, key=lambda row: (row["generation"], row["trip_count"])):
        best[row["id"], row["window_start"]] = row
    expected = [best[key] for key in sorted(best)]
    assert highest_versions(pl.DataFrame(batch, schema=WINDOW_SCHEMA)).to_dicts() == expected


def test_of_equal_versions_the_last_row_stays() -> None:
    """So the pane becomes `on_time` after `early`."""
    row = dict.fromkeys(WINDOW_SCHEMA, 0) | {"id": "a"}
    panes = [row | {"pane": pane} for pane in ("early", "on_time")]
    assert highest_versions(pl.DataFrame(panes, schema=WINDOW_SCHEMA))["pane"].to_list() == [
        "on_time"
    ]


def test_results_add_up() -> None:
    """The result of two batches is the sum of their results."""
    assert ApplyResult(1, 2, 3) + ApplyResult(10, 20, 30) == ApplyResult(11, 22, 33)
