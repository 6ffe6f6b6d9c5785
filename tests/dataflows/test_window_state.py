"""The window state equals a dict of totals after any calls in any order."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from dataflows import window_runs
from dataflows.window_runs import Run, compacted, totals_of
from dataflows.window_state import WindowState
from mobility.entities import BY_NAME
from mobility.measures import ADDED, NULLABLE, TOTALS
from mobility.records import PARTIAL_SCHEMA, WINDOW_SCHEMA, window_schema
from mobility.sketched_measures import SKETCHES
from mobility.totals import WINDOW_KEY, aggregated_columns, merge_totals, partial_totals
from mobility.trips import TRIP_SCHEMA
from tests.dataflows.doubles import partial
from tests.strategies import batches

LENGTH, LATENESS = 10, 15
Key = tuple[str, int]
Row = tuple[Any, ...]

_sums = st.integers(-(10**21), 10**21) | st.integers(0, 10**6)
_rows = st.tuples(
    st.sampled_from("abcd"),
    st.integers(0, 6).map(lambda number: LENGTH * number),
    st.integers(1, 10**6),
    *[_sums] * 3,
    st.integers(0, 99),
    st.integers(0, 99),
)
_partials = st.lists(_rows, min_size=1, max_size=12, unique_by=lambda row: row[:2])
_times = st.integers(0, 120)
_steps = st.lists(
    st.tuples(st.just("add"), _partials)
    | st.tuples(st.sampled_from(("close", "drop")), _times)
    | st.tuples(st.just("changes"), st.booleans())
    | st.tuples(st.sampled_from(("resume", "snapshot")), st.none()),
    max_size=15,
)


@dataclass
class Model:
    """Totals by id and window; the closed windows, and the totals that are not emitted yet."""

    totals: dict[Key, Row] = field(default_factory=dict)
    closed: set[int] = field(default_factory=set)
    changed: set[Key] = field(default_factory=set)

    def add(self, rows: list[Row]) -> list[Row]:
        """Add partial aggregates."""
        for name, start, *sums, first, last in rows:
            held = self.totals.get((name, start), (0, 0, 0, 0, first, last))
            added = (a + b for a, b in zip(held[:4], sums, strict=True))
            self.totals[name, start] = (*added, min(held[4], first), max(held[5], last))
            self.changed.add((name, start))
        return []

    def close(self, watermark: int) -> list[Row]:
        """Close the windows that end at or before the watermark."""
        open_ends = {start + LENGTH for _, start in self.totals if start not in self.closed}
        closing = {end - LENGTH for end in open_ends if end <= watermark}
        self.closed |= closing
        return self._emitted({key for key in self.totals if key[1] in closing}, "on_time")

    def drop(self, watermark: int) -> list[Row]:
        """Drop the windows that are late."""
        dropped = {s for _, s in self.totals if s + LENGTH + LATENESS < watermark}
        panes = self.close(watermark - LATENESS - 1) if dropped else []
        panes += self._emitted({key for key in self.changed if key[1] in dropped}, "late")
        self.totals = {key: row for key, row in self.totals.items() if key[1] not in dropped}
        self.closed -= dropped
        return panes

    def changes(self, early: bool) -> list[Row]:
        """Emit the windows that have grown."""
        late = {key for key in self.changed if key[1] in self.closed}
        panes = self._emitted(late, "late")
        return panes + (self._emitted(set(self.changed), "early") if early else [])

    def _emitted(self, keys: set[Key], pane: str) -> list[Row]:
        self.changed -= keys
        return [(*key, *self.totals[key], pane, 0) for key in keys]


ADDED_LATER = tuple(each.name for each in ADDED if each.name != "last_start_time")
"""The measures that were added after these tests."""


def frame(rows: list[Row]) -> pl.DataFrame:
    """Return partial aggregates, in 64 bits if those are enough."""
    padded = [(*row, *row[7:8] * len(NULLABLE), *row[2:3] * 2) for row in rows]
    wide = pl.DataFrame(padded, schema=PARTIAL_SCHEMA, orient="row")
    narrow = dict.fromkeys((n for n in wide.columns if wide[n].dtype == pl.Int128), pl.Int64)
    return wide if any(abs(x) >= 2**63 for row in rows for x in row[3:6]) else wide.cast(narrow)  # type: ignore[arg-type]  # a mapping of names is one


def without_added(windows: pl.DataFrame) -> pl.DataFrame:
    """Return windows without the measures that were added after these tests."""
    return windows.drop(ADDED_LATER)


def restored(stored: dict[str, Any]) -> WindowState:
    """Return the state that resumes from a snapshot."""
    fresh = WindowState(LENGTH, LATENESS)
    fresh.resume(stored)
    return fresh


def resumed(state: WindowState) -> WindowState:
    """Return the state that continues from the snapshot of another."""
    return restored(state.snapshot())


def set_sizes(monkeypatch: pytest.MonkeyPatch, small: int, searched: float) -> None:
    """Set the size up to which runs are merged at once, and that from which they are searched."""
    monkeypatch.setattr(window_runs, "SMALL", small)
    monkeypatch.setattr(window_runs, "_SEARCHED", searched)
    monkeypatch.setattr("dataflows.window_state.SMALL", small)


@pytest.fixture(params=["usual", "small", "searched", "collisions"])
def any_runs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat a few rows as many, search all of them, and give all keys the same hash."""
    if request.param != "usual":
        set_sizes(monkeypatch, 1, 8 if request.param == "small" else 0)
    if request.param == "collisions":
        monkeypatch.setattr(window_runs, "key_hashes", one_hash)


def one_hash(rows: pl.DataFrame) -> pl.Series:
    """Return the same hash for each row."""
    return pl.repeat(7, rows.height, dtype=pl.UInt64, eager=True)


@pytest.mark.usefixtures("any_runs")
@given(_steps)
def test_it_equals_a_dict_of_totals(steps: list[tuple[str, Any]]) -> None:
    """Every pane, its totals, and whether there are changes equal those of the model."""
    state, model = WindowState(LENGTH, LATENESS), Model()
    for step, given_ in steps:
        if step in {"resume", "snapshot"}:
            stored = state.snapshot()
            state = restored(stored) if step == "resume" else state
            assert state.snapshot() == stored
            continue
        act: Callable[..., list[Row]] = getattr(model, step)
        expected = act(given_)
        if step == "add":
            state.add(frame(given_))
        else:
            panes = (
                state.changes(early=given_) if step == "changes" else getattr(state, step)(given_)
            )
            assert panes.schema == WINDOW_SCHEMA
            assert sorted(without_added(panes).rows()) == sorted(expected)
            assert panes["window_start"].is_sorted() or step == "drop"
        assert state.has_changes == bool(model.changed)
        assert state.closed == model.closed


def test_runs_stay_few_and_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand updates of ten ids are few runs, with not many more rows than ids."""
    set_sizes(monkeypatch, 1, 8)
    state = WindowState(LENGTH, LATENESS)
    for number in range(1_000):
        state.add(partial((f"id{number % 10}", 0)))
        assert state.changes(early=True)["trip_count"].to_list() == [number // 10 + 1]
    assert sum(run.height for run in state.emitted) <= 30
    assert len(state.emitted) <= 5


@pytest.mark.parametrize("early", [True, False])
def test_half_a_day_of_small_batches_leaves_few_runs(
    monkeypatch: pytest.MonkeyPatch, *, early: bool
) -> None:
    """Ten batches a second, of windows that close or that a slow partition holds open."""
    set_sizes(monkeypatch, 100, 8)
    state = WindowState(LENGTH, LATENESS)
    for number in range(20_000):
        state.add(partial((f"id{number % 7}", number // 500 * LENGTH)))
        if number % 10 == 0:
            state.changes(early=early)
        if early and number % 500 == 0:
            state.close(number // 500 * LENGTH)
            state.drop(number // 500 * LENGTH)
        runs = [*state.emitted, *state.pending]
        assert len(runs) <= 120
        assert all(run.rows.n_chunks() <= 2 * pl.thread_pool_size() for run in runs)
    rows = sum(run.height for run in (*state.emitted, *state.pending))
    assert rows <= (100 if early else 900)


def test_windows_that_close_one_after_the_other_leave_few_runs() -> None:
    """Short windows with a long lateness are many, and each closes by itself."""
    state = WindowState(1, 10**6)
    for start in range(5_000):
        state.add(partial((f"id{start % 3}", start)))
        assert state.close(start + 1).height == 1
        assert len(state.emitted) <= 101
    assert state.drop(10**6 + 4_000).is_empty()
    assert {start for run in state.emitted for start in run.starts} == {*range(3_999, 5_000)}


def test_a_run_that_did_not_change_is_serialised_once() -> None:
    """A few changed rows leave a large run as it is, in memory and in snapshots."""
    state = WindowState(LENGTH, LATENESS)
    state.add(partial(*((f"id{number}", 0) for number in range(50_000))))
    state.changes(early=True)
    (large,) = state.snapshot()["totals"]
    for _ in range(3):
        state.add(partial(("id7", 0), ("other", 0)))
        assert state.changes(early=True).height == 2
        first, _ = state.snapshot()["totals"]
        assert first is large
    assert resumed(state).snapshot()["totals"][0] is large


def test_sums_have_the_bits_that_they_need() -> None:
    """Millions of windows with small sums need half the memory; large sums are exact."""
    rows = [
        (f"id{number}", 0, 1, number, -number, 2**40, 0, 0) for number in range(window_runs.SMALL)
    ]
    run = window_runs.merged(
        [Run.of(frame(rows)), Run.of(frame([("big", 0, 1, 10**21, 1, 1, 0, 0)]))]
    )
    kinds = run.rows.schema
    assert kinds["trip_count"] == kinds["total_distance"] == pl.Int32
    assert kinds["total_duration"] == pl.Int128
    assert kinds["total_revenue"] == pl.Int64
    whole = merge_totals([run.rows])
    assert whole.schema == PARTIAL_SCHEMA
    big = without_added(whole).filter(pl.col("id") == "big")
    assert big.rows() == [("big", 0, 1, 10**21, 1, 1, 0, 0)]


def test_a_million_of_the_largest_trips_are_exact() -> None:
    """10^6 trips of 10^9 units are 10^21 micro-units, which do not fit into 64 bits."""
    state = WindowState(LENGTH, LATENESS)
    for _ in range(100):
        state.add(frame([("a", 0, 10_000, 10**19, 10**19, -(10**19), 0, 0)]))
    state = resumed(state)
    expected = ("a", 0, 10**6, 10**21, 10**21, -(10**21), 0, 0, "on_time", 0)
    assert without_added(state.close(LENGTH)).rows() == [expected]


def test_runs_are_compacted_by_their_sizes() -> None:
    """A large run is merged once the runs after it have half of its rows."""

    def run(rows: int) -> Run:
        return Run.of(partial(*((f"id{number}", 0) for number in range(rows))))

    large, half = run(60_000), run(29_000)
    assert compacted([large, half]) == [large, half]
    first, second = compacted([large, run(9), run(5)])
    assert first is large
    assert second.height == 9
    assert [each.height for each in compacted([large, half, run(15_000)])] == [60_000]
    assert [each.height for each in compacted([half, half, half])] == [29_000]
    assert [each.height for each in compacted([large, run(31_000)])] == [60_000]
    assert compacted([large]) == [large]
    assert compacted([]) == []


def test_totals_of_keys_are_summed_over_all_runs() -> None:
    """The result has the ids and windows of the given run only."""
    keys = Run.of(partial(("a", 0), ("b", LENGTH)))
    others = [
        Run.of(partial(("a", 0), ("b", 0), ("a", LENGTH))),
        Run.of(partial(("b", 5 * LENGTH))),
    ]
    found = totals_of(keys, others).select("id", "window_start", "trip_count")
    assert sorted(found.rows()) == [("a", 0, 2), ("b", LENGTH, 1)]


def test_a_measure_that_was_taken_away_is_not_read() -> None:
    """A snapshot from before has its column."""
    state = WindowState(LENGTH, LATENESS)
    state.add(partial(("a", 0)))
    stored = state.snapshot()
    (run,) = stored["pending"]
    wider = pl.read_ipc(run).with_columns(min_price=pl.lit(3))
    stored["pending"] = [wider.write_ipc(None, compression="zstd").getvalue()]
    later = restored(stored)
    later.add(partial(("a", 0)))
    assert later.changes(early=True).schema == WINDOW_SCHEMA


def test_a_state_of_version_1_is_resumed() -> None:
    """It had full totals, and a flag for those that have grown since they were emitted."""
    rows = [
        ("sent", 0, 3, 30, 30, 30, 1, 4, False),
        ("unsent", 0, 2, 20, 20, 20, 2, 3, True),
        ("open", LENGTH, 1, 2**62, 10, 10, 11, 11, True),
    ]
    columns = [item for item in PARTIAL_SCHEMA.items() if item[0] not in ADDED_LATER]
    schema = pl.Schema([*columns, ("changed", pl.Boolean())])
    schema.update(dict.fromkeys(TOTALS, pl.Int64()))
    totals = pl.DataFrame(rows, schema=schema, orient="row")
    for stored in (totals, totals.drop("last_start_time")):
        serialized = stored.write_ipc(None, compression="zstd").getvalue()
        state = WindowState(LENGTH, LATENESS)
        state.resume({"version": 1, "totals": serialized, "closed": [0]})
        assert [row[0] for row in state.changes(early=True).rows()] == ["unsent", "open"]
        state.add(frame([("open", LENGTH, 1, 2**62, 1, 1, 12, 12), ("sent", 0, 1, 1, 1, 1, 0, 0)]))
        late, open_ = state.changes(early=True).rows()
        assert late[:6] == ("sent", 0, 4, 31, 31, 31)
        assert open_[:6] == ("open", LENGTH, 2, 2**63, 11, 11)
        assert state.snapshot()["version"] == 2


def test_a_stored_run_is_read_in_every_version_of_polars() -> None:
    """Arrow has no 128-bit integers, so Polars stores them in a format of its own."""
    run = Run.resume((Path(__file__).parent / "wide_run.arrow").read_bytes())
    assert run.starts == {0, 300_000}
    assert without_added(run.rows).rows() == [
        ("a", 0, 10**6, 10**21, -(10**21), 10**27, 0, 5),
        ("b", 300_000, 1, 1, 2, 3, 4, 5),
    ]


def sketched(durations: list[int]) -> pl.DataFrame:
    """Return the partial aggregates of trips, one a duration, of two ids and two windows."""
    columns = aggregated_columns(BY_NAME["driver"], SKETCHES)
    schema = pl.Schema({**TRIP_SCHEMA, "window_start": pl.Int64()})
    rows = [
        {"driver_id": "ab"[each % 2], "window_start": each % 3 // 2 * LENGTH, "duration": each}
        | {"start_time": each, "distance": each, "passenger_id": str(each % 7)}
        for each in durations
    ]
    trips = pl.DataFrame(rows, schema={name: schema[name] for name in columns})
    return partial_totals(trips, BY_NAME["driver"], SKETCHES)


@pytest.mark.usefixtures("any_runs")
@given(st.data(), st.lists(st.integers(0, 10**9), min_size=1, max_size=40))
def test_sketches_have_the_same_bytes_after_any_calls(
    data: st.DataObject, durations: list[int]
) -> None:
    """Whatever is emitted and snapshotted in between: a layout and a batch change nothing."""
    whole = WindowState(LENGTH, LATENESS, sketches=SKETCHES)
    whole.add(sketched(durations))
    state = WindowState(LENGTH, LATENESS, sketches=SKETCHES)
    for batch in data.draw(batches(durations)):
        state.add(sketched(batch))
        if data.draw(st.booleans()):
            assert state.changes(early=True).schema == window_schema(SKETCHES)
        if data.draw(st.booleans()):
            stored = state.snapshot()
            state = WindowState(LENGTH, LATENESS, sketches=SKETCHES)
            state.resume(stored)
    expected, found = (each.close(2 * LENGTH).sort(WINDOW_KEY) for each in (whole, state))
    assert_frame_equal(found, expected)
    assert state.drop(10**6).schema == state.no_windows.schema


def test_sketches_are_switched_on_and_off_at_a_start() -> None:
    """A window with trips of before has none; one with a column that is not wanted loses it."""
    state = WindowState(LENGTH, LATENESS)
    state.add(sketched([1, 2]).select(PARTIAL_SCHEMA.names()))
    switched_on = WindowState(LENGTH, LATENESS, sketches=SKETCHES)
    switched_on.resume(state.snapshot())
    switched_on.add(sketched([1, 6]))
    panes = switched_on.changes(early=True).sort(WINDOW_KEY)
    name = SKETCHES[0].name
    assert panes.select("id", "window_start", pl.col(name).is_null()).rows() == [
        ("a", 0, False),
        ("a", LENGTH, True),
        ("b", 0, True),
    ]
    switched_off = WindowState(LENGTH, LATENESS)
    switched_off.resume(switched_on.snapshot())
    switched_off.add(sketched([1, 6]).select(PARTIAL_SCHEMA.names()))
    assert switched_off.changes(early=True).schema == WINDOW_SCHEMA
