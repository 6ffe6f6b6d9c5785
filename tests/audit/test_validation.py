"""The validation of one message, rule by rule."""

import json
from collections.abc import Sequence
from typing import Any, Final

import polars as pl
import pytest

from audit.validation import LogMessage, _has_no_controls, validate_messages
from mobility.id_characters import has_disallowed
from mobility.settings import Settings

APPENDED: Final = 1_735_700_000_000
"""The append time of the messages: 2025-01-01T02:53:20Z."""

GOOD: Final = {
    "trip_id": "t1",
    "driver_id": "d1",
    "passenger_id": "p1",
    "start_location_id": 7,
    "end_location_id": "north",
    "start_lat": 41.15,
    "start_lng": -8.6,
    "start_time": "2025-01-01T00:00:00Z",
    "end_time": "2025-01-01T00:10:00Z",
    "duration_min": 10,
    "distance_km": 3.5,
    "price": 12.25,
}


def validate(
    value: bytes | None,
    settings: Settings | None = None,
    headers: Sequence[tuple[str, bytes | None]] = (),
) -> dict[str, Any]:
    """Validate one message; return its row."""
    message = LogMessage(0, 0, APPENDED, value, headers)
    return validate_messages([message], settings or Settings()).row(0, named=True)


def reason_of(changes: dict[str, object], settings: Settings | None = None) -> str | None:
    """Return the reason for the valid trip with some fields changed."""
    reason: str | None = validate(json.dumps(GOOD | changes).encode(), settings)["reason"]
    return reason


def raw(field: str, literal: str) -> bytes:
    """Return the valid trip with a field given as JSON text."""
    rest = {name: value for name, value in GOOD.items() if name != field}
    return f'{json.dumps(rest)[:-1]}, "{field}": {literal}}}'.encode()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "tombstone"),
        (b'{"price": "\xff"}', "not_utf8"),
        (b'{"trip_id": "\xed\xa0\x80"}', "not_utf8"),
        (b"", "not_json"),
        (b" \n", "not_json"),
        (b"{", "not_json"),
        (b"{} {}", "not_json"),
        (b"\xef\xbb\xbf{}", "not_json"),
        (b"[" * 100_000, "not_json"),
        (b"[]", "not_object"),
        (b"null", "not_object"),
        (b"NaN", "not_object"),
        (b"{}", "missing_field"),
    ],
)
def test_messages_that_are_not_trips(value: bytes | None, reason: str) -> None:
    """A message without a value, valid text, JSON, or fields has exactly this reason."""
    assert validate(value)["reason"] == reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        *[({name: None}, "missing_field") for name in ("start_time", "duration_min")],
        *[({name: 5}, "wrong_type") for name in ("trip_id", "driver_id", "passenger_id")],
        ({"vehicle_type": ["car"]}, "wrong_type"),
        *[({"start_location_id": value}, "wrong_type") for value in (True, 1.0, {"id": 1})],
        *[({"end_location_id": value}, "wrong_type") for value in (False, 2.5, [1])],
        *[({name: "1"}, "wrong_type") for name in ("duration_min", "distance_km", "price")],
        *[({name: True}, "wrong_type") for name in ("price", "start_lat", "end_lng")],
        *[({name: True}, "wrong_type") for name in ("start_time", "end_time")],
        ({"end_time": {}}, "wrong_type"),
        *[({"price": value}, "not_finite") for value in (float("nan"), float("inf"), 10**400)],
        *[({"start_lat": value}, "not_finite") for value in (float("nan"), -float("inf"))],
        *[({name: float("nan")}, "not_finite") for name in ("start_time", "end_time")],
        *[({name: -0.001}, "negative") for name in ("duration_min", "distance_km", "price")],
        *[({name: 1e9 + 1}, "too_large") for name in ("duration_min", "distance_km", "price")],
        *[
            ({"driver_id": value}, "bad_id")
            for value in ("", "x" * 129, "a\nb", "\x9f", "\ufdef", "\U0001ffff", "\ud800")
        ],
        *[({"passenger_id": value}, "bad_id") for value in ("", "\t")],
        ({"vehicle_type": ""}, "bad_id"),
        ({"start_location_id": ""}, "bad_id"),
        ({"end_location_id": "x" * 129}, "bad_id"),
        ({"start_location_id": 10**128}, "bad_id"),
        ({"trip_id": "\udfff"}, "bad_id"),
        *[({name: 90.001}, "bad_coordinates") for name in ("start_lat", "end_lat")],
        *[({name: -180.001}, "bad_coordinates") for name in ("start_lng", "end_lng")],
        *[
            ({"end_time": value}, "bad_time")
            for value in ("", "soon", "2025-01-01", 3e14, -(10**15))
        ],
    ],
)
def test_each_error_has_its_reason(changes: dict[str, object], reason: str) -> None:
    """One error in an otherwise valid trip gives exactly this reason."""
    assert reason_of(changes) == reason


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2025-01-01",
        "2025-01-01T",
        "20250101T000000",
        "2025-W01-1T00:00",
        "2025-01-01x00:00",
        "2025-01-01T25:00",
        "2025-02-29T00:00",
        "2025-01-01T00:00:60",
        "2025-01-01T00:00:00z",
        "2025-01-01T00:00zZ",
        "2025-01-01T00:00:00Z\n",
        "2025-01-01T00:00.5",
        "2025-01-01T00:00:00.",
        "2025-01-01T00:0000",
        "2025-01-01T00:00:00+24:00",
        "2025-01-01T00:00:00+05:3015",
        "0000-12-31T23:30:00-01:00",
        "2025-01-01T00:00:00 UTC",
        " 2025-01-01T00:00:00",
        "\uff12\uff10\uff12\uff15-01-01T00:00",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-00:01",
        "1735689600000",
        "\ud800",
    ],
)
def test_invalid_times(text: str) -> None:
    """Text without a full ISO 8601 date and time in the years 1 to 9999 is a bad time."""
    assert reason_of({"start_time": text}) == "bad_time"


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2025-01-01T00:00:00Z", 1_735_689_600_000),
        ("2025-01-01 00:00", 1_735_689_600_000),
        ("2025-01-01T00", 1_735_689_600_000),
        ("2025-01-01T0000", 1_735_689_600_000),
        ("2025-01-01T02:00:00+02:00", 1_735_689_600_000),
        ("2024-12-31T23:59:59.999999Z", 1_735_689_599_999),
        ("2025-01-01T00:00:00,5", 1_735_689_600_500),
        ("2025-01-01T00:00:00.1239999Z", 1_735_689_600_123),
        ("2025-01-01T00:00:00.123999999-0000", 1_735_689_600_123),
        ("2025-01-01 02:00:00.5 +0200", 1_735_689_600_500),
        ("2025-01-01T00:53:28+00:53:28", 1_735_689_600_000),
        ("1969-12-31T23:59:59.9999Z", -1),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000),
        (1_735_689_600_000, 1_735_689_600_000),
        (1_735_689_600_000.75, 1_735_689_600_000),
        (-0.5, -1),
    ],
)
def test_times_are_whole_milliseconds_rounded_down(time: object, expected: int) -> None:
    """Every accepted form gives epoch milliseconds in UTC, floored."""
    row = validate(json.dumps(GOOD | {"start_time": time}).encode())
    assert (row["reason"], row["start_time"]) == (None, expected)


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        ('"x":' + "[" * 499 + "]" * 499, None),
        ('"x":' + "[" * 500 + "]" * 500, "not_json"),
        ('"x":"' + "[" * 900 + '"', None),
        (r'"x":"\\","y":"\"' + "{" * 900 + '"', None),
        ('"x":[' + "[]," * 900 + "[]]", None),
    ],
)
def test_500_levels_are_allowed(member: str, reason: str | None) -> None:
    """Of objects and arrays; brackets in strings and side by side are no levels."""
    assert validate(f"{{{member},{json.dumps(GOOD)[1:]}".encode())["reason"] == reason


@pytest.mark.parametrize(
    ("changes", "first", "now"),
    [
        ({"driver_id": "\u200c"}, "bad_id", None),
        ({"driver_id": "\ue000"}, "bad_id", None),
        ({"driver_id": "\t"}, "bad_id", "bad_id"),
        ({"start_time": "2025-01-01T00:00:00zZ"}, None, "bad_time"),
        ({"start_time": "2025-01-01T00:00:00.5 +0000"}, "bad_time", None),
        ({"note": [[[[]]] * 300]}, None, None),
        *[({name: None}, "missing_field", None) for name in ("distance_km", "price")],
    ],
)
def test_a_log_of_the_first_release_is_judged_as_it_was(
    changes: dict[str, object], first: str | None, now: str | None
) -> None:
    """By version 1 ids are what Python prints, and times what its `datetime` takes.

    Each trip has a distance and a price.
    """
    message = LogMessage(0, 0, APPENDED, json.dumps(GOOD | changes).encode())
    assert validate_messages([message], Settings(), 1)["reason"].item() == first
    assert validate_messages([message], Settings())["reason"].item() == now


def test_it_refuses_the_characters_that_the_flow_refuses() -> None:
    """Written apart, both take the same of all that there are."""
    for code in (*range(0xD800), *range(0xE000, 0x110000)):
        assert _has_no_controls(chr(code)) != has_disallowed(chr(code))


@pytest.mark.parametrize(
    ("field", "literal", "reason"),
    [
        ("price", "1e999", "not_finite"),
        ("price", "NaN", "not_finite"),
        ("price", "-Infinity", "not_finite"),
        ("note", "NaN", None),
        ("note", '"\\ud800"', None),
        ("price", '"x", "price": 2', "wrong_type"),
        ("price", '2, "price": null', None),
        ("\\u0070rice", "2", None),
    ],
)
def test_json_is_parsed_as_python_does(field: str, literal: str, reason: str | None) -> None:
    """Literals are those that json.loads accepts; of equal keys the first one counts."""
    rest = {name: value for name, value in GOOD.items() if name != "price" or field == "note"}
    value = f'{json.dumps(rest)[:-1]}, "{field}": {literal}}}'.encode()
    assert validate(value)["reason"] == reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"duration_min": None, "trip_id": 5}, "missing_field"),
        ({"trip_id": 5, "distance_km": float("nan")}, "wrong_type"),
        ({"end_lng": float("nan"), "price": -1}, "not_finite"),
        ({"start_time": float("inf"), "price": -1}, "not_finite"),
        ({"duration_min": 2e9, "price": -1}, "negative"),
        ({"price": 2e9, "driver_id": ""}, "too_large"),
        ({"trip_id": "\ud800", "start_lat": 91}, "bad_id"),
        ({"end_location_id": "", "start_lat": 91}, "bad_id"),
        ({"start_lat": 91, "start_time": "x"}, "bad_coordinates"),
        ({"end_time": "x", "start_time": "2026-01-01T00:00:00Z"}, "bad_time"),
    ],
)
def test_the_first_of_several_errors_is_the_reason(changes: dict[str, object], reason: str) -> None:
    """Rules are checked in one order over all fields, not field by field."""
    assert reason_of(changes) == reason


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"end_time": None, "trip_id": None, "driver_id": None, "start_lat": None},
        {"trip_id": "", "driver_id": "x" * 128, "vehicle_type": "bike"},
        {"driver_id": "Zoë 🚲"},
        {
            "driver_id": "\u0639\u200c\u0631",
            "vehicle_type": "Taxi\u00a0XL",
            "passenger_id": "\u200b",
        },
        {"end_location_id": "\U0001fae8"},
        {"trip_id": "a\nb"},
        {"price": 1e9, "duration_min": 0, "distance_km": -0.0},
        {"start_lat": 90, "start_lng": -180, "end_lat": -90.0, "end_lng": 180},
        {"start_location_id": -5},
        {"unknown": {"anything": [1]}},
    ],
)
def test_values_at_the_limits_are_valid(changes: dict[str, object]) -> None:
    """Limits are inclusive, optional fields may be null, and unknown ones are ignored."""
    assert reason_of(changes) is None


def test_integer_locations_become_decimal_text() -> None:
    """An integer location id and its text are the same id."""
    row = validate(json.dumps(GOOD | {"end_location_id": "7"}).encode())
    assert row["start_location_id"] == row["end_location_id"] == "7"


@pytest.mark.parametrize(
    ("price", "reason"), [(-5, None), (-1e9, None), (-1e9 - 1, "too_large"), (1e9 + 1, "too_large")]
)
def test_refunds_are_negative_prices_by_setting(price: float, reason: str | None) -> None:
    """With refunds only a price may be negative, down to -10^9."""
    refunds = Settings(refunds=True)
    assert reason_of({"price": price}, refunds) == reason
    assert reason_of({"duration_min": -1}, refunds) == "negative"


@pytest.mark.parametrize(
    ("ahead_ms", "reason"), [(300_000, None), (300_001, "in_future"), (-(10**9), None)]
)
def test_a_trip_long_after_its_append_time_is_in_the_future(
    ahead_ms: int, reason: str | None
) -> None:
    """Event time may be after the message's Kafka timestamp by up to the tolerance."""
    assert reason_of({"start_time": APPENDED + ahead_ms}) == reason


def test_the_future_rule_uses_event_time() -> None:
    """With event time `end` the end must not be in the future, given or computed."""
    end = Settings(event_time="end")
    later: dict[str, object] = {"start_time": APPENDED, "end_time": None, "duration_min": 6}
    assert reason_of(later, end) == "in_future"
    assert reason_of(later | {"end_time": APPENDED}, end) is None
    assert reason_of(later | {"start_time": APPENDED + 10**7, "end_time": APPENDED}, end) is None


@pytest.mark.parametrize(
    ("header", "watermark", "reason"),
    [
        (b"1735689600000", 1_735_689_600_000, None),
        (b"-1", -1, None),
        (str(APPENDED + 300_000).encode(), APPENDED + 300_000, None),
        (str(APPENDED + 300_001).encode(), APPENDED + 300_001, "in_future"),
        (b"9" * 5_000, 253_402_300_800_000, "in_future"),
        (b"-" + b"9" * 5_000, -62_135_596_800_001, None),
        (b"", None, "tombstone"),
        (b"-", None, "tombstone"),
        (b"1.5", None, "tombstone"),
        (b"+5", None, "tombstone"),
        (b" 5", None, "tombstone"),
        ("\u0665".encode(), None, "tombstone"),
        (None, None, "tombstone"),
    ],
)
def test_punctuations(header: bytes | None, watermark: int | None, reason: str | None) -> None:
    """A null value with a decimal `watermark` is a punctuation; any other null is a tombstone."""
    row = validate(None, headers=[("other", b"1"), ("watermark", header)])
    assert (row["watermark"], row["reason"]) == (watermark, reason)


def test_a_value_with_a_watermark_header_is_a_trip() -> None:
    """Only messages without a value are punctuations."""
    row = validate(json.dumps(GOOD).encode(), headers=[("watermark", b"5")])
    assert (row["reason"], row["watermark"], row["price"]) == (None, None, 12.25)


def test_a_dead_letter_keeps_its_valid_fields() -> None:
    """They are compared with the file; fields of a wrong type are null."""
    row = validate(json.dumps(GOOD | {"price": None, "driver_id": 5}).encode())
    assert (row["trip_id"], row["driver_id"], row["price"]) == ("t1", None, None)
    assert row["start_location_id"] == "7"


def test_each_message_of_a_batch_is_validated_by_itself() -> None:
    """A batch with every kind of error has one row per message, in order."""
    good = json.dumps(GOOD).encode()
    values = [good, None, b"\xff", good, raw("driver_id", '"\\ud800"'), raw("price", "1e999"), good]
    rows = validate_messages(
        [LogMessage(0, n, APPENDED, v) for n, v in enumerate(values)], Settings()
    )
    assert rows["offset"].to_list() == list(range(7))
    assert rows["reason"].to_list() == [
        None,
        "tombstone",
        "not_utf8",
        None,
        "bad_id",
        "not_finite",
        None,
    ]
    assert rows.filter(pl.col("reason").is_null())["price"].to_list() == [12.25] * 3


def test_size_is_checked_first() -> None:
    """A message over the limit is oversized, whatever its content, and is not parsed."""
    settings = Settings(max_message_bytes=100)
    assert validate(b"\xff" * 101, settings)["reason"] == "oversized"
    assert validate(b"\xff" * 100, settings)["reason"] == "not_utf8"
    row = validate(json.dumps(GOOD).encode(), settings)
    assert (row["reason"], row["trip_id"]) == ("oversized", None)
