"""Sums merge: in any order, from any split, over any number of shards."""

from collections.abc import Sequence

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from mobility.entities import BY_NAME, ENTITIES, Entity
from mobility.measures import ADDED, NULLABLE, TOTALS
from mobility.records import PARTIAL_SCHEMA
from mobility.totals import (
    WINDOW_KEY,
    merge_totals,
    narrowed,
    partial_totals,
    running_totals,
    split_by_shard,
    upgrade_windows,
)
from tests.ids import ids
from tests.strategies import NOON, batches, shard_counts

DRIVER = BY_NAME["driver"]
WINDOW = 300_000

_rows = st.fixed_dictionaries(
    {
        "driver_id": st.none() | st.sampled_from("ab") | ids,
        "window_start": st.sampled_from((NOON, NOON + WINDOW, NOON - WINDOW)),
        "start_time": st.integers(NOON, NOON + WINDOW),
        "duration": st.integers(0, 10**15),
        "distance": st.integers(0, 10**15),
        "revenue": st.integers(-(10**15), 10**15),
    }
)
_SCHEMA = {
    "driver_id": pl.String,
    **dict.fromkeys(("window_start", "start_time", "duration", "distance", "revenue"), pl.Int64),
}
trip_lists = st.lists(_rows, max_size=40)


def frame(rows: list[dict[str, object]]) -> pl.DataFrame:
    """Return the rows as counted trips."""
    return pl.DataFrame(rows, schema=_SCHEMA)


def one_group_by(rows: list[dict[str, object]]) -> pl.DataFrame:
    """Return the answer of one plain Polars group_by, over integers of 128 bits."""
    return (
        frame(rows)
        .drop_nulls("driver_id")
        .group_by(id="driver_id", window_start="window_start")
        .agg(
            pl.len().cast(pl.Int64).alias("trip_count"),
            pl.col("duration").cast(pl.Int128).sum().alias("total_duration"),
            pl.col("distance").cast(pl.Int128).sum().alias("total_distance"),
            pl.col("revenue").cast(pl.Int128).sum().alias("total_revenue"),
            pl.min("start_time"),
            pl.max("start_time").alias("last_start_time"),
        )
        .sort(WINDOW_KEY)
    )


@given(st.data(), trip_lists, shard_counts)
def test_any_split_order_and_sharding_is_one_group_by(
    data: st.DataObject, rows: list[dict[str, object]], shards: int
) -> None:
    """Partial sums of any batches, in any order, by any shards, merge into the batch answer."""
    partials = [partial_totals(frame(part), DRIVER) for part in data.draw(batches(rows))]
    shuffled = data.draw(st.permutations(partials))
    sharded = [split_by_shard(partial, shards) for partial in shuffled]
    totals = [merge_totals([s[n] for s in sharded if n in s]) for n in range(shards)]
    expected = one_group_by(rows)
    assert_frame_equal(pl.concat(totals).sort(WINDOW_KEY).select(expected.columns), expected)


@given(trip_lists, trip_lists, trip_lists)
def test_merging_is_associative_and_commutative(
    one: list[dict[str, object]], two: list[dict[str, object]], three: list[dict[str, object]]
) -> None:
    """(a + b) + c == a + (b + c) == c + (b + a), to the bit."""
    a, b, c = (partial_totals(frame(rows), DRIVER) for rows in (one, two, three))
    left = merge_totals([merge_totals([a, b]), c]).sort(WINDOW_KEY)
    assert_frame_equal(left, merge_totals([a, merge_totals([b, c])]).sort(WINDOW_KEY))
    assert_frame_equal(left, merge_totals([c, merge_totals([b, a])]).sort(WINDOW_KEY))
    alone = merge_totals([merge_totals([]), a]).sort(WINDOW_KEY)
    assert_frame_equal(alone, a.cast(PARTIAL_SCHEMA).sort(WINDOW_KEY))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("trips", [9_223, 9_224, 20_000])
def test_a_batch_of_the_largest_trips_does_not_overflow(trips: int, sign: int) -> None:
    """From 9,224 trips of 10^9 units on a sum has more than 64 bits."""
    row = {"driver_id": "a", "window_start": NOON, "start_time": NOON, "duration": 10**15}
    trip = frame([row | {"distance": 1, "revenue": sign * 10**15}])
    (totals,) = partial_totals(pl.concat([trip] * trips), DRIVER).to_dicts()
    assert totals["total_duration"] == trips * 10**15
    assert totals["total_distance"] == totals["trip_count"] == trips
    assert totals["total_revenue"] == sign * trips * 10**15


WITHOUT_ADDED = [None] * len(NULLABLE)

_wide = st.integers(-(10**27), 10**27) | st.integers(-(2**63), 2**63 - 1)
_sums = st.lists(st.tuples(st.integers(1, 10**9), *[_wide] * 3), min_size=1, max_size=20)


def with_others(sums: Sequence[int]) -> tuple[object, ...]:
    """Return a row of PARTIAL_SCHEMA: all trips have a price, and none has a distance."""
    return ("a", NOON, *sums, NOON, NOON, *WITHOUT_ADDED, 0, sums[0])


@given(st.data(), _sums)
def test_merged_sums_are_exact_up_to_a_million_million_of_the_largest_trips(
    data: st.DataObject, sums: list[tuple[int, ...]]
) -> None:
    """They are those of Python's integers, narrowed or not, in any order of merging."""
    rows = [with_others(each) for each in sums]
    parts = [pl.DataFrame(part, PARTIAL_SCHEMA, orient="row") for part in data.draw(batches(rows))]
    stored = [
        narrowed(part) if part.height and data.draw(st.booleans()) else part for part in parts
    ]
    (totals,) = merge_totals(stored).rows()
    added_up = [sum(column) for column in zip(*sums, strict=True)]
    assert totals == with_others(added_up)


@given(_sums, st.integers(0, 10**6))
def test_narrowed_sums_are_equal_and_small(sums: list[tuple[int, ...]], small: int) -> None:
    """Each column has the fewest bits that all of its values fit into."""
    rows = [with_others((count, small, *wide)) for count, *wide, _ in sums]
    totals = pl.DataFrame(rows, PARTIAL_SCHEMA, orient="row")
    narrow = narrowed(totals)
    assert narrow.rows() == totals.rows()
    assert narrow.schema["total_duration"] == pl.Int32
    for name in TOTALS:
        bits = int(str(narrow.schema[name]).removeprefix("Int"))
        widest = max(abs(value) for value in totals[name]).bit_length() + 1
        assert widest <= bits
        assert bits == 32 or widest > bits / 2


@given(trip_lists, shard_counts)
def test_shards_part_the_ids(rows: list[dict[str, object]], shards: int) -> None:
    """Each id is in one shard only, and no row is lost or made."""
    partials = partial_totals(frame(rows), DRIVER)
    parts = split_by_shard(partials, shards)
    assert all(0 <= shard < shards and part.height for shard, part in parts.items())
    owners = [(entity_id, shard) for shard, p in parts.items() for entity_id in p["id"].unique()]
    assert len(owners) == partials["id"].n_unique()
    assert sum(part.height for part in parts.values()) == partials.height


@pytest.mark.parametrize(
    ("entity_id", "wyhash"),
    [
        ("d1", 15_307_443_491_403_760_662),
        ("driver-1", 11_418_718_049_598_365_460),
        ("7", 16_647_082_349_834_446_646),
        ("unknown", 7_224_821_212_128_675_188),
        ("8928308280fffff", 6_262_885_200_148_306_242),
        ("é→🚕", 18_355_949_574_625_619_950),
    ],
)
@pytest.mark.parametrize("shards", [2, 3, 4, 10**15])
def test_shards_are_pinned(entity_id: str, wyhash: int, shards: int) -> None:
    """The shard of an id is stored data: no version of anything may change it."""
    assert list(split_by_shard(pl.DataFrame({"id": [entity_id]}), shards)) == [wyhash % shards]


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: str(entity.name))
def test_partial_sums_have_the_declared_schema(entity: Entity) -> None:
    """Sums of nothing have every column too, and go to no shard."""
    trips = frame([]).rename({"driver_id": entity.id_column})
    partial = partial_totals(trips, entity)
    assert partial.cast(PARTIAL_SCHEMA).schema == merge_totals([]).schema == PARTIAL_SCHEMA
    assert partial.schema.names() == PARTIAL_SCHEMA.names()
    assert upgrade_windows(partial) is partial
    stored = partial.drop("last_start_time")
    assert upgrade_windows(stored).equals(partial.with_columns(last_start_time="start_time"))
    assert split_by_shard(partial, 3) == {}


def test_the_highest_price_is_that_of_all_parts() -> None:
    """A refund is the highest of a window that has nothing else."""
    trip = {"window_start": NOON, "start_time": NOON, "duration": 1, "distance": 1}
    prices = {"a": [3, 7, 5], "b": [-4, -9]}
    parts = [
        partial_totals(frame([trip | {"driver_id": name, "revenue": price}]), DRIVER)
        for name, of_id in prices.items()
        for price in of_id
    ]
    totals = merge_totals(parts)
    assert dict(totals.select("id", "max_price").iter_rows()) == {"a": 7, "b": -4}


def test_the_longest_distance_is_that_of_all_parts() -> None:
    """Of one trip, whatever the others had."""
    trip = {"driver_id": "a", "window_start": NOON, "start_time": NOON, "duration": 1, "revenue": 1}
    parts = [partial_totals(frame([trip | {"distance": km}]), DRIVER) for km in (0, 9, 4)]
    assert merge_totals(parts)["max_distance"].to_list() == [9]


def test_trips_without_a_price_count_for_no_revenue() -> None:
    """They leave the highest price of the others as it is, and have none where there are no others.

    Their number, and that of those with a price, stand beside the sum.
    """
    trip = {"window_start": NOON, "start_time": NOON, "duration": 1, "distance": None}
    prices: dict[str, list[int | None]] = {"a": [None, 7, None], "b": [None, None]}
    parts = [
        partial_totals(
            frame([trip | {"driver_id": name, "revenue": price}]).cast({"revenue": pl.Int64}),
            DRIVER,
        )
        for name, of_id in prices.items()
        for price in of_id
    ]
    names = ["id", "trip_count", "revenue_count", "total_revenue", "max_price", "distance_count"]
    assert set(merge_totals(parts).select(names).rows()) == {
        ("a", 3, 1, 7, 7, 0),
        ("b", 2, 0, 0, None, 0),
    }


def test_what_an_earlier_release_did_not_count_stays_unknown() -> None:
    """Of its windows, not of others: the extreme of the trips since would be a wrong number."""
    row = {"driver_id": "a", "start_time": NOON, "duration": 1, "distance": 1, "revenue": 5}
    earlier, later = (
        partial_totals(frame([row | {"window_start": NOON + n * WINDOW}]), DRIVER) for n in (0, 1)
    )
    stored = upgrade_windows(earlier.drop(each.name for each in ADDED))
    assert stored.columns == earlier.columns
    assert stored["revenue_count"].to_list() == [1]
    totals = merge_totals([stored, earlier, later]).sort("window_start")
    assert totals["trip_count"].to_list() == [2, 1]
    for each in NULLABLE:
        assert totals[each.name].to_list() == [None, later[each.name].item()]
    whole = running_totals(totals)
    for each in NULLABLE:
        assert whole[each.name].to_list() == later[each.name].to_list()
