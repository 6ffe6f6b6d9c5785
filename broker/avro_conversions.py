"""Values of Avro as the values of JSON that a trip is decoded from.

A conversion is a logical type of fastavro's under a name of our own, which a schema is given before
it is used (`broker.avro_schema`). What has none is what it is in Python: text, integers, doubles.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from typing import Any, Final
from uuid import UUID

import numpy as np
from fastavro.read import LOGICAL_READERS

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EXACT: Final = Context(prec=MAX_PREC, Emin=MIN_EMIN, Emax=MAX_EMAX)
_LONGEST_DECIMAL: Final = 1_000
_UUID_BYTES: Final = 16

_TIMES: Final = {
    "timestamp-micros": "micros",
    "timestamp-nanos": "nanos",
    "local-timestamp-micros": "micros",
    "local-timestamp-nanos": "nanos",
    # Of Debezium, which gives them no logical type.
    "io.debezium.time.MicroTimestamp": "micros",
    "io.debezium.time.NanoTimestamp": "nanos",
}


def conversion(schema: Mapping[str, Any]) -> str | None:
    """Return the name of the conversion for a primitive or fixed type; None where it needs none.

    Local times are taken for UTC, as times without an offset are in JSON. Milliseconds are numbers
    there too. A logical type that does not fit its type is ignored, as the specification wants.
    """
    kind, logical = schema["type"], schema.get("logicalType")
    match kind:
        case "long":
            found = _TIMES.get(logical or schema.get("connect.name", ""))
        case "float":
            found = "float"
        case "fixed" if logical == "uuid" and schema["size"] == _UUID_BYTES:
            found = "uuid"
        case "fixed" | "bytes" if logical == "decimal" and _is_decimal(schema):
            found = "decimal"
        case _:
            found = None
    return None if found is None else f"mobility-{found}"


def _is_decimal(schema: Mapping[str, Any]) -> bool:
    precision, scale = schema.get("precision"), schema.get("scale", 0)
    return type(precision) is int and type(scale) is int and 0 <= scale <= precision


def _micros(value: int, _writer: object = None, _reader: object = None) -> str | int:
    """Return a time in microseconds as ISO 8601 text; in ms where it has no such year."""
    text = _iso(value)
    return value // 1_000 if text is None else f"{text}Z"


def _nanos(value: int, _writer: object = None, _reader: object = None) -> str | int:
    micros, rest = divmod(value, 1_000)
    text = _iso(micros)
    return micros // 1_000 if text is None else f"{text}{rest:03}Z"


def _iso(micros: int) -> str | None:
    try:
        time = _EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        return None
    return time.replace(tzinfo=None).isoformat(timespec="microseconds")


def _float(value: float, _writer: object = None, _reader: object = None) -> float:
    """Return the double with the shortest digits that tell a float of 32 bits from others.

    That is how a program that has such a float writes it in JSON: 12.35, not 12.350000381469727.
    """
    return float(str(np.float32(value)))


def _decimal(value: bytes, writer: Mapping[str, Any], _reader: object = None) -> Decimal:
    """Return a decimal with all its digits. Raises ValueError for one of thousands of digits."""
    if len(value) > _LONGEST_DECIMAL:
        msg = f"a decimal has {len(value)} bytes, over {_LONGEST_DECIMAL}"
        raise ValueError(msg)
    number = Decimal(int.from_bytes(value, "big", signed=True))
    return number.scaleb(-writer.get("scale", 0), _EXACT)


def _uuid(value: bytes, _writer: object = None, _reader: object = None) -> str:
    return str(UUID(bytes=value))


_CONVERSIONS: Final[dict[str, Callable[..., object]]] = {
    "long-mobility-micros": _micros,
    "long-mobility-nanos": _nanos,
    "float-mobility-float": _float,
    "fixed-mobility-uuid": _uuid,
    "fixed-mobility-decimal": _decimal,
    "bytes-mobility-decimal": _decimal,
}

LOGICAL_READERS.update(_CONVERSIONS)
