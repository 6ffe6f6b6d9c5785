"""The recount equals one that is worked out a trip at a time, and changes are all that differs."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from polars.testing import assert_frame_equal

from audit.oracle import assign_windows
from audit.validation import LogMessage, validate_messages
from corrections.backfill_inputs import Corrections, read_corrections
from corrections.backfill_log import LOGGED_SCHEMA, Reading
from corrections.backfill_plan import HELD_SCHEMA, KEY, changes, recounted
from corrections.backfill_range import Range
from mobility.records import MAX_EVENT_TIME, PARTIAL_SCHEMA, STARTS, TOTALS
from mobility.settings import Settings
from tests.corrections import recounts
from tests.strategies import MINUTE, NOON, Entry, batches, logs

SETTINGS = replace(Settings(), region="location")
SPAN = Range(NOON - 10 * MINUTE, NOON + 40 * MINUTE)
EARLIER = Range(NOON - 30 * MINUTE, NOON + 15 * MINUTE)

_names = st.none() | st.sampled_from(("t1", "t2", "t3", "new"))


def corrections(span: Range) -> st.SearchStrategy[list[Entry]]:
    """Return corrections of a range, repeated trip_ids among them."""
    return st.lists(
        st.builds(
            Entry,
            st.integers(span.start, span.end - 1),
            _names,
            st.none() | st.sampled_from(("d1", "d2", "d9")),
            st.none() | st.sampled_from(("car", "bike")),
            st.integers(0, 10**9),
        ),
        max_size=5,
    )


def as_message(partition: int, offset: int, entry: Entry) -> LogMessage:
    """Return an entry as it stands in the log."""
    mark = [("watermark", b"%d" % entry.time)] if entry.punctuation else []
    return LogMessage(partition, offset, MAX_EVENT_TIME, entry.value, mark)


def as_given(folder: Path, entries: list[Entry], span: Range, number: int) -> Corrections:
    """Return corrections as a file that holds them."""
    file = folder / f"{number}.ndjson"
    # A blank line makes files of the same trips differ: one file given twice is another matter.
    file.write_bytes(b"\n" * number + b"\n".join(entry.value or b"" for entry in entries))
    return read_corrections(file, span, SETTINGS)


def assert_windows(found: pl.DataFrame, trips: list[Entry], span: Range) -> None:
    """Assert that a recount has the windows of these trips in the range."""
    inside = [trip for trip in trips if span.start <= trip.time < span.end]
    for entity in ("driver", "vehicle_type"):
        ours = found.filter(pl.col("entity") == entity).select(PARTIAL_SCHEMA.names())
        expected = recounts.windows(inside, entity, SETTINGS)
        assert_frame_equal(ours.sort("id", "window_start"), expected)


@given(st.data(), logs(), corrections(EARLIER), corrections(SPAN))
def test_a_recount_is_the_batch_answer_with_corrections(
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
    log: list[list[Entry]],
    earlier: list[Entry],
    newer: list[Entry],
) -> None:
    """Late trips count, copies once, repeats once a window; the newest correction stands."""
    messages = [
        as_message(partition, offset, entry)
        for partition, entries in enumerate(log)
        for offset, entry in enumerate(entries)
    ]
    reading = Reading(SPAN, pl.Series(["t1"]))
    for batch in data.draw(batches(messages)):
        reading.take(assign_windows(validate_messages(batch, SETTINGS), SETTINGS))
    late = data.draw(st.lists(st.sampled_from(messages), max_size=10)) if messages else []
    copies = Reading(SPAN, pl.Series([], dtype=pl.String))
    copies.take(assign_windows(validate_messages(late, SETTINGS), SETTINGS))
    logged = pl.concat([pl.DataFrame(schema=LOGGED_SCHEMA), *reading.trips, *copies.trips])

    folder = tmp_path_factory.mktemp("given")
    sets = [as_given(folder, earlier, EARLIER, 0), as_given(folder, newer, SPAN, 1)]
    trips = recounts.counted(log, SETTINGS, late_too=True)
    trips = recounts.corrected(trips, earlier, EARLIER.start, EARLIER.end)
    trips = recounts.corrected(trips, newer, SPAN.start, SPAN.end)
    assert_windows(recounted(logged, sets, SPAN, SETTINGS), trips, SPAN)

    outside = [e for entries in log for e in entries if not SPAN.start <= e.time < SPAN.end]
    assert sum(frame.height for frame in reading.elsewhere) == sum(
        entry.trip_id == "t1" and not entry.punctuation for entry in outside
    )


_windows = st.builds(
    lambda name, at, count, amount: (
        name,
        NOON + at * 5 * MINUTE,
        count,
        *[amount] * 3,
        NOON,
        NOON,
    ),
    st.sampled_from(("d1", "d2")),
    st.integers(0, 2),
    st.integers(1, 2),
    st.integers(0, 1),
)


def frame(rows: list[tuple[object, ...]], *, held: bool) -> pl.DataFrame:
    """Return windows of drivers, each once, as a recount gives them or as a place holds them."""
    once = pl.DataFrame(rows, schema=PARTIAL_SCHEMA, orient="row").unique(["id", "window_start"])
    named = once.select(pl.lit("driver").alias("entity"), pl.all())
    if not held:
        return named
    return named.with_columns(pane=pl.lit("on_time"), generation=pl.lit(2, pl.Int64)).select(
        HELD_SCHEMA.names()
    )


@given(st.lists(_windows), st.lists(_windows), st.lists(_windows))
def test_changes_are_all_that_differs(
    wanted: list[tuple[object, ...]], held: list[tuple[object, ...]], empty: list[tuple[int, ...]]
) -> None:
    """Written over what is held, they make what is wanted, windows without trips aside."""
    now = frame([*held, *((*row[:2], 0, 0, 0, 0, *row[-2:]) for row in empty)], held=True)
    goal = frame(wanted, held=False)
    found = changes(goal, now, 3)
    written = pl.concat([found.after, now]).unique(KEY, keep="first", maintain_order=True)
    filled = written.filter(pl.col("trip_count") > 0).select(goal.columns)
    assert_frame_equal(filled.sort(KEY), goal.sort(KEY))
    assert set(found.after["generation"]) <= {3}
    same = found.after.drop("pane", "generation").join(now, on=goal.columns, how="inner")
    assert same.is_empty()
    assert_frame_equal(found.before, now.join(found.after, on=KEY, how="semi").sort(KEY))
    emptied = found.after.filter(pl.col("trip_count") == 0)
    assert emptied.select(*TOTALS).sum().sum_horizontal().item() == 0
    for name in STARTS:
        assert emptied[name].equals(emptied["window_start"].rename(name))
    assert changes(goal, written, 4).after.is_empty()


def test_a_file_given_again_counts_once(tmp_path: Path) -> None:
    """Trips without a trip_id have no other name than their file and line."""
    file = tmp_path / "given.ndjson"
    trips = [Entry(NOON, None, "d1", "car", 1), Entry(NOON, None, "d1", "car", 1)]
    file.write_bytes(b"\n".join(trip.value or b"" for trip in trips))
    once = read_corrections(file, SPAN, SETTINGS)
    found = recounted(pl.DataFrame(schema=LOGGED_SCHEMA), [once, once], SPAN, SETTINGS)
    assert_windows(found, trips, SPAN)


def test_a_place_that_is_another_trip_now_is_no_copy() -> None:
    """A topic that was made again has new trips at old places: a late one of before is itself."""
    before, now = Entry(NOON, "old", "d1", "car", 1), Entry(NOON, "new", "d1", "car", 1)
    reading = Reading(SPAN, pl.Series([], dtype=pl.String))
    for entry in (now, now, before):
        rows = validate_messages([as_message(0, 5, entry)], SETTINGS)
        reading.take(assign_windows(rows, SETTINGS))
    found = recounted(pl.concat(reading.trips), [], SPAN, SETTINGS)
    assert_windows(found, [before, now], SPAN)
    assert reading.heard == {0: NOON}


def test_nothing_makes_nothing() -> None:
    """Without trips and windows there is nothing to change."""
    nothing = recounted(pl.DataFrame(schema=LOGGED_SCHEMA), [], SPAN, SETTINGS)
    found = changes(nothing, pl.DataFrame(schema=HELD_SCHEMA), 1)
    assert found.after.is_empty()
    assert found.before.schema == found.after.schema == HELD_SCHEMA
