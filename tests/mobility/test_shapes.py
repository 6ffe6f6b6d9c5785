"""A rejected message of another shape says what it is; its reason stays."""

import json

import pytest

from mobility.trips import decode_trips
from mobility.validation import TripRules

TRIP = {"start_time": 1_735_732_800_000, "duration_min": 5, "distance_km": 2, "price": 9}
EVENT = {"before": None, "after": TRIP, "source": {"name": "db"}, "op": "c", "ts_ms": 1}
SCHEMA = {"type": "struct", "fields": [], "optional": False}


def wrapped(payload: object) -> bytes:
    """Return a message as the JsonConverter with schemas writes it."""
    return json.dumps({"schema": SCHEMA, "payload": payload}).encode()


@pytest.mark.parametrize(
    ("value", "reason", "shape"),
    [
        (b"\x00\x00\x00\x00\x07\x02\xff\x04", "not_utf8", "schema id 7, then binary data"),
        (b"\x00\x00\x00\x00\x07\x02\x06abc", "not_json", "schema id 7, then binary data"),
        (b"\x00\x00\x00\x00\x07" + json.dumps(TRIP).encode(), "not_json", "7, then JSON"),
        (wrapped(TRIP), "missing_field", "an envelope of Kafka Connect"),
        (wrapped(None), "missing_field", "an envelope of Kafka Connect"),
        (wrapped(EVENT), "missing_field", "Debezium, with its schema"),
        (json.dumps(EVENT).encode(), "missing_field", "a change event of Debezium"),
        (json.dumps({"before": TRIP, "op": "d"}).encode(), "missing_field", "of Debezium"),
    ],
)
def test_the_detail_says_what_it_is(value: bytes, reason: str, shape: str) -> None:
    """Behind what is wrong by the rules for JSON."""
    _, error, detail = decode_trips([value], TripRules()).rejected.row(0)
    assert error == reason
    assert shape in detail.split("; this ")[1]


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\x00",
        b"\x00\x00\x00\x00\x07",
        b"{}",
        b"[]",
        b"{" * 3_000,
        b'{"deep":' * 3_000,
        json.dumps({"op": "c", "price": 5}).encode(),
        json.dumps({"payload": TRIP}).encode(),
        json.dumps(TRIP | {"price": -1, "op": "c", "after": 1}).encode(),
    ],
)
def test_other_messages_keep_their_detail(value: bytes | None) -> None:
    """What is wrong with them is not their shape."""
    assert "; this " not in decode_trips([value], TripRules()).rejected["detail"].item()
