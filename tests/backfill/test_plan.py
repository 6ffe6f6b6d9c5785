"""A recount equals one that is computed trip by trip, and changes are exactly what differs."""

from pathlib import Path

import polars as pl
import pytest
from confluent_kafka import Message
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from polars.testing import assert_frame_equal

from backfill.correction_file import read_correction_file
from backfill.plan import ENTITY_WINDOW_KEY, ENTITY_WINDOW_SCHEMA, diff_windows
from backfill.window_range import WindowRange
from mobility.measures import NULLABLE, STARTS, TOTALS
from mobility.records import PARTIAL_SCHEMA
from mobility.settings import Settings
from tests.backfill import reference
from tests.backfill.recounting import correction_file, recounting, to_late, to_message
from tests.strategies import MINUTE, NOON, Entry, batches, logs

SETTINGS = replace(Settings(), region="location")
RANGE = WindowRange(NOON - 10 * MINUTE, NOON + 40 * MINUTE)
EARLIER = WindowRange(NOON - 30 * MINUTE, NOON + 15 * MINUTE)

_names = st.none() | st.sampled_from(("t1", "t2", "t3", "new"))


def corrections(window_range: WindowRange) -> st.SearchStrategy[list[Entry]]:
    """Return corrections of a range, some with equal trip_ids."""
    return st.lists(
        st.builds(
            Entry,
            st.integers(window_range.start, window_range.end - 1),
            _names,
            st.none() | st.sampled_from(("d1", "d2", "d9")),
            st.none() | st.sampled_from(("car", "bike")),
            st.integers(0, 10**9),
        ),
        max_size=5,
    )


def message_of(partition: int, offset: int, entry: Entry) -> Message:
    """Return an entry as a message of the log."""
    watermark = b"%d" % entry.time if entry.punctuation else None
    return to_message(partition, offset, entry.value, watermark)


def assert_windows(found: pl.DataFrame, trips: list[Entry], window_range: WindowRange) -> None:
    """Assert that a recount has the windows of these trips in the range."""
    inside = [trip for trip in trips if window_range.start <= trip.time < window_range.end]
    for entity in ("driver", "vehicle_type"):
        ours = found.filter(pl.col("entity") == entity).select(PARTIAL_SCHEMA.names())
        expected = reference.windows(inside, entity, SETTINGS)
        assert_frame_equal(ours.sort("id", "window_start"), expected)


@given(st.data(), logs(), corrections(EARLIER), corrections(RANGE))
def test_a_recount_is_the_batch_answer_with_corrections(
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
    log: list[list[Entry]],
    earlier: list[Entry],
    newer: list[Entry],
) -> None:
    """Late trips count, copies once, duplicates once a window; the newest correction wins."""
    messages = [
        message_of(partition, offset, entry)
        for partition, entries in enumerate(log)
        for offset, entry in enumerate(entries)
    ]
    late = data.draw(st.lists(st.sampled_from(messages), max_size=10)) if messages else []
    folder = tmp_path_factory.mktemp("given")
    files = [
        correction_file(folder, [entry.value for entry in given], window_range, SETTINGS, number)
        for number, (given, window_range) in enumerate(((earlier, EARLIER), (newer, RANGE)))
    ]
    with recounting(SETTINGS, RANGE, ["t1"]) as found:
        for batch in data.draw(batches(messages)):
            found.read(batch)
        found.read_late([to_late(message) for message in late])
        windows = found.windows(files)

    trips = reference.counted_trips(log, SETTINGS, with_late=True)
    trips = reference.with_corrections(trips, earlier, EARLIER.start, EARLIER.end)
    trips = reference.with_corrections(trips, newer, RANGE.start, RANGE.end)
    assert_windows(windows, trips, RANGE)

    outside = [e for entries in log for e in entries if not RANGE.start <= e.time < RANGE.end]
    assert found.scan.outside_trips().height == sum(
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
        *[amount] * len(NULLABLE),
        *[count] * 2,
    ),
    st.sampled_from(("d1", "d2")),
    st.integers(0, 2),
    st.integers(1, 2),
    st.integers(0, 1),
)


def frame(rows: list[tuple[object, ...]], *, stored: bool) -> pl.DataFrame:
    """Return windows of drivers, each once; those that are stored have a pane and generation."""
    once = pl.DataFrame(rows, schema=PARTIAL_SCHEMA, orient="row").unique(["id", "window_start"])
    named = once.select(pl.lit("driver").alias("entity"), pl.all())
    if not stored:
        return named
    return named.with_columns(pane=pl.lit("on_time"), generation=pl.lit(2, pl.Int64)).select(
        ENTITY_WINDOW_SCHEMA.names()
    )


@given(st.lists(_windows), st.lists(_windows), st.lists(_windows))
def test_changes_are_exactly_what_differs(
    wanted: list[tuple[object, ...]], filled: list[tuple[object, ...]], empty: list[tuple[int, ...]]
) -> None:
    """Written over the current windows they give the wanted ones, apart from empty windows."""
    no_trips = [0, 0, 0, 0, NOON, NOON, *[None] * len(NULLABLE), 0, 0]
    current = frame([*filled, *((*row[:2], *no_trips) for row in empty)], stored=True)
    goal = frame(wanted, stored=False)
    found = diff_windows(goal, current, 3)
    written = pl.concat([found.after, current]).unique(
        ENTITY_WINDOW_KEY, keep="first", maintain_order=True
    )
    result = written.filter(pl.col("trip_count") > 0).select(goal.columns)
    assert_frame_equal(result.sort(ENTITY_WINDOW_KEY), goal.sort(ENTITY_WINDOW_KEY))
    assert set(found.after["generation"]) <= {3}
    same = found.after.drop("pane", "generation").join(current, on=goal.columns, how="inner")
    assert same.is_empty()
    assert_frame_equal(
        found.before.sort(ENTITY_WINDOW_KEY),
        current.join(found.after, on=ENTITY_WINDOW_KEY, how="semi").sort(ENTITY_WINDOW_KEY),
    )
    emptied = found.after.filter(pl.col("trip_count") == 0)
    assert emptied.select(*TOTALS).sum().sum_horizontal().item() == 0
    for name in STARTS:
        assert emptied[name].equals(emptied["window_start"].rename(name))
    assert diff_windows(goal, written, 4).after.is_empty()


def test_a_file_given_again_counts_once(tmp_path: Path) -> None:
    """A trip without a trip_id is identified by its file and line."""
    file = tmp_path / "given.ndjson"
    trips = [Entry(NOON, None, "d1", "car", 1), Entry(NOON, None, "d1", "car", 1)]
    file.write_bytes(b"\n".join(trip.value or b"" for trip in trips))
    once = read_correction_file(file, RANGE, SETTINGS)
    with recounting(SETTINGS, RANGE) as found:
        assert_windows(found.windows([once, once]), trips, RANGE)


def test_another_trip_at_the_same_position_is_not_a_copy() -> None:
    """A topic that was created again has other trips at the positions of old late trips."""
    before, now = Entry(NOON, "old", "d1", "car", 1), Entry(NOON, "new", "d1", "car", 1)
    with recounting(SETTINGS, RANGE) as found:
        found.read([message_of(0, 5, now)])
        found.read_late([to_late(message_of(0, 5, entry)) for entry in (now, before, now)])
        assert_windows(found.windows(), [before, now], RANGE)
    assert found.scan.max_event_times == {0: NOON}


def test_sums_may_have_more_than_64_bits() -> None:
    """Those of the largest amounts, from 9,224 trips on."""
    trips = [Entry(NOON, None, "d1", "car", 10**15)] * 10_000
    with recounting(SETTINGS, RANGE) as found:
        found.read([message_of(0, at, trip) for at, trip in enumerate(trips)])
        assert_windows(found.windows(), trips, RANGE)


def test_nothing_changes_without_trips_and_windows() -> None:
    """The frames are empty and have their schemas."""
    with recounting(SETTINGS, RANGE) as recounted:
        nothing = recounted.windows()
    found = diff_windows(nothing, pl.DataFrame(schema=ENTITY_WINDOW_SCHEMA), 1)
    assert found.after.is_empty()
    assert found.before.schema == found.after.schema == ENTITY_WINDOW_SCHEMA
