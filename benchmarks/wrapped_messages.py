"""Messages of each format (MOBILITY_VALUE) that hold the same trips."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from fastavro import schemaless_writer

from benchmarks.odd_messages import Trip, plain
from broker.avro_values import Avro
from broker.schema_registry import RegisteredSchema
from mobility.settings import Settings
from mobility.values import FORMATS, ValueFormat

Make = Callable[[Trip], bytes]

_MICRO: Final = Decimal("0.000001")


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


_SOURCE: Final = {
    "version": "3.1.0.Final",
    "connector": "postgresql",
    "name": "town",
    "ts_ms": 1_748_822_400_000,
    "snapshot": "false",
    "db": "trips",
    "sequence": '["24023119","24023128"]',
    "ts_us": 1_748_822_400_000_000,
    "ts_ns": 1_748_822_400_000_000_000,
    "schema": "public",
    "table": "trips",
    "txId": 555,
    "lsn": 24_023_128,
    "xmin": None,
}


def _event(after: bytes, before: bytes, operation: bytes) -> bytes:
    return b"".join(
        (
            *(b'{"before":', before, b',"after":', after, b',"source":', _compact(_SOURCE)),
            *(b',"transaction":null,"op":"', operation, b'","ts_ms":1748822400100}'),
        )
    )


def _created(trip: Trip) -> bytes:
    return _event(plain(trip), b"null", b"c")


def _updated(trip: Trip) -> bytes:
    return _event(plain(trip), plain(trip), b"u")


def _reordered(trip: Trip) -> bytes:
    return b'{"op":"c","after":' + plain(trip) + b',"before":null}'


def _connect_schema(trip: Trip) -> dict[str, Any]:
    kinds = {str: "string", int: "int64", float: "double"}
    fields = [
        {"type": kinds[type(value)], "optional": True, "field": name}
        for name, value in trip.items()
    ]
    return {"type": "struct", "fields": fields, "optional": False, "name": "town.trips.Value"}


def _in_schema(payload: Make, schemas: int) -> Make:
    """Wrap a payload in a schema; that of an event has the schema of the trip twice, and more."""

    def make(trip: Trip) -> bytes:
        schema = _connect_schema(trip)
        whole = schema if schemas == 1 else schema | {"fields": [schema] * schemas}
        return b'{"schema":' + _compact(whole) + b',"payload":' + payload(trip) + b"}"

    return make


_KINDS: Final = {str: "string", int: "long", float: "double"}


def _schema(trip: Trip, **others: object) -> dict[str, Any]:
    kinds = {name: ["null", _KINDS[type(value)]] for name, value in trip.items()} | others
    fields = [{"name": name, "type": kind} for name, kind in kinds.items()]
    return {"type": "record", "name": "Trip", "fields": fields}


def _millis(trip: Trip) -> datetime:
    return datetime.fromisoformat(trip["start_time"])


_TIME: Final = {"type": "long", "logicalType": "timestamp-millis"}
_LOGICAL: Final = {
    "start_time": {"type": "long", "logicalType": "timestamp-micros"},
    "duration_min": "float",
    "price": {"type": "bytes", "logicalType": "decimal", "precision": 16, "scale": 6},
}


def _avro(trip: Trip) -> bytes:
    return _frame(1, _schema(trip, start_time=_TIME), trip | {"start_time": _millis(trip)})


def _logical(trip: Trip) -> bytes:
    others = {"start_time": _millis(trip), "price": Decimal(trip["price"]).quantize(_MICRO)}
    return _frame(2, _schema(trip, **_LOGICAL), trip | others)


def _json_frame(trip: Trip) -> bytes:
    return _header(3) + plain(trip)


def _header(number: int) -> bytes:
    return b"\x00" + number.to_bytes(4)


def _frame(number: int, schema: dict[str, Any], record: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    schemaless_writer(stream, schema, record)
    return _header(number) + stream.getvalue()


@dataclass(frozen=True, slots=True)
class Wrapping:
    """How messages of a format are made."""

    name: str
    make: Make
    form: ValueFormat


class _Schemas:
    """The schemas that the frames here are written by; those of a trip are known by one of them."""

    def __init__(self, trip: Trip) -> None:
        avro = {1: _schema(trip, start_time=_TIME), 2: _schema(trip, **_LOGICAL)}
        self._schemas = {
            number: RegisteredSchema(number, "AVRO", json.dumps(schema))
            for number, schema in avro.items()
        } | {3: RegisteredSchema(3, "JSON", "{}")}

    def schema(self, number: int) -> RegisteredSchema | None:
        """Return the schema of an id."""
        return self._schemas.get(number)


def wrappings(trip: Trip) -> tuple[Wrapping, ...]:
    """Return the ways in which connectors and serializers write such a trip; plain JSON first."""
    connect, debezium = FORMATS["connect-json"], FORMATS["debezium"]
    avro = Avro(_Schemas(trip), Settings().max_message_bytes)
    return (
        Wrapping("json", plain, FORMATS["json"]),
        Wrapping("connect-json", _in_schema(plain, 1), connect),
        Wrapping("debezium, created", _created, debezium),
        Wrapping("debezium, updated", _updated, debezium),
        Wrapping("debezium, created, with schema", _in_schema(_created, 4), debezium),
        Wrapping("debezium, members in another order", _reordered, debezium),
        Wrapping("avro", _avro, avro),
        Wrapping("avro: decimals, floats, microseconds", _logical, avro),
        Wrapping("avro: JSON in the frame", _json_frame, avro),
    )
