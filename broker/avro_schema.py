"""Schemas of Avro, as far as they are safe to read messages by.

A message must neither end the process nor fill its memory, whatever it holds. fastavro follows a
schema that contains itself as deep as a message says, until the stack is full, and an array of what
has no bytes may have any length.
"""

import json
from typing import Any, Final

from fastavro.schema import SchemaParseException, parse_schema

from broker.avro_conversions import conversion
from broker.schema_registry import RegisteredSchema

_DEEPEST: Final = 100
_KEPT: Final = ("type", "name", "namespace", "symbols", "size", "precision", "scale")


class UnsupportedSchemaError(ValueError):
    """Messages can't be read by this schema; the message says why."""


def readable_schema(schema: RegisteredSchema) -> dict[str, Any]:
    """Return a schema as fastavro reads messages by it, with our conversions as logical types.

    Raises UnsupportedSchemaError.
    """
    named: dict[str, Any] = {}
    try:
        for text in schema.referenced:
            parse_schema(_converting(json.loads(text)), named_schemas=named)
        parsed = parse_schema(_converting(json.loads(schema.text)), named_schemas=named)
        is_record = isinstance(parsed, dict) and parsed["type"] in {"record", "error"}
        _Limits(named).measure(parsed, 0)
    except UnsupportedSchemaError:
        raise
    except RecursionError:
        msg = f"it is nested over {_DEEPEST} levels deep"
        raise UnsupportedSchemaError(msg) from None
    except (SchemaParseException, LookupError, TypeError, ValueError, AttributeError) as error:
        msg = f"it can't be parsed: {type(error).__name__}: {error}"
        raise UnsupportedSchemaError(msg) from error
    if not is_record:
        msg = "it is no record"
        raise UnsupportedSchemaError(msg)
    return parsed  # type: ignore[return-value] # a record is an object


def field_names(schema: RegisteredSchema) -> list[str]:
    """Return the fields of a record. Raises UnsupportedSchemaError."""
    return [field["name"] for field in readable_schema(schema)["fields"]]


def _converting(schema: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a schema with what reading needs of it alone, and with our conversions."""
    if isinstance(schema, list):
        return [_converting(each) for each in schema]
    if isinstance(schema, str):
        schema = {"type": schema}
    if not isinstance(schema["type"], str):
        return _converting(schema["type"])
    kept = {name: schema[name] for name in _KEPT if name in schema} | _converted_parts(schema)
    return kept if len(kept) > 1 else kept["type"]


def _converted_parts(schema: dict[str, Any]) -> dict[str, Any]:
    match schema["type"]:
        case "record" | "error":
            fields = schema["fields"]
            return {"fields": [{"name": f["name"], "type": _converting(f["type"])} for f in fields]}
        case "array":
            return {"items": _converting(schema["items"])}
        case "map":
            return {"values": _converting(schema["values"])}
    converted = conversion(schema)
    return {} if converted is None else {"logicalType": converted}


class _Limits:
    """Measures the types of a schema, which has these named ones."""

    def __init__(self, named: dict[str, Any]) -> None:
        self._named = named
        self._records: dict[str, int | None] = {}

    def measure(self, schema: Any, level: int) -> int:  # noqa: ANN401 - JSON
        """Return whether a value has any byte: 1, or 0 if it may have none.

        Raises UnsupportedSchemaError, RecursionError.
        """
        if level > _DEEPEST:
            raise RecursionError
        if isinstance(schema, list):
            return max(1, *(self.measure(each, level + 1) for each in schema))
        if isinstance(schema, str):
            named = self._named.get(schema)
            return int(schema != "null") if named is None else self.measure(named, level)
        match schema["type"]:
            case "record" | "error":
                return self._measure_record(schema, level)
            case "array":
                if not self.measure(schema["items"], level + 1):
                    msg = "an array has items without any bytes"
                    raise UnsupportedSchemaError(msg)
            case "map":
                self.measure(schema["values"], level + 1)
        return min(1, int(schema.get("size", 1)))

    def _measure_record(self, schema: dict[str, Any], level: int) -> int:
        name = schema["name"]
        if name not in self._records:
            self._records[name] = None
            sizes = [self.measure(field["type"], level + 1) for field in schema["fields"]]
            self._records[name] = max(sizes, default=0)
        found = self._records[name]
        if found is None:
            msg = f"{name} contains itself"
            raise UnsupportedSchemaError(msg)
        return found
