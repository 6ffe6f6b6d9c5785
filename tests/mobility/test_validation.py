"""The rules for a trip, message by message."""

import json
from typing import Any

import polars as pl
import pytest
from hypothesis import given

from mobility.id_characters import DISALLOWED_PATTERN, has_disallowed
from mobility.records import MAX_EVENT_TIME, MAX_NESTING, RulesVersion
from mobility.validation import Rejection, TripRules, validate
from tests.odd import nested, with_member
from tests.strategies import NOON, trips

RULES = TripRules()
TRIP = {
    "start_time": "2025-01-01T12:00:00Z",
    "duration_min": 10,
    "distance_km": 2.5,
    "price": 7.25,
}


def value(**fields: object) -> bytes:
    """Return a trip's message, the fields replaced."""
    return json.dumps(TRIP | fields).encode()


def levels(number: int) -> bytes:
    """Return a trip's message that is so many levels deep."""
    return with_member(nested(number))(value())


def reason(message: bytes | None, rules: TripRules = RULES) -> str:
    """Return why a message is rejected."""
    with pytest.raises(Rejection) as caught:
        validate(message, rules)
    assert caught.value.detail
    return caught.value.reason


def test_a_trip_has_these_columns() -> None:
    """Amounts are micro-units, times epoch ms, what is missing is None."""
    assert validate(value(trip_id="t", start_location_id=7, start_lat=1), RULES) == {
        "trip_id": "t",
        "driver_id": None,
        "passenger_id": None,
        "vehicle_type": None,
        "start_location": "7",
        "start_lat": 1.0,
        "start_lng": None,
        "start_time": NOON,
        "event_time": NOON,
        "duration": 10_000_000,
        "distance": 2_500_000,
        "revenue": 7_250_000,
    }


@given(trips)
def test_what_the_rules_allow_is_accepted(trip: dict[str, Any]) -> None:
    """Every trip of the strategy is a trip: the strategy draws from the rules' whole domain."""
    found = validate(json.dumps(trip).encode(), RULES)
    assert found["driver_id"] == trip.get("driver_id")
    price = trip.get("price")
    assert found["revenue"] == (None if price is None else round(float(price) * 1_000_000))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (None, "tombstone"),
        (b"\xff", "not_utf8"),
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"\xef\xbb\xbf{}", "not_json"),
        (b"[" * 100_000, "not_json"),
        (value() + value(), "not_json"),
        (b"[]", "not_object"),
        (b"null", "not_object"),
        (b"{}", "missing_field"),
        (value(start_time=None), "missing_field"),
        (value(duration_min=None), "missing_field"),
        (value(price="7"), "wrong_type"),
        (value(price=True), "wrong_type"),
        (value(trip_id=1), "wrong_type"),
        (value(start_location_id=1.5), "wrong_type"),
        (value(start_location_id=True), "wrong_type"),
        (value(start_time=[]), "wrong_type"),
        (value(price=float("nan")), "not_finite"),
        (value(distance_km=float("-inf")), "not_finite"),
        (value(start_time=float("inf")), "not_finite"),
        (value(start_lat=10**400), "not_finite"),
        (value(duration_min=-1e-12), "negative"),
        (value(price=-1), "negative"),
        (value(price=1_000_000_000.1), "too_large"),
        (value(driver_id=""), "bad_id"),
        (value(driver_id="x" * 129), "bad_id"),
        (value(passenger_id="a\nb"), "bad_id"),
        (value(vehicle_type="a\x85b"), "bad_id"),
        (value(vehicle_type="\ufdd0"), "bad_id"),
        (value(end_location_id="\U0010ffff"), "bad_id"),
        (value(driver_id="\udc00"), "bad_id"),
        (value(start_location_id="\x7f"), "bad_id"),
        (value(trip_id="\ud800"), "bad_id"),
        (value(start_lat=90.0001), "bad_coordinates"),
        (value(end_lng=-180.0001), "bad_coordinates"),
        (value(start_time=""), "bad_time"),
        (value(start_time="2025-01-01"), "bad_time"),
        (value(start_time="1735732800000"), "bad_time"),
        (value(start_time="2025-01-01T12:00zZ"), "bad_time"),
        (value(start_time="2025-01-01T12:00:00Z\n"), "bad_time"),
        (value(start_time="9999-12-31T23:30:00-01:00"), "bad_time"),
        (levels(MAX_NESTING + 1), "not_json"),
        (value(end_time="never"), "bad_time"),
        (value(start_time=MAX_EVENT_TIME + 1), "bad_time"),
    ],
)
def test_each_fault_has_its_reason(message: bytes | None, expected: str) -> None:
    """A broken message is told by a reason for programs and a detail for people."""
    assert reason(message) == expected


@pytest.mark.parametrize(
    "name",
    [
        "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627",  # a name in Persian
        "👨\u200d👩\u200d👧",
        "Taxi\u00a0XL",
        "d\U0001fae8",
        "ﬁ",
        "e\u0301",
        "é",
        "\u200b",
    ],
)
def test_names_of_people_are_ids(name: str) -> None:
    """Joiners, spaces of other scripts, characters that are newer than this Python: as they are."""
    assert validate(value(driver_id=name), RULES)["driver_id"] == name


def test_columns_and_single_ids_refuse_the_same_characters() -> None:
    """Every character there is, but the halves of surrogate pairs, which no column can hold."""
    characters = [chr(code) for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF]
    by_column = pl.Series(characters).str.contains(DISALLOWED_PATTERN)
    assert by_column.to_list() == [has_disallowed(character) for character in characters]
    assert by_column.sum() == 65 + 66  # controls and noncharacters, by the tables of Unicode


def test_a_log_of_the_first_release_is_judged_as_it_was() -> None:
    """Version 1 follows the interpreter: what it prints, what its `datetime` takes."""
    first = TripRules(version=1)
    assert reason(value(driver_id="\u0639\u200c\u0631"), first) == "bad_id"
    odd_time = value(start_time="2025-01-01T12:00:00zZ")
    assert validate(odd_time, first)["start_time"] == NOON
    assert reason(odd_time) == "bad_time"
    assert reason(value(start_time="2025-01-01T12:00:00.5 +0000"), first) == "bad_time"
    assert validate(levels(MAX_NESTING + 1), first)["start_time"] == NOON


@pytest.mark.parametrize("field", ["distance_km", "price"])
@pytest.mark.parametrize("version", [1, 2])
def test_amounts_were_required_once(field: str, version: RulesVersion) -> None:
    """A log that was read by earlier rules has the same dead letters again."""
    assert reason(value(**{field: None}), TripRules(version=version)) == "missing_field"


def test_the_detail_of_an_endless_number_is_for_people() -> None:
    """Python reads no integer of more digits, and says so in words for programmers."""
    with pytest.raises(Rejection) as caught:
        validate(with_member(f'"x":{"9" * 4_301}')(value()), RULES)
    assert caught.value.reason == "not_json"
    assert caught.value.detail == "an integer has more than 4300 digits"
    for number in ("9" * 4_300, "0." + "9" * 9_000):
        assert validate(with_member(f'"x":{number}')(value()), RULES)["start_time"] == NOON


def test_brackets_are_no_levels() -> None:
    """Long arrays, and brackets in strings, are not deep; 500 levels are allowed."""
    for member in (f'"x":[{"[],{}," * 900}0]', f'"x":"{"[{" * 900}"', nested(MAX_NESTING)):
        assert validate(with_member(member)(value()), RULES)["start_time"] == NOON


def test_the_largest_that_is_allowed() -> None:
    """Bounds are inclusive: 128 characters, 10^9, the poles and the date line."""
    bounds = {"driver_id": "é" * 128, "price": 10**9, "start_lat": -90, "end_lng": 180.0}
    assert validate(value(**bounds), RULES)["revenue"] == 10**15


def test_refunds_only_by_setting() -> None:
    """A negative price is allowed by setting; a negative duration never is."""
    rules = TripRules(refunds=True)
    assert validate(value(price=-7.5), rules)["revenue"] == -7_500_000
    assert reason(value(duration_min=-1), rules) == "negative"
    assert reason(value(price=-1.1e9), rules) == "too_large"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"end_time": NOON + 5}, NOON + 5),
        ({}, NOON + 600_000),
        ({"end_time": None, "duration_min": 0.000025}, NOON + 2),
    ],
)
def test_event_time_may_be_the_end(fields: dict[str, object], expected: int) -> None:
    """By setting, event time is end_time, else start plus duration, rounded half to even."""
    found = validate(value(**fields), TripRules(event_time="end"))
    assert (found["start_time"], found["event_time"]) == (NOON, expected)


@pytest.mark.parametrize(
    ("amount", "micro"), [(0.5e-6, 0), (1.5e-6, 2), (2.5e-6, 2), (0.1, 100_000), (1 / 3, 333_333)]
)
def test_micro_units_round_half_to_even(amount: float, micro: int) -> None:
    """An amount is the nearest micro-unit, and the even one of two."""
    assert validate(value(price=amount), RULES)["revenue"] == micro


def test_of_equal_keys_the_first_counts() -> None:
    """RFC 8259 leaves it open; this is our rule, also where the second is of a wrong type."""
    text = value()[:-1] + b',"price":"free","price":1}'
    assert validate(text, RULES)["revenue"] == 7_250_000
