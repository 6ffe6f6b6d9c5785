"""The contract of every store: totals are the sums of the highest versions of the windows."""

import secrets
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from mobility.entities import BY_NAME
from mobility.measures import EXTREMES, NULLABLE, STARTS, SUMS
from mobility.records import MIN_EVENT_TIME, WINDOW_SCHEMA
from mobility.sketched_measures import SKETCH_BY_NAME, SKETCHES, sketches_of
from mobility.totals import highest_versions
from sinks.store import TOTALS_SCHEMA, ApplyResult, WindowStore
from tests.sinks.memory_store import MemoryStore

DRIVER = BY_NAME["driver"]
PASSENGER = BY_NAME["passenger"]
SPECIAL_IDS = (
    '"',
    "'",
    "a:b",
    "a b",
    '"a","b"',
    "\\.",
    "\\N",
    "é→水🚲",
    "{x}",
    "%s",
    "1",
    "-",
    "x" * 128,
)

Row = dict[str, Any]
Build = Any


def version(entity_id: str, at: int, generation: int, count: int) -> Row:
    """Return a version of a window, as one flow would write it: equal versions have equal values.

    Amounts are as large as trips can be, and refunds make some negative. Another trip can only move
    the start to an earlier time, a new generation also to a later one.
    """
    window_start = 1_735_689_600_000 + at * 300_000
    return {
        "id": entity_id,
        "window_start": window_start,
        "trip_count": count,
        "total_duration": count * (10**15 - 1 - generation),
        "total_distance": count * (1 + generation) + at,
        "total_revenue": count * (10**15 - 7) * (-1 if (at + generation) % 2 else 1),
        "start_time": window_start + 100_001 * generation - 999 * count + 90_000,
        "last_start_time": window_start - 100_001 * generation + 999 * count + 190_000,
        **{each.name: None if generation == 1 else count - generation for each in NULLABLE},
        "distance_count": count // 2,
        "revenue_count": max(count - generation, 0),
        "pane": "early",
        "generation": generation,
    }


versions = st.builds(
    version,
    st.sampled_from(("a", *SPECIAL_IDS[:6])),
    st.integers(0, 5),
    st.integers(0, 2),
    st.integers(0, 9),
)
batches = st.lists(st.lists(versions, min_size=1, max_size=12), min_size=1, max_size=6)


def totals_of(rows: list[Row]) -> pl.DataFrame:
    """Return the totals (TOTALS_SCHEMA) of the highest version of each window."""
    final = highest_versions(pl.DataFrame(rows, schema=WINDOW_SCHEMA))
    has_trips = pl.col("trip_count") > 0
    sums = [pl.col(*SUMS).sum()]
    first = pl.col("start_time").filter(has_trips).min()
    last = pl.col("last_start_time").filter(has_trips).max()
    added = [getattr(pl.col(each.name).filter(has_trips), each.kind)() for each in NULLABLE]
    totals = final.group_by("id").agg(*sums, first, last, *added)
    return totals.select(TOTALS_SCHEMA.names()).sort("id")


@given(batches=batches, data=st.data())
@hypothesis_settings(
    max_examples=40,
    deadline=None,
    # All examples share a store: each one has different ids.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_order_any_replay_any_split(
    store: WindowStore, batches: list[list[Row]], data: st.DataObject
) -> None:
    """Batches in any order and with repeats give the totals of the highest versions."""
    example = secrets.token_hex(4)
    for row in (row for batch in batches for row in batch):
        row["id"] = (example + row["id"])[:128]
    replayed = data.draw(st.lists(st.sampled_from(batches), max_size=4))
    reference = MemoryStore()
    for batch in data.draw(st.permutations(batches + replayed)):
        rows = highest_versions(pl.DataFrame(batch, schema=WINDOW_SCHEMA))
        assert store.apply(DRIVER, rows) == reference.apply(DRIVER, rows)

    all_rows = [row for batch in batches for row in batch]
    of_example = pl.col("id").str.starts_with(example)
    assert_frame_equal(store.totals(DRIVER).filter(of_example), totals_of(all_rows))
    final = highest_versions(pl.DataFrame(all_rows, schema=WINDOW_SCHEMA))
    assert_frame_equal(store.windows(DRIVER).filter(of_example), final)


def test_an_empty_store_is_empty(store: WindowStore) -> None:
    """A new store has no totals, no windows and no progress."""
    assert_frame_equal(store.totals(DRIVER), pl.DataFrame(schema=TOTALS_SCHEMA))
    assert_frame_equal(store.windows(DRIVER), pl.DataFrame(schema=WINDOW_SCHEMA))
    assert store.progress(DRIVER) == {}


def test_a_lower_version_changes_nothing(store: WindowStore, window: Build, frame: Build) -> None:
    """Fewer trips of the same generation, or the same version again, are unchanged."""
    store.apply(DRIVER, frame(window(trip_count=3)))
    before = store.totals(DRIVER)
    assert store.apply(DRIVER, frame(window(trip_count=2))) == ApplyResult(unchanged=1)
    assert store.apply(DRIVER, frame(window(trip_count=3))) == ApplyResult(unchanged=1)
    assert_frame_equal(store.totals(DRIVER), before)


def test_a_higher_generation_replaces_more_trips(
    store: WindowStore, window: Build, frame: Build
) -> None:
    """A backfill replaces a window with more trips; a lower generation does not replace it."""
    store.apply(DRIVER, frame(window(trip_count=10, generation=9)))
    store.apply(DRIVER, frame(window(trip_count=2, generation=10)))
    store.apply(DRIVER, frame(window(trip_count=99, generation=9)))
    assert store.totals(DRIVER)["trip_count"].to_list() == [2]


def test_after_the_earliest_trip_is_removed_the_next_one_counts(
    store: WindowStore, window: Build, frame: Build
) -> None:
    """A new generation can have no trip that early: the next start is the earliest."""
    first, second = window(at=0), window(at=1)
    store.apply(DRIVER, frame(first, second))
    late = first["window_start"] + 299_999
    store.apply(DRIVER, frame(first | {"generation": 1, "start_time": late}))
    assert store.totals(DRIVER)["start_time"].to_list() == [late]
    store.apply(DRIVER, frame(first | {"generation": 2, "start_time": late + 300_000}))
    assert store.totals(DRIVER)["start_time"].to_list() == [second["start_time"]]


def test_after_the_latest_trip_is_removed_the_previous_one_counts(
    store: WindowStore, window: Build, frame: Build
) -> None:
    """A new generation can have no trip that late: the previous start is the latest."""
    first, second = window(at=0), window(at=1)
    store.apply(DRIVER, frame(first, second))
    early = second["window_start"] + 6_000
    store.apply(DRIVER, frame(second | {"generation": 1, "last_start_time": early}))
    assert store.totals(DRIVER)["last_start_time"].to_list() == [early]
    empty = dict.fromkeys(SUMS, 0)
    store.apply(DRIVER, frame(second | {"generation": 2, **empty}))
    assert store.totals(DRIVER)["last_start_time"].to_list() == [first["last_start_time"]]
    store.apply(DRIVER, frame(window(at=2)))
    assert store.totals(DRIVER)["last_start_time"].to_list() == [window(at=2)["last_start_time"]]


def test_an_id_can_lose_all_its_trips(store: WindowStore, window: Build, frame: Build) -> None:
    """A backfill that moves all trips to another id leaves an empty window, and the id stays."""
    empty = dict.fromkeys(SUMS, 0)
    store.apply(DRIVER, frame(window(), window(at=1), window("d2")))
    moved = window(generation=1, **empty)
    assert store.apply(DRIVER, frame(moved)) == ApplyResult(applied=1)
    assert store.totals(DRIVER)["start_time"].to_list()[0] == window(at=1)["start_time"]
    store.apply(DRIVER, frame(window(at=1, generation=1, **empty)))
    expected = {"id": "d1", **empty, **dict.fromkeys(EXTREMES)}
    assert store.totals(DRIVER).row(0, named=True) == expected
    assert store.apply(DRIVER, frame(window(trip_count=9), moved)) == ApplyResult(unchanged=2)
    assert store.totals(DRIVER).row(0, named=True) == expected
    store.apply(DRIVER, frame(window(at=2)))
    assert store.totals(DRIVER)["trip_count"].to_list() == [1, 1]
    assert store.totals(DRIVER)["start_time"].to_list()[0] == window(at=2)["start_time"]


def test_an_equal_version_replaces_the_pane(
    store: WindowStore, window: Build, frame: Build
) -> None:
    """The totals stay the same."""
    store.apply(DRIVER, frame(window()))
    before = store.totals(DRIVER)
    assert store.apply(DRIVER, frame(window(pane="on_time"))) == ApplyResult(applied=1)
    assert store.windows(DRIVER)["pane"].to_list() == ["on_time"]
    assert_frame_equal(store.totals(DRIVER), before)


def test_ids_may_have_any_characters(store: WindowStore, window: Build, frame: Build) -> None:
    """No character of an id has a meaning in a store, and entities share no ids."""
    rows = highest_versions(frame(*(window(entity_id) for entity_id in SPECIAL_IDS)))
    store.apply(DRIVER, rows)
    assert_frame_equal(store.windows(DRIVER), rows)
    assert store.totals(DRIVER)["id"].to_list() == sorted(SPECIAL_IDS)
    assert store.totals(PASSENGER).is_empty()


@pytest.mark.parametrize("time", [MIN_EVENT_TIME, -1, 0, 1_735_689_600_001, 253_402_300_799_999])
def test_times_are_exact(store: WindowStore, window: Build, frame: Build, time: int) -> None:
    """Times of the years 1 to 9999 are stored to the millisecond."""
    store.apply(DRIVER, frame(window(window_start=time, start_time=time, last_start_time=time)))
    assert store.totals(DRIVER).select(STARTS).row(0) == (time, time)
    assert store.windows(DRIVER)["window_start"].to_list() == [time]


def test_milliseconds_decide_the_start(store: WindowStore, window: Build, frame: Build) -> None:
    """A whole second is earlier than half a second after it, in whichever order they arrive."""
    whole = window()["window_start"] + 7_000
    first = {"start_time": whole, "last_start_time": whole}
    then = {"start_time": whole + 500, "last_start_time": whole + 500}
    store.apply(DRIVER, frame(window(**first), window(at=1, **then)))
    store.apply(DRIVER, frame(window("d2", **then)))
    store.apply(DRIVER, frame(window("d2", at=1, **first)))
    totals = store.totals(DRIVER)
    assert totals["start_time"].to_list() == [whole] * 2
    assert totals["last_start_time"].to_list() == [whole + 500] * 2


def test_a_large_batch(store: WindowStore, window: Build, frame: Build) -> None:
    """A batch larger than any chunk is applied completely."""
    rows = highest_versions(
        frame(
            *(window(f"d{n % 3}", at=n // 3) for n in range(1_500)),
            *map(window, map(str, range(2_500))),
        )
    )
    assert store.apply(DRIVER, rows) == ApplyResult(applied=4_000)
    assert store.totals(DRIVER)["trip_count"].sum() == 4_000
    assert_frame_equal(store.windows(DRIVER), rows)


def test_new_ids_beside_known_ones(store: WindowStore, window: Build, frame: Build) -> None:
    """A large batch of new ids, and of new and larger windows of known ids, is applied."""
    first = highest_versions(frame(*(window(f"d{n:04}", at=n % 3) for n in range(0, 3_000, 2))))
    store.apply(DRIVER, first)
    second = highest_versions(
        frame(
            *(window(f"d{n:04}", at=n % 3, trip_count=1 + n % 2) for n in range(3_000)),
            *(window(f"d{n:04}", at=4, generation=n % 2) for n in range(0, 3_000, 5)),
        )
    )
    assert store.apply(DRIVER, second) == ApplyResult(applied=2_100, unchanged=1_500)
    reference = MemoryStore()
    for rows in (first, second):
        reference.apply(DRIVER, rows)
    assert_frame_equal(store.totals(DRIVER), reference.totals(DRIVER))
    assert_frame_equal(store.windows(DRIVER), reference.windows(DRIVER))


def test_progress_never_goes_back(store: WindowStore) -> None:
    """A shard has its highest watermark, and MIN_EVENT_TIME before the first one."""
    store.record_progress(DRIVER, 1, 3, None)
    assert store.progress(DRIVER) == dict.fromkeys(range(3), MIN_EVENT_TIME)
    for shard, watermark in ((1, 2_000), (1, 1_000), (2, -5), (1, None)):
        store.record_progress(DRIVER, shard, 3, watermark)
    assert store.progress(DRIVER) == {0: MIN_EVENT_TIME, 1: 2_000, 2: -5}
    assert store.progress(PASSENGER) == {}


@pytest.mark.parametrize("shards", [2, 7])
def test_the_number_of_shards_changes(store: WindowStore, shards: int) -> None:
    """Every new shard starts at the minimum of the old ones, so the minimum stays true."""
    for shard in range(4):
        store.record_progress(DRIVER, shard, 4, 1_000 + shard)
    store.record_progress(DRIVER, 1, shards, 5_000)
    assert store.progress(DRIVER) == dict.fromkeys(range(shards), 1_000) | {1: 5_000}


def test_windows_may_come_with_sketches(store: WindowStore, window: Build, frame: Build) -> None:
    """Who does not keep them leaves them out: measures and totals are what they are without."""
    rows = frame(window("a"), window("a", at=1), window("b", trip_count=2))
    given = rows.with_columns(pl.lit(b"\x80", pl.Binary).alias(each.name) for each in SKETCHES)
    known = [each.name for each in sketches_of(DRIVER, SKETCH_BY_NAME)]
    assert store.apply(DRIVER, given.select(*rows.columns, *known)).applied == 3
    assert_frame_equal(store.windows(DRIVER), rows.sort("id", "window_start"))
    assert store.totals(DRIVER)["trip_count"].to_list() == [2, 2]
