"""Recognises other shapes of a trip in messages that were rejected.

A topic that another program fills may hold frames of a schema registry, or the envelopes of Kafka
Connect and Debezium. Each of their messages is a dead letter, so its detail says what it is.
"""

import json
from typing import Any, Final

from mobility.validation import Reason, Rejection

_REASONS: Final[frozenset[Reason]] = frozenset({"not_utf8", "not_json", "missing_field"})
"""What is wrong with a message of another shape."""

_MAGIC: Final = b"\x00"
_FRAME_HEADER: Final = 5
"""A zero and the id of a schema in four bytes, big-endian (the wire format of Confluent)."""


def with_shape(rejection: Rejection, value: bytes) -> Rejection:
    """Return why a message was rejected, and what it looks like if that is another shape."""
    found = _shape_of(value) if rejection.reason in _REASONS else None
    if found is None:
        return rejection
    return Rejection(rejection.reason, f"{rejection.detail}; {found}")


def _shape_of(value: bytes) -> str | None:
    if value.startswith(_MAGIC) and len(value) > _FRAME_HEADER:
        schema = int.from_bytes(value[1:_FRAME_HEADER])
        body = "JSON" if value[_FRAME_HEADER:].lstrip().startswith(b"{") else "binary data"
        return f"this looks like a frame of a schema registry: schema id {schema}, then {body}"
    try:
        record = json.loads(value.decode())
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    if "schema" in record and "payload" in record:
        if _is_change_event(record["payload"]):
            return "this is a change event of Debezium, with its schema"
        return "this is an envelope of Kafka Connect: schema and payload"
    return "this is a change event of Debezium" if _is_change_event(record) else None


def _is_change_event(record: Any) -> bool:  # noqa: ANN401 - anything that JSON may hold
    return (
        isinstance(record, dict) and "op" in record and not {"before", "after"}.isdisjoint(record)
    )
