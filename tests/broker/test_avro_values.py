"""A frame holds the trip that the same values would be in plain JSON."""

import json
import subprocess
import sys
from ctypes import c_float
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.avro_schema import UnsupportedSchemaError, readable_schema
from broker.avro_values import Avro
from broker.schema_registry import RegisteredSchema
from mobility.trips import decode_trips, read_trip
from mobility.validation import Rejection, TripRules
from tests.frames import (
    CONNECT,
    NEWER,
    Schemas,
    as_frame,
    avro,
    fill,
    frame,
    odd_frames,
    representable,
    schema_of,
    trip_frames,
)
from tests.registry import Contents
from tests.strategies import NOON, good_messages, messages, odd_messages

MOST = 1 << 20


def reader(contents: Contents | None = None) -> Avro:
    """Return a format with the schemas of these tests, or others."""
    if contents is None:
        fill(contents := Contents())
    return Avro(Schemas(contents), MOST)


def decoded_json(schema: dict[str, Any], record: object) -> dict[str, Any]:
    """Return the object that a record becomes."""
    contents = Contents()
    contents.add(5, schema)
    found: dict[str, Any] = json.loads(reader(contents).object_of(frame(5, avro(schema, record))))
    return found


@given(st.lists(good_messages | odd_messages | messages, max_size=15))
def test_a_trip_is_what_it_would_be_in_plain_json(drawn: list[bytes | None]) -> None:
    """The same numbers, or the same reason: of every object of scalars."""
    contents = Contents()
    records = [each for each in map(representable, drawn) if each is not None]
    frames = [as_frame(number, record, contents) for number, record in enumerate(records)]
    decoded = decode_trips(frames, TripRules(), reader(contents))
    expected = decode_trips([json.dumps(record).encode() for record in records], TripRules())
    assert decoded.trips.to_dicts() == expected.trips.to_dicts()
    reasons = [(row, reason) for row, reason, _ in decoded.rejected.rows()]
    assert reasons == [(row, reason) for row, reason, _ in expected.rejected.rows()]


@given(st.lists(trip_frames | odd_frames | st.none(), max_size=12))
def test_a_batch_is_read_as_its_frames_one_by_one(values: list[bytes | None]) -> None:
    """Schemas follow one another, and what can't be read is rejected by itself."""
    form, rules = reader(), TripRules()
    decoded = decode_trips(values, rules, form)
    found, rejected = [], []
    for row, value in enumerate(values):
        try:
            found.append({"row": row, **read_trip(value, rules, form)[1]})
        except Rejection as rejection:
            rejected.append((row, str(rejection.reason), rejection.detail))
    assert repr(decoded.trips.to_dicts()) == repr(found)
    assert decoded.rejected.rows() == rejected


def test_logical_types_become_what_json_has_for_them() -> None:
    """Times in ms or as text, decimals as numbers with all their digits, ids as text."""
    moment = datetime(2025, 1, 1, 12, 0, 0, 123_456, UTC)
    record: dict[str, Any] = {
        "trip_id": "t",
        "driver_id": None,
        "vehicle_type": "bike",
        "start_location_id": -7,
        "start_lat": 41.15,
        "start_time": moment,
        "end_time": moment,
        "duration_min": 12.35,
        "distance_km": 0.1,
        "price": Decimal("12.50"),
        "paid_at": NOON * 1_000_000 + 1,
        "tags": ["a", "b"],
        "payment": {"method": "card", "key": b"\xff\x00"},
    }
    assert decoded_json(CONNECT, record) == {
        "trip_id": "t",
        "driver_id": None,
        "vehicle_type": "bike",
        "start_location_id": -7,
        "start_lat": 41.15,
        "start_time": NOON + 123,
        "end_time": "2025-01-01T12:00:00.123456Z",
        "duration_min": 12.35,
        "distance_km": 0.1,
        "price": 12.5,
        "paid_at": "2025-01-01T12:00:00.000000001Z",
        "tags": ["a", "b"],
        "payment": {"method": "card", "key": "/wA="},
    }
    uuid = UUID("12345678-1234-5678-1234-567812345678")
    record = {
        "start_time": NOON * 1_000_000,
        **dict.fromkeys(("duration_min", "distance_km", "price"), 1.0),
        "trip_id": str(uuid),
        "passenger_id": uuid.bytes,
        "start_location_id": Decimal(-70_000),
        "counts": {"a": 1},
    }
    found = decoded_json(NEWER, record)
    assert found["start_time"] == "2025-01-01T12:00:00.000000000Z"
    assert (found["trip_id"], found["passenger_id"]) == (str(uuid), str(uuid))
    assert found["start_location_id"] == -70_000


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ({"type": "long", "logicalType": "timestamp-micros"}, -1, "1969-12-31T23:59:59.999999Z"),
        ({"type": "long", "logicalType": "timestamp-micros"}, 2**62, 2**62 // 1_000),
        ({"type": "long", "logicalType": "timestamp-nanos"}, -1, "1969-12-31T23:59:59.999999999Z"),
        ({"type": "long", "logicalType": "unknown"}, 5, 5),
        ({"type": "int", "logicalType": "date"}, 5, 5),
        ({"type": "bytes", "logicalType": "decimal", "precision": 1, "scale": 2}, b"\x05", "BQ=="),
        ({"type": "bytes", "logicalType": "decimal"}, b"\x05", "BQ=="),
        ({"type": "string", "logicalType": "uuid"}, "no uuid", "no uuid"),
        ({"type": {"type": "float"}}, 0.1, 0.1),
        (
            ["null", {"type": "array", "items": ["float", "null"]}],
            [16_777_216.0, None],
            [2**24, None],
        ),
    ],
)
def test_other_values(kind: object, value: object, expected: object) -> None:
    """Years beyond ISO 8601 are numbers, and a logical type that does not fit is ignored."""
    raw = "float" if value == 0.1 else json.loads(json.dumps(kind).replace("logicalType", "x"))
    contents = Contents()
    contents.add(5, schema_of(("field", kind)))
    body = avro(schema_of(("field", raw)), {"field": value})
    assert json.loads(reader(contents).object_of(frame(5, body))) == {"field": expected}


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_float_has_the_shortest_digits_that_tell_it_from_others(value: float) -> None:
    """As a program writes it in JSON that has a float of 32 bits."""
    found = decoded_json(schema_of(("field", "float")), {"field": value})["field"]
    shorter = (float(f"{value:.{digits}g}") for digits in range(1, 10))
    assert found == next(each for each in shorter if c_float(each).value == value)


@given(st.decimals(places=9, min_value=-(10**30), max_value=10**30))
def test_a_decimal_keeps_all_its_digits(value: Decimal) -> None:
    """It is a number in the text, which is read as the nearest double."""
    kind = {"type": "bytes", "logicalType": "decimal", "precision": 40, "scale": 9}
    schema = schema_of(("price", kind))
    contents = Contents()
    contents.add(5, schema)
    with localcontext(prec=60):
        unscaled = int(value.scaleb(9))
    body = avro(
        schema_of(("price", "bytes")),
        {"price": unscaled.to_bytes(unscaled.bit_length() // 8 + 1, signed=True)},
    )
    text = reader(contents).object_of(frame(5, body)).decode()
    assert Decimal(text.removeprefix('{"price":').removesuffix("}")) == value


@pytest.mark.parametrize(
    ("value", "reason", "told"),
    [
        (b"", "not_frame", "a zero"),
        (b"\x00\x00\x00\x01", "not_frame", "a zero"),
        (b'{"price":1}', "not_frame", "a trip in plain JSON, which MOBILITY_VALUE=json reads"),
        (b"\x01\x00\x00\x00\x01\x00", "not_frame", "a zero"),
        (frame(9_999, b"\x00"), "unknown_schema", "schema id 9999 is not in the registry"),
        (frame(1, b""), "not_avro", "not of schema id 1"),
        (frame(1, b"\x02\xff"), "not_avro", "not of schema id 1"),
        (frame(3, b"\x00" * 60), "not_avro", "34 bytes are left over"),
        (frame(100, b"\x02a"), "unsupported_schema", "schema id 100: it is no record"),
        (frame(101, b"\x02a"), "unsupported_schema", "it can't be parsed"),
        (frame(102, b"\x02" * 5_000), "unsupported_schema", "town.Trip contains itself"),
        (frame(103, b"\xfe" * 5 + b"\x01"), "unsupported_schema", "items without any bytes"),
        (frame(104, b"\x00"), "unsupported_schema", "items without any bytes"),
        (frame(105, b"\x00"), "unsupported_schema", "town.Trip contains itself"),
        (frame(106, b"\x00"), "unsupported_schema", "it can't be parsed"),
        (frame(107, b"\x00"), "unsupported_schema", "items without any bytes"),
        (frame(120, b"\x00"), "unsupported_schema", "over 100 levels"),
        (frame(121, b"\x00"), "unsupported_schema", "PROTOBUF, read are AVRO and JSON"),
        (frame(122, b"{"), "not_json", "Expecting"),
        (frame(122, b"{}"), "missing_field", "start_time is missing"),
    ],
)
def test_what_is_no_trip_says_why(value: bytes, reason: str, told: str) -> None:
    """By a reason for programs and a detail for people."""
    _, error, detail = decode_trips([value], TripRules(), reader()).rejected.row(0)
    assert error == reason
    assert told in detail


def test_json_in_a_frame_is_read() -> None:
    """As the serializer for JSON Schema writes it."""
    trip = {"start_time": NOON, "duration_min": 1, "distance_km": 1, "price": 5}
    decoded = decode_trips([frame(122, json.dumps(trip).encode())], TripRules(), reader())
    assert decoded.trips["revenue"].to_list() == [5_000_000]


def test_a_trip_that_is_too_large_as_json_is_not_copied() -> None:
    """Enriched, it has to fit into a message again."""
    names = [f"a_long_name_of_a_field_without_a_value_{number}" for number in range(100)]
    item = schema_of(("x", "boolean"), *((name, "null") for name in names), name="Item")
    schema = schema_of(("items", {"type": "array", "items": item}))
    contents = Contents()
    contents.add(5, schema)
    value = frame(5, avro(schema, {"items": [{"x": True} | dict.fromkeys(names)] * 500}))
    assert len(value) < 600
    _, reason, detail = decode_trips([value], TripRules(), reader(contents)).rejected.row(0)
    assert reason == "oversized"
    assert "bytes as JSON, over the 1048576 allowed; schema id 5" in detail


def test_a_schema_that_contains_itself_would_end_the_process() -> None:
    """Why such schemas are refused: fastavro follows a message until the stack is full."""
    program = (
        "import io, fastavro\n"
        "s = fastavro.parse_schema({'type':'record','name':'L',"
        "'fields':[{'name':'next','type':['null','L']}]})\n"
        "fastavro.schemaless_reader(io.BytesIO(b'\\x02' * 10**6), s, None)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode < 0


def test_a_schema_may_refer_to_others() -> None:
    """They are known by their full names."""
    inner = json.dumps(schema_of(("method", "float"), name="Payment"))
    outer = json.dumps(schema_of(("payment", "town.Payment"), ("other", ["null", "Payment"])))
    schema = readable_schema(RegisteredSchema(1, "AVRO", outer, (inner,)))
    assert schema["fields"][0]["type"] == "town.Payment"
    with pytest.raises(UnsupportedSchemaError, match="Payment"):
        readable_schema(RegisteredSchema(1, "AVRO", outer))
