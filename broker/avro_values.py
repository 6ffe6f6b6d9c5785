"""The format of a schema registry: a frame around Avro, or around JSON that has a schema there.

A frame is a zero, the id of the schema that it was written by in four bytes, big-endian, and the
value (Confluent's wire format). The value becomes the JSON object that the same trip would be.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from functools import partial
from io import BytesIO
from typing import Any, Final, Protocol

import msgspec
from fastavro import schemaless_reader

from broker.avro_schema import UnsupportedSchemaError, readable_schema
from broker.schema_registry import RegisteredSchema
from mobility.validation import OVERSIZED, Rejection
from mobility.value_settings import Value

_MAGIC: Final = 0
_HEADER: Final = 5

_FAULTS: Final = (ArithmeticError, EOFError, LookupError, TypeError, ValueError)
"""What reading raises for bytes that are not of the schema."""

_encode: Final = msgspec.json.Encoder(decimal_format="number").encode
_NAN: Final = msgspec.Raw(b"NaN")

_ReadObject = Callable[[bytes], bytes]


class Schemas(Protocol):
    """Where schemas are found by their ids."""

    def schema(self, number: int) -> RegisteredSchema | None:
        """Return the schema of an id, None where there is none."""
        ...


class Avro:
    """Reads frames; a message, and the JSON of its trip, have at most `max_bytes`.

    Values are read one by one, by the schema that each was written by.
    """

    name: Value = "avro"

    def __init__(self, schemas: Schemas, max_bytes: int) -> None:
        self._schemas = schemas
        self._max_bytes = max_bytes
        self._readers: dict[int, _ReadObject] = {}

    def objects(self, values: Sequence[bytes | None], max_bytes: int) -> Sequence[bytes | None]:
        """Return the objects, None where there is none."""
        return [
            None if value is None or len(value) > max_bytes else self._object_or_none(value)
            for value in values
        ]

    def object_of(self, value: bytes) -> bytes:
        """Return the object of one frame. Raises Rejection, and what the registry raises."""
        if len(value) < _HEADER or value[0] != _MAGIC:
            raise Rejection(
                "not_frame", "expected a zero, the id of a schema in four bytes, and more"
            )
        number = int.from_bytes(value[1:_HEADER])
        read = self._readers.get(number) or self._reader(number)
        found = read(value[_HEADER:])
        if len(found) > self._max_bytes:
            raise _too_large(number, value, len(found), self._max_bytes)
        return found

    def _object_or_none(self, value: bytes) -> bytes | None:
        try:
            return self.object_of(value)
        except Rejection:
            return None

    def _reader(self, number: int) -> _ReadObject:
        schema = self._schemas.schema(number)
        if schema is None:
            # Not kept here: it may be registered later.
            raise Rejection("unknown_schema", f"schema id {number} is not in the registry")
        try:
            read = _reader_of(schema)
        except UnsupportedSchemaError as error:
            read = partial(_reject, f"schema id {number}: {error}")
        self._readers[number] = read
        return read


def _reader_of(schema: RegisteredSchema) -> _ReadObject:
    match schema.kind:
        case "AVRO":
            return partial(_read_avro, readable_schema(schema), schema.id)
        case "JSON":
            return bytes
    msg = f"it is of the type {schema.kind}, read are AVRO and JSON"
    raise UnsupportedSchemaError(msg)


def _too_large(number: int, frame: bytes, size: int, most: int) -> Rejection:
    digest = hashlib.sha256(frame).hexdigest()
    detail = f"{size} bytes as JSON, over the {most} allowed; schema id {number}, sha256 {digest}"
    return Rejection(OVERSIZED, detail)


def _reject(detail: str, body: bytes) -> bytes:
    del body
    raise Rejection("unsupported_schema", detail)


def _read_avro(schema: dict[str, Any], number: int, body: bytes) -> bytes:
    stream = BytesIO(body)
    try:
        record: Any = schemaless_reader(stream, schema, None)
    except _FAULTS as error:
        raise Rejection("not_avro", f"not of schema id {number}: {_words(error)}") from None
    left = len(body) - stream.tell()
    if left:
        raise Rejection("not_avro", f"not of schema id {number}: {left} bytes are left over")
    for name, value in record.items():
        # Which the encoder writes as null, as if the field were not there.
        if type(value) is float and not math.isfinite(value):
            record[name] = _NAN
    return _encode(record)


def _words(error: Exception) -> str:
    """Return what is wrong with bytes, in words that are the same for the same bytes."""
    match error:
        case EOFError():
            return "they end too early"
        case LookupError():
            return "there is no such branch of a union, or symbol of an enum"
    return str(error)
