"""Validates one message: the rules for a trip, in plain Python.

This is the reference for what a valid trip is. The columnar decoder (`mobility.trips`) accepts only
rows that are certainly valid and sends all others here, so that the two can't disagree.
"""

import hashlib
import json
import math
import sys
from dataclasses import dataclass
from typing import Any, Final, Literal

from mobility import id_characters, rules_version_1, times
from mobility.nesting import is_nested_too_deeply
from mobility.records import (
    MAX_AMOUNT,
    MAX_EVENT_TIME,
    MAX_ID_LENGTH,
    MAX_NESTING,
    MICRO,
    MIN_EVENT_TIME,
    RULES_VERSION,
    RulesVersion,
)
from mobility.settings import Settings

Reason = Literal[
    "tombstone",
    "not_utf8",
    "not_json",
    "not_object",
    "missing_field",
    "wrong_type",
    "not_finite",
    "negative",
    "too_large",
    "bad_id",
    "bad_coordinates",
    "bad_time",
    "in_future",
    "oversized",
    "not_envelope",
    "deleted",
    "not_frame",
    "unknown_schema",
    "unsupported_schema",
    "not_avro",
]

OVERSIZED: Final = "oversized"
"""The reason of a message that is too large to be read, or to be copied into the dead letters."""

TOMBSTONE: Final = "tombstone"
"""The reason of a message without a value, which can be a punctuation."""

IN_FUTURE: Final = "in_future"
"""The reason of a message whose event time lies too far ahead of when it was appended."""

STRINGS: Final = ("trip_id", "driver_id", "passenger_id", "vehicle_type")
LOCATIONS: Final = ("start_location_id", "end_location_id")
COORDINATES: Final = {"start_lat": 90.0, "start_lng": 180.0, "end_lat": 90.0, "end_lng": 180.0}
AMOUNTS: Final = ("duration_min", "distance_km", "price")
TIMES: Final = ("start_time", "end_time")
OPTIONAL_AMOUNTS: Final = ("distance_km", "price")
OPTIONAL_SINCE: Final = 3
"""The version of the rules since which a trip may have none of the OPTIONAL_AMOUNTS."""

REQUIRED: Final = ("start_time", "duration_min")
IDS: Final = ("driver_id", "passenger_id", "vehicle_type", *LOCATIONS)

# What json.loads makes of JSON: a boolean is of another type than an integer.
_TYPES: Final[tuple[tuple[tuple[str, ...], str, frozenset[type]], ...]] = (
    (STRINGS, "a string", frozenset({str})),
    (LOCATIONS, "a string or an integer", frozenset({str, int})),
    ((*COORDINATES, *AMOUNTS), "a number", frozenset({int, float})),
    (TIMES, "a string or a number", frozenset({str, int, float})),
)
_MS_PER_MINUTE: Final = 60_000


@dataclass(frozen=True, slots=True)
class TripRules:
    """What decides on a message by itself: settings, and the version of the rules."""

    event_time: Literal["start", "end"] = "start"
    refunds: bool = False
    max_bytes: int = Settings().max_message_bytes
    version: RulesVersion = RULES_VERSION

    @classmethod
    def of(cls, settings: Settings, version: RulesVersion = RULES_VERSION) -> "TripRules":
        """Return the rules of these settings, in a version that need not be the newest."""
        return cls(settings.event_time, settings.refunds, settings.max_message_bytes, version)


@dataclass(frozen=True, slots=True)
class Rejection(Exception):  # noqa: N818 - a result, raised to leave the checks early
    """Why a message is not a trip: a reason for programs and a detail for people."""

    reason: Reason
    detail: str


Trip = dict[str, Any]
"""The columns of mobility.trips.TRIP_SCHEMA but `row`."""


def validate(value: bytes | None, rules: TripRules) -> Trip:
    """Return the trip that a message's value holds.

    Raises Rejection with the first check that fails, in a fixed order: the size, the text, the
    object, its required fields, types, amounts, ids, coordinates, times.
    """
    record = _record(value, rules)
    required = REQUIRED if rules.version >= OPTIONAL_SINCE else (*REQUIRED, *OPTIONAL_AMOUNTS)
    for field in required:
        if record.get(field) is None:
            raise Rejection("missing_field", f"{field} is missing")
    _check_types(record)
    _check_amounts(record, rules)
    locations = {field: _as_text(record.get(field)) for field in LOCATIONS}
    _check_ids({**record, **locations}, rules)
    _check_coordinates(record)
    return _trip(record, locations["start_location_id"], rules)


def _record(value: bytes | None, rules: TripRules) -> dict[str, Any]:
    if value is None:
        raise Rejection(TOMBSTONE, "the message has no value")
    if len(value) > rules.max_bytes:
        digest = hashlib.sha256(value).hexdigest()
        detail = f"{len(value)} bytes, over the {rules.max_bytes} allowed; sha256 {digest}"
        raise Rejection(OVERSIZED, detail)
    return read_object(value, rules.version)


def read_object(value: bytes, version: RulesVersion = RULES_VERSION) -> dict[str, Any]:
    """Return the JSON object that a text holds; of equal names the first counts.

    Raises Rejection.
    """
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise Rejection("not_utf8", f"byte {error.start}: {error.reason}") from None
    if version != 1 and is_nested_too_deeply(text):
        raise Rejection("not_json", f"nested more than {MAX_NESTING} levels deep")
    try:
        record = json.loads(text, object_pairs_hook=_first_wins)
    except RecursionError:
        raise Rejection("not_json", "nested too deeply") from None
    except json.JSONDecodeError as error:
        raise Rejection("not_json", str(error)) from None
    except ValueError:
        digits = sys.get_int_max_str_digits()
        raise Rejection("not_json", f"an integer has more than {digits} digits") from None
    if not isinstance(record, dict):
        raise Rejection("not_object", f"expected an object, found {_kind(record)}")
    return record


def _first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # RFC 8259 leaves equal keys open; Polars takes the first, so that is the rule.
    return dict(reversed(pairs))


def _check_types(record: dict[str, Any]) -> None:
    for fields, expected, types in _TYPES:
        for field in fields:
            found = record.get(field)
            if found is not None and type(found) not in types:
                raise Rejection("wrong_type", f"{field}: expected {expected}, is {_kind(found)}")


def _check_amounts(record: dict[str, Any], rules: TripRules) -> None:
    for field in (*COORDINATES, *AMOUNTS, *TIMES):
        found = record.get(field)
        if isinstance(found, int | float) and not math.isfinite(_as_float(found)):
            raise Rejection("not_finite", f"{field} is {found}"[:200])
    amounts = {field: found for field in AMOUNTS if (found := record.get(field)) is not None}
    for field, amount in amounts.items():
        if amount < 0 and not (field == "price" and rules.refunds):
            raise Rejection("negative", f"{field} is {amount}")
    for field, amount in amounts.items():
        if abs(amount) > MAX_AMOUNT:
            raise Rejection("too_large", f"{field} is {amount}, over {MAX_AMOUNT:.0e}"[:200])


def _check_ids(record: dict[str, Any], rules: TripRules) -> None:
    is_first = rules.version == 1
    has_disallowed = (rules_version_1 if is_first else id_characters).has_disallowed
    for field in IDS:
        found = record.get(field)
        if found is None:
            continue
        if not 1 <= len(found) <= MAX_ID_LENGTH:
            detail = f"{field} has {len(found)} characters, allowed are 1 to {MAX_ID_LENGTH}"
            raise Rejection("bad_id", detail)
        if has_disallowed(found):
            detail = f"{field} has controls, halves of surrogate pairs or noncharacters: {found!a}"
            raise Rejection("bad_id", detail)
    trip_id = record.get("trip_id")
    if trip_id is not None and any("\ud800" <= char <= "\udfff" for char in trip_id):
        raise Rejection("bad_id", f"trip_id has half a surrogate pair: {ascii(trip_id)[:200]}")


def _check_coordinates(record: dict[str, Any]) -> None:
    for field, limit in COORDINATES.items():
        found = record.get(field)
        if found is not None and abs(found) > limit:
            raise Rejection("bad_coordinates", f"{field} is {found}, beyond {limit:g} degrees")


def _trip(record: dict[str, Any], start_location: str | None, rules: TripRules) -> Trip:
    start = _epoch_ms("start_time", record["start_time"], rules)
    end = record.get("end_time")
    end_ms = None if end is None else _epoch_ms("end_time", end, rules)
    if rules.event_time == "start":
        event_time = start
    elif end_ms is not None:
        event_time = end_ms
    else:
        event_time = start + round(float(record["duration_min"]) * _MS_PER_MINUTE)
    return {
        "trip_id": record.get("trip_id"),
        "driver_id": record.get("driver_id"),
        "passenger_id": record.get("passenger_id"),
        "vehicle_type": record.get("vehicle_type"),
        "start_location": start_location,
        "start_lat": _optional_float(record.get("start_lat")),
        "start_lng": _optional_float(record.get("start_lng")),
        "start_time": start,
        "event_time": event_time,
        "duration": _micro(record["duration_min"]),
        "distance": _optional_micro(record.get("distance_km")),
        "revenue": _optional_micro(record.get("price")),
    }


def _epoch_ms(field: str, found: str | float, rules: TripRules) -> int:
    if isinstance(found, str):
        ms = rules_version_1.iso_ms(found) if rules.version == 1 else times.iso_ms(found)
        if ms is None:
            detail = f"{field} is {ascii(found)[:100]}, expected ISO 8601 or epoch milliseconds"
            raise Rejection("bad_time", detail)
    else:
        ms = math.floor(found)
    if not MIN_EVENT_TIME <= ms <= MAX_EVENT_TIME:
        detail = f"{field} is {ascii(found)[:100]}, outside the years 1 to 9999"
        raise Rejection("bad_time", detail)
    return ms


def _micro(amount: float) -> int:
    # Python's round is half to even, as Polars' is in the columnar decoder.
    return round(float(amount) * MICRO)


def _optional_micro(amount: float | None) -> int | None:
    return None if amount is None else _micro(amount)


def _as_float(found: float) -> float:
    try:
        return float(found)
    except OverflowError:
        return math.inf


def _optional_float(found: float | None) -> float | None:
    return None if found is None else float(found)


def _as_text(found: object) -> str | None:
    return None if found is None else str(found)


def _kind(found: object) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}
    return names.get(type(found), "null" if found is None else "a number")
