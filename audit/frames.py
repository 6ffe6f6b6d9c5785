"""The trip in a frame of a schema registry (MOBILITY_VALUE=avro), by the oracle's own reading.

fastavro reads the bytes; which schemas are read by, and what JSON their values become, is decided
here a second time. A schema is asked for by the client that the flow uses.
"""

import json
import math
import struct
from collections.abc import Callable, Mapping
from ctypes import c_float
from datetime import datetime, timedelta
from functools import lru_cache
from io import BytesIO
from typing import Any, Final

import msgspec
from fastavro import schemaless_reader
from fastavro.read import LOGICAL_READERS
from fastavro.schema import SchemaParseException, parse_schema

from broker.schema_registry import RegisteredSchema, SchemaRegistry
from mobility.settings import Settings

NO_FRAME: Final = "not_frame"
UNKNOWN: Final = "unknown_schema"
UNSUPPORTED: Final = "unsupported_schema"
NO_AVRO: Final = "not_avro"

Text = tuple[str | None, bytes | None]
"""Why a frame holds no trip, or the trip as JSON."""

_HEADER: Final = struct.Struct(">BI")
_UUID_BYTES: Final = 16
_MOST_LEVELS: Final = 100
_MOST_DECIMAL_BYTES: Final = 1_000
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - naive: the text gets its Z by hand
_to_json: Final = msgspec.json.Encoder(decimal_format="number").encode


class FrameReader:
    """Reads the frames of one log."""

    def __init__(self, settings: Settings) -> None:
        self._registry = SchemaRegistry(settings)
        self._parsed: dict[int, Any] = {}

    def read(self, frame: bytes) -> Text:
        """Return the trip of a frame as JSON. Raises what the registry raises."""
        if len(frame) < _HEADER.size:
            return NO_FRAME, None
        zero, number = _HEADER.unpack_from(frame)
        if zero:
            return NO_FRAME, None
        schema = self._registry.schema(number)
        if schema is None:
            return UNKNOWN, None
        if schema.kind == "JSON":
            return None, frame[_HEADER.size :]
        if number not in self._parsed:
            self._parsed[number] = _usable(schema) if schema.kind == "AVRO" else None
        parsed = self._parsed[number]
        return (UNSUPPORTED, None) if parsed is None else _read_value(parsed, frame[_HEADER.size :])


@lru_cache(maxsize=1)
def frame_reader(settings: Settings) -> FrameReader:
    """Return the reader of these settings, which keeps the schemas that it has asked for."""
    return FrameReader(settings)


def _read_value(schema: Any, value: bytes) -> Text:  # noqa: ANN401 - as fastavro has them
    stream = BytesIO(value)
    try:
        trip: Any = schemaless_reader(stream, schema, None)
    except (ArithmeticError, EOFError, LookupError, TypeError, ValueError):
        return NO_AVRO, None
    if stream.read(1):
        return NO_AVRO, None
    odd = [name for name, each in trip.items() if isinstance(each, float) and each - each != 0]
    return None, _to_json(trip | dict.fromkeys(odd, msgspec.Raw(b"NaN")))


def _usable(schema: RegisteredSchema) -> Any | None:  # noqa: ANN401 - as above
    """Return a schema that is safe to read by; None where it is not, or is no record."""
    named: dict[str, Any] = {}
    try:
        for text in (*schema.referenced, schema.text):
            found: Any = parse_schema(_prepared(json.loads(text)), named_schemas=named)
        if not isinstance(found, dict) or "fields" not in found:
            return None
        return found if _is_safe(found, named, ()) else None
    except (
        *(SchemaParseException, LookupError, TypeError, ValueError, AttributeError),
        RecursionError,
    ):
        return None


def _prepared(part: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a schema in which a logical type is the name of the conversion that it needs."""
    if isinstance(part, list):
        return list(map(_prepared, part))
    if isinstance(part, dict):
        kind = part["type"]
        if not isinstance(kind, str):
            return _prepared(kind)
        made = {name: part[name] for name in part if name in _WANTED}
        if "fields" in part:
            made["fields"] = [
                {"name": field["name"], "type": _prepared(field["type"])}
                for field in part["fields"]
            ]
        made |= {name: _prepared(part[name]) for name in ("items", "values") if name in part}
        needed = _needed_conversion(kind, part)
        return made | ({} if needed is None else {"logicalType": f"audit-{needed}"})
    return {"type": "float", "logicalType": "audit-single"} if part == "float" else part


_WANTED: Final = {"type", "name", "namespace", "symbols", "size", "precision", "scale"}


def _needed_conversion(kind: str, part: Mapping[str, Any]) -> str | None:
    logical = part.get("logicalType")
    if kind == "long":
        name = str(part.get("connect.name") if logical is None else logical).lower()
        if name in {"timestamp-millis", "local-timestamp-millis"}:
            return None
        names = ("timestamp-{}", "local-timestamp-{}", "io.debezium.time.{}")
        for unit, debezium in (("micros", "microtimestamp"), ("nanos", "nanotimestamp")):
            if name in {names[0].format(unit), names[1].format(unit), names[2].format(debezium)}:
                return unit
    if kind in {"bytes", "fixed"} and logical == "decimal":
        digits, scale = part.get("precision"), part.get("scale", 0)
        if all(type(each) is int for each in (digits, scale)) and 0 <= scale <= (digits or 0):
            return "decimal"
    if kind == "fixed" and logical == "uuid" and part["size"] == _UUID_BYTES:
        return "uuid"
    return "single" if kind == "float" else None


def _is_safe(
    part: Any,  # noqa: ANN401 - JSON
    named: Mapping[str, Any],
    around: tuple[str, ...],
    level: int = 0,
) -> bool:
    """Tell whether a value is finite by its schema: no type is within itself, items have bytes."""
    if level > _MOST_LEVELS:
        return False
    if isinstance(part, list):
        return all(_is_safe(each, named, around, level + 1) for each in part)
    if isinstance(part, str):
        return part not in named or _is_safe(named[part], named, around, level)
    name = part.get("name", "")
    if "fields" in part:
        return name not in around and all(
            _is_safe(field["type"], named, (*around, name), level + 1) for field in part["fields"]
        )
    if part["type"] == "array" and _may_be_empty(part["items"], named):
        return False
    inner = part.get("items", part.get("values"))
    return inner is None or _is_safe(inner, named, around, level + 1)


def _may_be_empty(part: Any, named: Mapping[str, Any]) -> bool:  # noqa: ANN401 - JSON
    """Tell whether a value may have no bytes at all."""
    if isinstance(part, str):
        return part == "null" or (part in named and _may_be_empty(named[part], named))
    if isinstance(part, list):
        return False
    if "fields" in part:
        return all(_may_be_empty(field["type"], named) for field in part["fields"])
    return bool(part["type"] == "null" or part.get("size") == 0)


def _micros(value: int, _w: object = None, _r: object = None) -> str | int:
    return _moment(value, 6)


def _nanos(value: int, _w: object = None, _r: object = None) -> str | int:
    return _moment(value, 9)


def _moment(value: int, digits: int) -> str | int:
    """Return an instant as text, by its parts of a second; in ms where there is no such year."""
    seconds, part = divmod(value, 10**digits)
    try:
        return f"{(_EPOCH + timedelta(seconds=seconds)).isoformat()}.{part:0{digits}}Z"
    except OverflowError:
        return int(value // 10 ** (digits - 3))


def _single(value: float, _w: object = None, _r: object = None) -> float:
    """Return the double with the fewest digits that is this float of 32 bits."""
    if not math.isfinite(value):
        return value
    candidates = (float(f"{value:.{digits}g}") for digits in range(1, 10))
    return next(each for each in candidates if c_float(each).value == value)


def _decimal(value: bytes, writer: Mapping[str, Any], _r: object = None) -> object:
    if len(value) > _MOST_DECIMAL_BYTES:
        msg = "a decimal of thousands of digits"
        raise ValueError(msg)
    digits = str(int.from_bytes(value, "big", signed=True))
    return msgspec.Raw(_with_point(digits, writer.get("scale", 0)).encode())


def _with_point(digits: str, scale: int) -> str:
    sign, digits = ("-", digits[1:]) if digits.startswith("-") else ("", digits)
    if not scale:
        return sign + digits
    padded = digits.zfill(scale + 1)
    return f"{sign}{padded[:-scale]}.{padded[-scale:]}"


def _uuid(value: bytes, _w: object = None, _r: object = None) -> str:
    text = value.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


_readers: Final[dict[str, Callable[..., object]]] = {
    "long-audit-micros": _micros,
    "long-audit-nanos": _nanos,
    "float-audit-single": _single,
    "bytes-audit-decimal": _decimal,
    "fixed-audit-decimal": _decimal,
    "fixed-audit-uuid": _uuid,
}
LOGICAL_READERS.update(_readers)
