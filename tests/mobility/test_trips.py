"""The columnar decoder says of every message what `validate` says."""

import itertools
import json
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobility import json_columns, trips
from mobility.trips import REJECTED_SCHEMA, TRIP_SCHEMA, decode_trips, read_trip
from mobility.validation import Rejection, TripRules, validate
from mobility.values import JSON, ValueFormat
from tests.odd import nested, pretty, with_member
from tests.strategies import good_messages, messages, odd_messages

RULES = st.builds(
    TripRules,
    st.sampled_from(("start", "end")),
    st.booleans(),
    st.sampled_from((0, 200, 1 << 20)),
    st.sampled_from((1, 2, 3)),
)


def one_by_one(
    values: Sequence[bytes | None], rules: TripRules
) -> tuple[list[dict[str, Any]], list[tuple[int, str, str]]]:
    """Return the trips and rejections of single messages."""
    found, rejected = [], []
    for row, value in enumerate(values):
        try:
            found.append({"row": row, **read_trip(value, rules, JSON)[1]})
        except Rejection as rejection:
            rejected.append((row, str(rejection.reason), rejection.detail))
    return found, rejected


def assert_same(values: Sequence[bytes | None], rules: TripRules) -> None:
    """Assert that the columnar decoder finds what `validate` finds."""
    decoded = decode_trips(values, rules)
    expected, rejected = one_by_one(values, rules)
    assert decoded.trips.schema == TRIP_SCHEMA
    assert decoded.rejected.schema == REJECTED_SCHEMA
    # By text, so that a zero's sign and a float's last bit count.
    assert repr(decoded.trips.to_dicts()) == repr(expected)
    assert decoded.rejected.rows() == rejected


@given(st.lists(messages, max_size=12), RULES)
def test_a_batch_is_decoded_as_its_messages_one_by_one(
    values: list[bytes | None], rules: TripRules
) -> None:
    """Trips, reasons and order are those of `validate`, whatever stands beside a message."""
    assert_same(values, rules)


@given(st.lists(good_messages, min_size=20, max_size=40), st.lists(messages, max_size=4))
def test_the_fast_path_is_taken_and_agrees(good: list[bytes], doubtful: list[bytes | None]) -> None:
    """Batches that Polars must split agree with `validate` as well."""
    assert_same([*good, *doubtful, *good], TripRules())


@given(
    st.lists(good_messages, min_size=30, max_size=60),
    st.lists(odd_messages | messages, max_size=12),
    RULES,
    st.randoms(),
)
def test_odd_messages_among_others(
    good: list[bytes], odd: list[bytes | None], rules: TripRules, order: Random
) -> None:
    """In chunks that Polars reads and chunks that it refuses, each message is judged by itself."""
    values = [*good, *odd]
    order.shuffle(values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_columns, "_CHUNK", 20)
        patch.setattr(json_columns, "_FEWEST", 2)
        assert_same(values, rules)


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
    one_trip(0, duration_min=None),
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


def test_a_trip_without_a_distance_or_a_price_is_read_in_columns() -> None:
    """It is a trip without them, whether the field is null or missing, beside others with them."""
    values = [
        one_trip(0),
        one_trip(1, price=None),
        one_trip(2, distance_km=None),
        b'{"start_time":1735732800000,"duration_min":1}',
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trips, "read_trip", None)  # columns do without it
        found = decode_trips(values, TripRules()).trips
    assert found["distance"].to_list() == [2_500_000, 2_500_000, None, None]
    assert found["revenue"].to_list() == [100_000, None, 2_100_000, None]
    assert decode_trips(values, TripRules(version=2)).rejected.rows() == [
        (1, "missing_field", "price is missing"),
        (2, "missing_field", "distance_km is missing"),
        (3, "missing_field", "distance_km is missing"),
    ]


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


def with_time(text: str) -> bytes:
    """Return a trip's message whose start is written so."""
    return one_trip(1, start_time=f"2025-01-01T12:00:00{text}")


@pytest.mark.parametrize(
    "value",
    [
        with_member('"payment":{"method":"card","lines":[1,{}]}')(one_trip(1)),
        with_member(f'"trace":[{"[1,2]," * 900}[]]')(one_trip(1)),
        with_member(nested(500))(one_trip(1)),
        with_time(".1234567Z"),
        with_time(".123456789+02:00"),
        with_time(".123+0000"),
        one_trip(1, start_time="2025-01-01 12:00:00.5"),
        one_trip(1, start_time="2025-01-01T12:00Z"),
        one_trip(1, start_time=1735732800000.5),
        pretty(one_trip(1)),
        one_trip(1) + b"\r\n",
        one_trip(1, driver_id='é"\\🚕', note="\u2028"),
        one_trip(1).replace(b'"d1"', '"\u0639\u200c\u0631\u00a0"'.encode()),
        one_trip(1, start_location_id=2**63),
        with_member('"user_id":5,"payment_type":1,"gps_lat":"1"')(one_trip(1)),
    ],
)
def test_odd_trips_are_read_by_columns(value: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A feed of them alone is read without a look at any single message, and rightly."""
    expected = validate(value, TripRules())
    monkeypatch.setattr(trips, "read_trip", None)
    decoded = decode_trips([value] * 50, TripRules())
    assert decoded.trips.drop("row").to_dicts() == [expected] * 50


def test_objects_with_very_many_keys_are_not_for_polars(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where keys are equal it takes a time that grows with the square of their number."""
    many = with_member(",".join(['"x":1'] * 5_001))(one_trip(1, driver_id="first"))
    few = with_member(",".join(['"x" : 1'] * 4_000))(one_trip(2, note='":' * 900))
    assert_same([many, few, one_trip(3), with_member('"driver_id":"7"')(many)], TripRules())
    parsed = []
    monkeypatch.setattr(json_columns, "_parsed", lambda lines, _count: parsed.append(lines))
    json_columns._read([many, few], 1 << 20)
    assert parsed[0] == b"{}\n" + few


def test_one_message_that_is_not_json_leaves_the_others_to_the_columns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A chunk that Polars refuses costs the faulty messages a look, and no others."""
    looked_at = []

    def look(
        value: bytes | None, rules: TripRules, form: ValueFormat
    ) -> tuple[bytes, dict[str, Any]]:
        looked_at.append(value)
        return read_trip(value, rules, form)

    monkeypatch.setattr(trips, "read_trip", look)
    values = [one_trip(number) for number in range(6_000)]
    faulty = [one_trip(0)[:-1], b"\xff", one_trip(0, price=float("nan")), b"", b"[]"]
    faulty += [with_member('"x":1e400')(one_trip(0)), with_member(nested(501))(one_trip(0))]
    values[100:100] = faulty
    assert decode_trips(values, TripRules()).trips.height == 6_001
    assert looked_at == faulty
