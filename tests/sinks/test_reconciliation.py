"""How windows and totals move, against a store in memory that adds up whatever it holds."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from mobility.entities import BY_NAME
from mobility.keys import LAST_WINDOW
from mobility.records import WINDOW_SCHEMA
from mobility.totals import WINDOW_KEY, highest_versions
from sinks.reconciliation import as_windows, prune, reconcile
from sinks.store import TOTALS_SCHEMA, TOUCHED_SCHEMA
from tests.sinks.memory_store import MemoryStore

DRIVER = BY_NAME["driver"]
FOR_EVER = 10**15

Build = Any

rows = st.builds(
    lambda entity_id, at, generation, trips, first, last: {
        "id": entity_id,
        "window_start": at * 300_000,
        "trip_count": trips,
        "total_duration": trips * (2**62 + generation),
        "total_distance": trips,
        "total_revenue": -trips,
        "start_time": first,
        "last_start_time": first + last,
        "pane": "early",
        "generation": generation,
    },
    st.sampled_from("ab"),
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(0, 3),
    st.integers(0, 4),
    st.integers(0, 4),
)


@settings(deadline=None)  # the load of the machine is not what is tested
@given(st.lists(st.lists(rows, min_size=1, max_size=5), max_size=8))
def test_totals_are_those_of_the_held_windows(batches: list[list[dict[str, Any]]]) -> None:
    """Unless all windows must be asked, which is said; then `prune` has the answer."""
    reference = MemoryStore()
    held = pl.DataFrame(schema=WINDOW_SCHEMA)
    totals = pl.DataFrame(schema=TOUCHED_SCHEMA)
    for batch in batches:
        new = highest_versions(pl.DataFrame(batch, schema=WINDOW_SCHEMA))
        expected = reference.apply(DRIVER, new)
        found = reconcile(new, held, totals, FOR_EVER)
        assert (found.windows.height, found.too_old) == (expected.applied, 0)
        held = pl.concat([held.join(found.windows, on=WINDOW_KEY, how="anti"), found.windows])
        uncertain = held.filter(pl.col("id").is_in(found.uncertain.implode()))
        exact = prune(uncertain, FOR_EVER).totals
        assert set(exact["id"]) == set(found.uncertain)
        moved = pl.concat([found.totals.join(exact, on="id", how="anti"), exact])
        totals = pl.concat([totals.join(moved, on="id", how="anti"), moved])
        known = totals.select(TOTALS_SCHEMA.names()).sort("id")
        assert_frame_equal(known, reference.totals(DRIVER))
    newest = held.group_by("id").agg(pl.col("window_start").max().alias(LAST_WINDOW))
    assert_frame_equal(totals.select("id", LAST_WINDOW).sort("id"), newest.sort("id"))


def test_a_window_that_may_have_been_removed_is_refused(window: Build, frame: Build) -> None:
    """It starts more than the retention before the newest; one that starts just there does not."""
    totals = reconcile(frame(window(at=10)), frame(), _no_totals(), FOR_EVER).totals
    late = frame(window(at=7), window(at=8), window("d2", at=0))
    found = reconcile(late, frame(), totals, retention=2 * 300_000)
    assert found.too_old == 1
    assert found.windows["window_start"].to_list() == late["window_start"].to_list()[1:]


@pytest.mark.parametrize("has_removed", [False, True])
def test_removed_windows_become_one(window: Build, frame: Build, has_removed: bool) -> None:
    """With those that were removed before; totals are those of all windows."""
    windows = [window(at=0), window(at=1), window(at=9, trip_count=5)]
    removed = as_windows(frame(window(trip_count=3, start_time=7)).drop("window_start", "pane"))
    before = [removed] if has_removed else []
    pruned = prune(pl.concat([frame(*windows), *before]), retention=2 * 300_000)
    assert pruned.removed["window_start"].to_list() == [
        each["window_start"] for each in windows[:2]
    ]
    (one,) = pruned.before.iter_rows(named=True)
    first = 7 if has_removed else windows[0]["start_time"]
    assert (one["trip_count"], one["start_time"]) == (5 if has_removed else 2, first)
    assert (one["last_start_time"], one["window_start"]) == (windows[1]["last_start_time"], None)
    (totals,) = pruned.totals.iter_rows(named=True)
    assert (totals["trip_count"], totals["start_time"]) == (10 if has_removed else 7, first)
    assert totals[LAST_WINDOW] == windows[2]["window_start"]


def test_nothing_is_pruned_of_young_ledgers(window: Build, frame: Build) -> None:
    """Also not what was removed before."""
    removed = as_windows(frame(window(trip_count=3)).drop("window_start", "pane"))
    pruned = prune(pl.concat([frame(window(at=0), window(at=2)), removed]), retention=2 * 300_000)
    assert pruned.removed.is_empty()
    assert pruned.before.is_empty()
    assert pruned.totals["trip_count"].to_list() == [5]


def _no_totals() -> pl.DataFrame:
    return pl.DataFrame(schema=TOUCHED_SCHEMA)
