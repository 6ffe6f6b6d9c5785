"""Schemas of Avro, and frames of a schema registry that hold trips."""

import io
import json
from decimal import Decimal
from typing import Any, Final

from fastavro import schemaless_writer
from hypothesis import strategies as st

from broker.schema_registry import RegisteredSchema
from tests.registry import Contents

Record = dict[str, Any]


def frame(number: int, body: bytes) -> bytes:
    """Return a body in Confluent's wire format."""
    return b"\x00" + number.to_bytes(4) + body


def avro(schema: Any, record: object) -> bytes:  # noqa: ANN401 - JSON
    """Return a value as a program of the field writes it."""
    stream = io.BytesIO()
    schemaless_writer(stream, schema, record)
    return stream.getvalue()


def schema_of(*fields: tuple[str, object], name: str = "Trip") -> Record:
    """Return the schema of a record."""
    return {
        "type": "record",
        "name": name,
        "namespace": "town",
        "fields": [{"name": field, "type": kind} for field, kind in fields],
    }


ANY: Final = ["null", "boolean", "long", "double", "string"]
"""What a scalar of JSON is."""

_LONGEST: Final = 2**63


def representable(message: bytes | None) -> Record | None:
    """Return the members of an object, if each is a scalar that Avro has; else None."""
    try:
        record = json.loads((message or b"").decode())
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    kept = {}
    for name, value in record.items():
        if isinstance(value, list | dict) or not name.isidentifier() or not name.isascii():
            return None
        if isinstance(value, int) and not -_LONGEST <= value < _LONGEST:
            return None
        try:
            str(value).encode()
        except UnicodeEncodeError:
            return None
        kept[name] = value
    return kept


def as_frame(number: int, record: Record, contents: Contents) -> bytes:
    """Return a frame of a record of scalars, by a schema that is registered for it."""
    schema = schema_of(*((name, ANY) for name in record))
    contents.add(number, schema)
    return frame(number, avro(schema, record))


class Schemas:
    """The schemas of some contents, without a server."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    def schema(self, number: int) -> RegisteredSchema | None:
        """Return a schema without references."""
        found = self._contents.schemas.get(number)
        if found is None:
            return None
        return RegisteredSchema(number, found.get("schemaType", "AVRO"), found["schema"])


_AMOUNTS: Final = (("duration_min", "double"), ("distance_km", "double"), ("price", "double"))

CONNECT: Final = schema_of(
    ("trip_id", ["null", "string"]),
    ("driver_id", ["null", {"type": "string", "connect.name": "x"}]),
    ("vehicle_type", {"type": "enum", "name": "Vehicle", "symbols": ["car", "bike"]}),
    ("start_location_id", ["null", "int"]),
    ("start_lat", ["null", "float"]),
    (
        "start_time",
        {
            "type": "long",
            "connect.name": "org.apache.kafka.connect.data.Timestamp",
            "logicalType": "timestamp-millis",
        },
    ),
    ("end_time", ["null", {"type": "long", "logicalType": "timestamp-micros"}]),
    ("duration_min", "float"),
    ("distance_km", ["double", "null"]),
    ("price", {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}),
    ("paid_at", ["null", {"type": "long", "logicalType": "timestamp-nanos"}]),
    ("tags", {"type": "array", "items": "string"}),
    ("payment", ["null", schema_of(("method", "string"), ("key", "bytes"), name="Payment")]),
)

NEWER: Final = schema_of(
    ("start_time", {"type": "long", "logicalType": "local-timestamp-nanos"}),
    *_AMOUNTS,
    ("trip_id", {"type": "string", "logicalType": "uuid"}),
    ("passenger_id", [{"type": "fixed", "name": "Id", "size": 16, "logicalType": "uuid"}, "null"]),
    (
        "start_location_id",
        {
            "type": "fixed",
            "name": "Place",
            "size": 3,
            "logicalType": "decimal",
            "precision": 6,
            "scale": 0,
        },
    ),
    ("counts", {"type": "map", "values": "long"}),
)

DEBEZIUM: Final = schema_of(
    ("start_time", {"type": "long", "connect.name": "io.debezium.time.MicroTimestamp"}),
    ("end_time", ["null", {"type": "long", "connect.name": "io.debezium.time.NanoTimestamp"}]),
    *_AMOUNTS,
)

_ODD: Final[dict[int, object]] = {
    100: '"string"',
    101: "{",
    102: schema_of(("next", ["null", "town.Trip"])),
    103: schema_of(("nulls", {"type": "array", "items": "null"}), *_AMOUNTS),
    104: schema_of(
        ("empty", {"type": "array", "items": {"type": "record", "name": "E", "fields": []}})
    ),
    105: schema_of(("inner", {"type": "array", "items": "town.Trip"})),
    106: schema_of(("start_time", "town.Missing")),
    107: schema_of(
        ("nothing", {"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}})
    ),
    108: schema_of(
        ("price", {"type": "bytes", "logicalType": "decimal", "precision": 1, "scale": 2})
    ),
}


def fill(contents: Contents) -> None:
    """Register all schemas: 1 to 3 are of trips, the others can't be read by or have no trip."""
    for number, schema in ({1: CONNECT, 2: NEWER, 3: DEBEZIUM} | _ODD).items():
        contents.add(number, schema)
    deep: object = "string"
    for level in range(150):
        deep = {"type": "map", "values": deep} if level % 2 else {"type": "array", "items": deep}
    contents.add(120, schema_of(("deep", deep)))
    contents.add(121, 'syntax = "proto3";', schemaType="PROTOBUF")
    contents.add(122, '{"type":"object"}', schemaType="JSON")


_millis = st.integers(-(10**14), 3 * 10**14)
_amounts = st.floats(0, 1e9) | st.floats(-1, 2e9) | st.sampled_from((float("nan"), float("inf")))
_singles = st.floats(0, 1e9, width=32) | st.floats(width=32)

_connect = st.fixed_dictionaries(
    {
        "trip_id": st.none() | st.text(max_size=5),
        "driver_id": st.none() | st.sampled_from(("d1", "", "a\tb", "é🚕")),
        "vehicle_type": st.sampled_from(("car", "bike")),
        "start_location_id": st.none() | st.integers(-(2**31), 2**31 - 1),
        "start_lat": st.none() | st.floats(-90, 90, width=32) | _singles,
        "start_time": _millis,
        "end_time": st.none() | st.integers(-(10**17), 10**18),
        "duration_min": _singles,
        "distance_km": st.none() | _amounts,
        "price": st.decimals(0, 10**9, places=2) | st.decimals(-5, 5, places=2),
        "paid_at": st.none() | st.integers(-(2**63), 2**63 - 1),
        "tags": st.lists(st.text(max_size=3), max_size=3),
        "payment": st.none()
        | st.fixed_dictionaries({"method": st.text(max_size=3), "key": st.binary(max_size=4)}),
    }
)

_newer = st.fixed_dictionaries(
    {
        "start_time": st.integers(-(2**62), 2**62),
        "duration_min": _amounts,
        "distance_km": _amounts,
        "price": _amounts,
        "trip_id": st.text(max_size=5),
        "passenger_id": st.none() | st.binary(min_size=16, max_size=16),
        "start_location_id": st.integers(-99_999, 99_999).map(Decimal),
        "counts": st.dictionaries(st.text(max_size=3), st.integers(-5, 5), max_size=3),
    }
)

_debezium = st.fixed_dictionaries(
    {
        "start_time": st.integers(0, 2 * 10**15),
        "end_time": st.none() | st.integers(0, 2 * 10**18),
        "duration_min": _amounts,
        "distance_km": _amounts,
        "price": _amounts,
    }
)


def _raw(schema: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a schema without logical types but decimals: values are written as they are."""
    if isinstance(schema, list):
        return [_raw(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("logicalType") == "decimal":
        return schema
    return {
        name: _raw(value) if name in {"type", "items", "values"} else value
        for name, value in schema.items()
        if name not in {"logicalType", "fields"}
    } | (
        {"fields": [{**each, "type": _raw(each["type"])} for each in schema["fields"]]}
        if "fields" in schema
        else {}
    )


def _frames(
    number: int, schema: Record, records: st.SearchStrategy[Record]
) -> st.SearchStrategy[bytes]:
    raw = _raw(schema)
    return records.map(lambda record: frame(number, avro(raw, record)))


trip_frames: st.SearchStrategy[bytes] = st.one_of(
    _frames(1, CONNECT, _connect), _frames(2, NEWER, _newer), _frames(3, DEBEZIUM, _debezium)
)
"""Frames of the trips of schemas 1 to 3, some of which have values that no trip has."""


@st.composite
def _spoilt(draw: st.DrawFn) -> bytes:
    good = draw(trip_frames)
    at = draw(st.integers(0, len(good) - 1))
    return draw(
        st.sampled_from(
            (
                good[:at],
                good + b"\x00",
                good[:at] + bytes([draw(st.integers(0, 255))]) + good[at + 1 :],
                good[5:],
            )
        )
    )


odd_frames: st.SearchStrategy[bytes] = st.one_of(
    _spoilt(),
    st.builds(frame, st.sampled_from((*_ODD, 120, 121, 122, 9_999)), st.binary(max_size=12)),
    st.builds(frame, st.sampled_from((1, 2, 3)), st.binary(max_size=40)),
    st.binary(max_size=8),
)
"""What is no trip, of all kinds."""
