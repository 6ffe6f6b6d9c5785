"""Recognises other formats of a trip in messages that were rejected.

Where MOBILITY_VALUE is not what a topic holds, each of its messages is a dead letter, so its detail
says what the message looks like and which setting reads it.
"""

import json
from typing import Any, Final

from mobility.nesting import is_nested_too_deeply
from mobility.validation import AMOUNTS, Reason, Rejection
from mobility.value_settings import Value

_REASONS: Final[frozenset[Reason]] = frozenset(
    {"not_utf8", "not_json", "not_envelope", "not_frame", "missing_field"}
)
"""What is wrong with a message of another format."""

_MAGIC: Final = b"\x00"
_FRAME_HEADER: Final = 5
"""A zero and the id of a schema in four bytes, big-endian (the wire format of Confluent)."""

Shape = tuple[str, Value]
"""What a message looks like, and the setting that reads it."""


def with_shape(rejection: Rejection, value: bytes, chosen: Value) -> Rejection:
    """Return why a message was rejected, and what it looks like if that isn't what was chosen."""
    shape = _shape_of(value, rejection.reason) if rejection.reason in _REASONS else None
    if shape is None or shape[1] == chosen:
        return rejection
    description, setting = shape
    found = f"this looks like {description}, which MOBILITY_VALUE={setting} reads"
    return Rejection(rejection.reason, f"{rejection.detail}; {found}")


def _shape_of(value: bytes, reason: Reason) -> Shape | None:
    if value.startswith(_MAGIC) and len(value) > _FRAME_HEADER:
        schema = int.from_bytes(value[1:_FRAME_HEADER])
        body = "JSON" if value[_FRAME_HEADER:].lstrip().startswith(b"{") else "binary data"
        return f"a frame of a schema registry: schema id {schema}, then {body}", "avro"
    try:
        text = value.decode()
        # It was parsed before, with this result, unless it was rejected for its nesting.
        if reason == "not_json" and not is_nested_too_deeply(text):
            return None
        record = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return _shape_of_object(record) if isinstance(record, dict) else None


def _shape_of_object(record: dict[str, Any]) -> Shape | None:
    if "schema" in record and "payload" in record:
        if _is_change_event(record["payload"]):
            return "a change event of Debezium, with its schema", "debezium"
        return "an envelope of Kafka Connect, with schema and payload", "connect-json"
    if _is_change_event(record):
        return "a change event of Debezium", "debezium"
    is_trip = not record.keys().isdisjoint(("start_time", *AMOUNTS))
    return ("a trip in plain JSON", "json") if is_trip else None


def _is_change_event(record: Any) -> bool:  # noqa: ANN401 - anything that JSON may hold
    return (
        isinstance(record, dict) and "op" in record and not {"before", "after"}.isdisjoint(record)
    )
