"""The trip in a message that holds more than that (MOBILITY_VALUE), by the oracle's own reading."""

from typing import Any, Final

from mobility.value_settings import Value

_WITH_ROW: Final = ("c", "r", "u")
_WITHOUT_ROW: Final = ("d", "t")

NO_ENVELOPE: Final = "not_envelope"

Unwrapped = tuple[str | None, dict[str, Any] | None]
"""Why a message holds no trip, or the trip."""


def trip_in(message: dict[str, Any], value: Value) -> Unwrapped:
    """Return the trip in a JSON object, or the reason why there is none."""
    if value == "json":
        return None, message
    payload = message.get("payload")
    has_schema = "schema" in message and "payload" in message
    if value == "connect-json":
        return _as_trip(payload) if has_schema else (NO_ENVELOPE, None)
    if has_schema and "op" not in message and type(payload) is dict:
        return _row_after(payload)
    return _row_after(message)


def _row_after(event: dict[str, Any]) -> Unwrapped:
    operation = event.get("op")
    if operation in _WITHOUT_ROW:
        return "deleted", None
    if operation not in _WITH_ROW or "after" not in event:
        return NO_ENVELOPE, None
    return _as_trip(event["after"])


def _as_trip(found: object) -> Unwrapped:
    return (None, found) if type(found) is dict else ("not_object", None)
