"""The formats of messages (MOBILITY_VALUE): where in a message its trip is.

This is one step in front of decoding: what a format finds is the trip as a JSON object, which is
then decoded like a message that holds nothing else. It is cut out of the message, so no character
of it changes.
"""

from collections.abc import Sequence
from typing import Any, Final, Protocol

from mobility.envelope_columns import change_rows, payloads
from mobility.json_members import Span, member_spans
from mobility.validation import Rejection, read_object
from mobility.value_settings import Value

_ROWS: Final = ("c", "r", "u")
_DELETES: Final = {"d": "the row was deleted", "t": "the table was emptied"}


class ValueFormat(Protocol):
    """Finds the trips in messages.

    `objects` looks at a batch by columns. What it returns of a message is the trip's object, maybe
    between blanks, if it is an object in JSON at all: then nothing else is wrong with the message.
    It may return None for any message, so that `object_of` is asked, which decides on a single one.
    Messages of over `max_bytes` are not looked at.
    """

    @property
    def name(self) -> Value:
        """The value of the setting."""
        ...

    def objects(self, values: Sequence[bytes | None], max_bytes: int) -> Sequence[bytes | None]:
        """Return the objects of a batch, as far as columns can tell."""
        ...

    def object_of(self, value: bytes) -> bytes:
        """Return the object of one message. Raises Rejection."""
        ...


class Json:
    """A message is the trip."""

    name: Value = "json"

    def objects(self, values: Sequence[bytes | None], max_bytes: int) -> Sequence[bytes | None]:
        """Return the messages."""
        del max_bytes
        return values

    def object_of(self, value: bytes) -> bytes:
        """Return the message."""
        return value


class ConnectJson:
    """The trip is the `payload` beside a `schema` (Kafka Connect's JsonConverter, with schemas)."""

    name: Value = "connect-json"

    def objects(self, values: Sequence[bytes | None], max_bytes: int) -> Sequence[bytes | None]:
        """Return the payloads."""
        return payloads(values, max_bytes)

    def object_of(self, value: bytes) -> bytes:
        """Return the payload. Raises Rejection."""
        record = read_object(value)
        if not _is_envelope(record):
            raise Rejection("not_envelope", "expected an object with `schema` and `payload`")
        text = value.decode()
        return _cut(text, member_spans(text)["payload"])


class Debezium:
    """The trip is the row `after` a change, with or without an envelope of Kafka Connect around it.

    A row that was read (`r`), created (`c`) or updated (`u`) is a trip: an update has the `trip_id`
    of the trip that it changes, so in the same window it is a duplicate of it.
    """

    name: Value = "debezium"

    def objects(self, values: Sequence[bytes | None], max_bytes: int) -> Sequence[bytes | None]:
        """Return the rows after the changes."""
        return change_rows(values, max_bytes)

    def object_of(self, value: bytes) -> bytes:
        """Return the row after the change. Raises Rejection."""
        event = read_object(value)
        text = value.decode()
        start = 0
        if "op" not in event and _is_envelope(event) and isinstance(event["payload"], dict):
            event, start = event["payload"], member_spans(text)["payload"][0]
        op = event.get("op")
        if isinstance(op, str) and op in _DELETES:
            raise Rejection("deleted", f"op {op}: {_DELETES[op]}, so there is no trip to count")
        if op not in _ROWS or "after" not in event:
            detail = f"expected an event with `after`, and c, r or u as `op`, which is {_shown(op)}"
            raise Rejection("not_envelope", detail)
        return _cut(text, member_spans(text, start)["after"])


FORMATS: Final[dict[Value, ValueFormat]] = {
    each.name: each for each in (Json(), ConnectJson(), Debezium())
}
"""The formats that need nothing else than the message; `avro` needs a schema registry."""

JSON: Final = FORMATS["json"]


def _is_envelope(record: dict[str, Any]) -> bool:
    return "schema" in record and "payload" in record


def _cut(text: str, span: Span) -> bytes:
    return text[slice(*span)].encode()


def _shown(op: object) -> str:
    return "missing" if op is None else ascii(op)[:50]
