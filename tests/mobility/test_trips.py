"""The columnar decoder says of every message what the inspection of that message says."""

import itertools
import json
from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobility.trips import REJECTED_SCHEMA, TRIP_SCHEMA, decode_trips
from mobility.validation import Rejection, TripRules, validate
from tests.strategies import good_messages, messages

RULES = st.builds(
    TripRules, st.sampled_from(("start", "end")), st.booleans(), st.sampled_from((0, 200, 1 << 20))
)


def one_by_one(
    values: Sequence[bytes | None], rules: TripRules
) -> tuple[list[dict[str, Any]], list[tuple[int, str, str]]]:
    """Return the trips and rejections that inspection finds."""
    trips, rejected = [], []
    for row, value in enumerate(values):
        try:
            trips.append({"row": row, **validate(value, rules)})
        except Rejection as rejection:
            rejected.append((row, str(rejection.reason), rejection.detail))
    return trips, rejected


def assert_same(values: Sequence[bytes | None], rules: TripRules) -> None:
    """Assert that the columnar decoder finds what inspection finds."""
    decoded = decode_trips(values, rules)
    trips, rejected = one_by_one(values, rules)
    assert decoded.trips.schema == TRIP_SCHEMA
    assert decoded.rejected.schema == REJECTED_SCHEMA
    # By text, so that a zero's sign and a float's last bit count.
    assert repr(decoded.trips.to_dicts()) == repr(trips)
    assert decoded.rejected.rows() == rejected


@given(st.lists(messages, max_size=12), RULES)
def test_a_batch_is_decoded_as_its_messages_one_by_one(
    values: list[bytes | None], rules: TripRules
) -> None:
    """Trips, reasons and order are those of inspection, whatever stands beside a message."""
    assert_same(values, rules)


@given(st.lists(good_messages(), min_size=20, max_size=40), st.lists(messages, max_size=4))
def test_the_fast_path_is_taken_and_agrees(good: list[bytes], doubtful: list[bytes | None]) -> None:
    """Batches that Polars must split agree with inspection as well."""
    assert_same([*good, *doubtful, *good], TripRules())


@pytest.mark.parametrize(
    "values",
    [
        [],
        [b""],
        [b"", b""],
        [None],
        [b"{}{}", b""],
        [b'{"a":1}\n{"a":2}'],
    ],
)
def test_batches_that_lines_cannot_tell_apart(values: list[bytes | None]) -> None:
    """Empty messages and several objects in one shift nothing."""
    assert_same(values, TripRules())


def one_trip(number: int, **fields: object) -> bytes:
    """Return a trip's message, the fields replaced."""
    record = {
        "trip_id": f"t{number}",
        "driver_id": f"d{number % 50}",
        "start_time": 1_735_732_800_000 + number * 1_000,
        "duration_min": number / 7,
        "distance_km": 2.5,
        "price": 0.1 + number,
    }
    return json.dumps(record | fields).encode()


BROKEN: list[bytes | None] = [
    None,
    b"",
    b"\xff\xfe",
    b"not json",
    b"[1]",
    one_trip(0, price=None),
    one_trip(0, price="12"),
    one_trip(0, price=float("nan")),
    one_trip(0, distance_km=float("inf")),
    one_trip(0, duration_min=-1),
    one_trip(0, price=2e9),
    one_trip(0, start_time="tomorrow"),
    one_trip(0, driver_id="x" * 129),
    one_trip(0, driver_id="a\x00b"),
    one_trip(0, start_lat=91),
    one_trip(0) + one_trip(0),
    one_trip(0) + b"\n" + one_trip(0),
    one_trip(0)[:-5],
]


def test_one_percent_of_poison_costs_no_neighbour() -> None:
    """Of 2,000 messages with 1 % broken ones, every other trip is there, in its place."""
    values: list[bytes | None] = [one_trip(number) for number in range(2_000)]
    rows = list(range(7, 2_000, 100))
    for row, broken in zip(rows, itertools.cycle(BROKEN), strict=False):
        values[row] = broken
    decoded = decode_trips(values, TripRules())
    assert decoded.rejected["row"].to_list() == rows
    kept = [row for row in range(2_000) if row not in rows]
    assert decoded.trips["row"].to_list() == kept
    assert decoded.trips["trip_id"].to_list() == [f"t{row}" for row in kept]
    assert_same(values, TripRules())


def test_a_batch_of_nothing_but_poison() -> None:
    """Where no message is a trip, each gets its own reason."""
    decoded = decode_trips(BROKEN, TripRules())
    assert decoded.trips.is_empty()
    assert decoded.rejected["error"].to_list() == [
        "tombstone",
        "not_json",
        "not_utf8",
        "not_json",
        "not_object",
        "missing_field",
        "wrong_type",
        "not_finite",
        "not_finite",
        "negative",
        "too_large",
        "bad_time",
        "bad_id",
        "bad_id",
        "bad_coordinates",
        *["not_json"] * 3,
    ]


@given(st.lists(st.floats(0, 1e9) | st.decimals(0, 10**9, places=9), min_size=1, max_size=200))
def test_amounts_are_read_to_the_last_bit(numbers: list[object]) -> None:
    """The columnar reader's doubles and micro-units are those of Python's json."""
    texts = [str(number).replace("E", "e") for number in numbers]
    line = '{{"start_time":0,"duration_min":{0},"distance_km":1,"price":2,"end_lat":1e-7}}'
    decoded = decode_trips([line.format(text).encode() for text in texts], TripRules())
    expected = [round(json.loads(text) * 1_000_000) for text in texts]
    assert decoded.trips["duration"].to_list() == expected


def test_a_pretty_printed_feed_is_read_whole() -> None:
    """JSON with line ends inside is as good as any."""
    value = json.dumps(json.loads(one_trip(1)), indent=2).encode()
    decoded = decode_trips([value] * 50, TripRules())
    assert decoded.trips.height == 50
    assert decoded.trips.select(pl.col("trip_id").n_unique()).item() == 1
