"""Ways to wrap the JSON of a trip, as Kafka Connect and Debezium do and as nobody does."""

import json
from collections.abc import Callable
from typing import Final

from hypothesis import strategies as st

from mobility.value_settings import Value

Wrap = Callable[[bytes], bytes]

_FIELDS: Final = [
    {"type": "int64", "optional": False, "field": "start_time"},
    {"type": "string", "optional": True, "field": 'a "quoted" é field'},
]
_SCHEMA: Final = {"type": "struct", "fields": _FIELDS, "optional": False, "name": "trip"}

_SOURCE: Final = {
    "version": "3.1.0.Final",
    "connector": "postgresql",
    "name": "db",
    "ts_ms": 1735732800000,
    "snapshot": "false",
    "db": "town",
    "sequence": '["1","2"]',
    "schema": "public",
    "table": "trips",
    "txId": 5,
    "lsn": 24023128,
    "xmin": None,
}

_TRANSACTION: Final = {"id": "5:1", "total_order": 1, "data_collection_order": 1}


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def in_schema(payload: bytes, schema: object = _SCHEMA) -> bytes:
    """Return an envelope as the JsonConverter of Kafka Connect writes it, with schemas enabled."""
    return b'{"schema":' + _json(schema) + b',"payload":' + payload + b"}"


def change(after: bytes, before: bytes = b"null", operation: str = "c") -> bytes:
    """Return a change event as Debezium writes it."""
    return b'{"before":%b,"after":%b,"source":%b,"transaction":null,"op":"%b","ts_ms":1}' % (
        before,
        after,
        _json(_SOURCE),
        operation.encode(),
    )


_ROW: Final = _json({"id": 1, "note": 'a "row" }, {', "price": 1.5, "paid": True, "x": None})

_CONNECT: Final[tuple[Wrap, ...]] = (
    in_schema,
    lambda trip: in_schema(trip, _SCHEMA | {"name": "other"}),
    lambda trip: in_schema(trip, None),
    lambda trip: in_schema(trip + b" "),
    lambda trip: in_schema(trip) + b"\n",
    lambda trip: b' {"schema" : {} , "payload" : ' + trip + b" } ",
    lambda trip: b'{"payload":' + trip + b',"schema":{}}',
    lambda trip: b'{"x":[1,{}],"schema":{},"payload":' + trip + b"}",
    lambda trip: b'{"schema":{},"payload":' + trip + b',"payload":1}',
    lambda trip: b'{"schema":{},"pay\\u006coad":' + trip + b"}",
)

_DEBEZIUM: Final[tuple[Wrap, ...]] = (
    change,
    lambda trip: change(trip, operation="r"),
    lambda trip: change(trip, _ROW, "u"),
    lambda trip: change(trip, trip, "u"),
    lambda trip: in_schema(change(trip)),
    lambda trip: in_schema(change(trip, _ROW, "u")),
    lambda trip: change(trip).replace(
        b'"transaction":null', b'"transaction":' + _json(_TRANSACTION)
    ),
    lambda trip: change(trip).replace(b'"transaction":null', b'"ts_us":1,"ts_ns":-2.5e3'),
    lambda trip: change(trip).replace(b',"transaction":null', b""),
    lambda trip: change(trip).replace(b'"transaction":null', b'"other":{"a":[1]}'),
    lambda trip: change(trip) + b"\n",
    lambda trip: b'{ "op": "c", "after": ' + trip + b' , "before": null}',
    lambda trip: b'{"after":' + trip + b',"op":"r"}',
    lambda trip: b'{"schema":1,"payload":2,"after":' + trip + b',"op":"c"}',
    lambda trip: b'{"payload":{"op":"u","after":' + trip + b'},"schema":null}',
    lambda trip: change(trip)[:-1] + b',"after":1,"op":"d"}',
)

WRAPS: Final[dict[Value, tuple[Wrap, ...]]] = {
    "json": (lambda trip: trip,),
    "connect-json": _CONNECT,
    "debezium": _DEBEZIUM,
}
"""What holds the same trip in each format."""

_BROKEN: Final[tuple[Wrap, ...]] = (
    lambda trip: in_schema(trip)[:-1],
    lambda trip: in_schema(trip) + b"}",
    lambda trip: in_schema(trip + b',"x":1'),
    lambda trip: in_schema(trip + trip),
    lambda _trip: in_schema(b"null"),
    lambda trip: in_schema(b"[" + trip + b"]"),
    lambda trip: b'{"schema":{,"payload":' + trip + b"}",
    lambda trip: b'{"schema":{}}' + trip,
    lambda trip: b'{"payload":' + trip + b"}",
    lambda trip: change(trip)[:-1],
    lambda trip: change(trip) + b"{}",
    lambda trip: change(trip, operation="d"),
    lambda trip: change(b"null", trip, "d"),
    lambda trip: in_schema(change(b"null", trip, "d")),
    lambda trip: change(trip, operation="t"),
    lambda trip: change(trip, operation="m"),
    lambda trip: change(trip).replace(b'"op":"c"', b'"op":["c"]'),
    lambda trip: change(trip).replace(b'"op":"c",', b""),
    lambda trip: change(trip).replace(b'"op":"c"', b'"op":"d","op":"c"'),
    lambda _trip: change(b"null"),
    lambda _trip: change(b"7", operation="u"),
    lambda trip: change(trip, b"{'a':1}", "u"),
    lambda trip: change(trip, b'{"a":01}', "u"),
    lambda trip: change(trip, b'{"a":"\t"}', "u"),
    lambda trip: change(trip).replace(b'"ts_ms":1}', b'"ts_ms":01}'),
    lambda trip: change(trip).replace(b'"ts_ms":1}', b'"ts_ms":NaN}'),
    lambda trip: change(trip).replace(b'"ts_ms":1}', b'"ts_ms":%b}' % (b"9" * 5_000)),
    lambda trip: change(trip).replace(b'"table":"trips"', b'"table":"\xff"'),
    lambda trip: change(trip).replace(b'"table":"trips"', b'"table":"a\nb"'),
    lambda trip: change(trip).replace(b'"table":"trips"', b'"table":"\\x"'),
    lambda trip: change(trip, b'{"source":{},"a":{"b":1},"source":{}}', "u"),
    lambda trip: change(b'{"a":{},"source":{},"trip":' + trip + b"}"),
    lambda trip: b'{"op":"c","before":' + trip + b"}",
    lambda trip: b'{"schema":{},"payload":{"schema":{},"payload":' + trip + b"}}",
)
"""What may hold something else, or nothing."""

wraps: st.SearchStrategy[Wrap] = st.one_of(
    st.sampled_from([wrap for each in WRAPS.values() for wrap in each]), st.sampled_from(_BROKEN)
)
"""What is done to a message that holds a trip, or something else."""
