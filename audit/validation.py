"""Validation of the messages of a log: trips, punctuations, and dead letters with their reason.

The code is independent of the dataflow's on purpose: an error would have to be made twice to stay
unnoticed. `json.loads` decodes one message at a time; checks of values work on columns.
"""

import json
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import polars as pl

from audit.envelopes import trip_in
from audit.times import event_time, time_value_ms
from mobility.records import (
    MAX_AMOUNT,
    MAX_EVENT_TIME,
    MAX_ID_LENGTH,
    MAX_NESTING,
    MIN_EVENT_TIME,
    RULES_VERSION,
    RulesVersion,
)
from mobility.settings import Settings
from mobility.topics import WATERMARK_HEADER

STRINGS: Final = ("trip_id", "driver_id", "passenger_id", "vehicle_type")
LOCATIONS: Final = ("start_location_id", "end_location_id")
COORDINATES: Final = {"start_lat": 90, "start_lng": 180, "end_lat": 90, "end_lng": 180}
AMOUNTS: Final = ("duration_min", "distance_km", "price")
TIMES: Final = ("start_time", "end_time")

TRIP_SCHEMA: Final = pl.Schema(
    [
        *[(name, pl.String) for name in (*STRINGS, *LOCATIONS)],
        *[(name, pl.Float64) for name in (*COORDINATES, *AMOUNTS)],
        *[(name, pl.Int64) for name in TIMES],  # epoch ms
    ]
)
"""The known fields of a trip, as the oracle represents them; location ids are text."""

MESSAGE_SCHEMA: Final = pl.Schema(
    [
        ("partition", pl.Int32),
        ("offset", pl.Int64),
        ("timestamp", pl.Int64),  # epoch ms, the broker's
        ("structure_error", pl.String),  # why the message is not a trip object, else null
        ("text_error", pl.String),  # bad_id if a string can't be encoded, else null
        ("time_error", pl.String),  # why a time can't be parsed, else null
        ("watermark", pl.Int64),  # of a punctuation, else null
        *TRIP_SCHEMA.items(),
    ]
)

VALIDATION_COLUMNS: Final = ("structure_error", "text_error", "time_error")
"""Columns of MESSAGE_SCHEMA that only the computation of `reason` needs."""

OVERSIZED: Final = "oversized"
"""The one reason whose dead letters have no value: they only refer to the message."""

_REQUIRED: Final = frozenset({"start_time", "duration_min"})
_OPTIONAL_LATER: Final = frozenset({"distance_km", "price"})
"""What each trip had to have until version 2 of the rules."""

# Exact types: isinstance takes a JSON boolean for an int, but it is not a number here.
_NUMBER: Final = frozenset({int, float})
_JSON_TYPES: Final[dict[str, frozenset[type]]] = {
    **dict.fromkeys(STRINGS, frozenset({str})),
    **dict.fromkeys(LOCATIONS, frozenset({int, str})),
    **dict.fromkeys((*COORDINATES, *AMOUNTS), _NUMBER),
    **dict.fromkeys(TIMES, _NUMBER | {str}),
}
_FIRST_DOUBLE: Final = len(STRINGS) + len(LOCATIONS)
_FIRST_TIME: Final = _FIRST_DOUBLE + len(COORDINATES) + len(AMOUNTS)

_NO_TRIP: Final = (None,) * len(TRIP_SCHEMA)

Row = tuple[Any, ...]


class LogMessage(NamedTuple):
    """A message of the log; `timestamp` is its log-append time in epoch ms."""

    partition: int
    offset: int
    timestamp: int
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()


def validate_messages(
    messages: Sequence[LogMessage], settings: Settings, version: RulesVersion = RULES_VERSION
) -> pl.DataFrame:
    """Return the columns of MESSAGE_SCHEMA and `reason`, one row per message.

    `version` is that of the rules that are in force for all of them.

    `reason` is null for punctuations and for valid trips; whether a trip is late or a duplicate is
    not decided here. A dead letter keeps the fields that could be parsed.
    """
    rows = [_row(message, settings, version) for message in messages]
    frame = pl.DataFrame(rows, schema=MESSAGE_SCHEMA, orient="row")
    return frame.with_columns(reason=_reason(frame, settings, version))


def _reason(frame: pl.DataFrame, settings: Settings, version: RulesVersion) -> pl.Expr:
    """Return the first rule that each message breaks, in the order of the checks."""
    doubles = pl.col(*COORDINATES, *AMOUNTS)
    amounts = pl.col(*AMOUNTS)
    not_negative = pl.col("duration_min", "distance_km") if settings.refunds else amounts
    beyond = [pl.col(name).abs() > limit for name, limit in COORDINATES.items()]
    moment = pl.coalesce("watermark", event_time(settings))
    latest_allowed = pl.col("timestamp") + settings.future_tolerance * 1_000
    return pl.coalesce(
        "structure_error",
        _where(pl.any_horizontal(~doubles.is_finite()), "not_finite"),
        _where(pl.col("time_error") == "not_finite", "not_finite"),
        _where(pl.any_horizontal(not_negative < 0), "negative"),
        _where(pl.any_horizontal(amounts.abs() > MAX_AMOUNT), "too_large"),
        _where(pl.any_horizontal(_bad_ids(frame, version)), "bad_id"),
        "text_error",
        _where(pl.any_horizontal(beyond), "bad_coordinates"),
        "time_error",
        _where(moment > latest_allowed, "in_future"),
    )


def _where(condition: pl.Expr, reason: str) -> pl.Expr:
    return pl.when(condition).then(pl.lit(reason))


def _bad_ids(frame: pl.DataFrame, version: RulesVersion) -> list[pl.Expr]:
    names = [name for name in (*STRINGS, *LOCATIONS) if name != "trip_id"]
    return [pl.col(name).is_in(_invalid_ids(frame[name], version)) for name in names]


def _invalid_ids(ids: pl.Series, version: RulesVersion) -> list[str]:
    """Return the ids of a bad length or with a bad character; each distinct id is checked once."""
    is_printable = str.isprintable if version == 1 else _has_no_controls
    return [
        text
        for text in ids.drop_nulls().unique()
        if not (0 < len(text) <= MAX_ID_LENGTH and is_printable(text))
    ]


def _has_no_controls(text: str) -> bool:
    """Tell whether no character is a control or a noncharacter; columns hold no surrogates."""
    return not any(
        code < 0x20 or 0x7F <= code < 0xA0 or 0xFDD0 <= code < 0xFDF0 or code & 0xFFFE == 0xFFFE  # noqa: PLR2004 - the blocks of Unicode
        for code in map(ord, text)
    )


def _row(message: LogMessage, settings: Settings, version: RulesVersion) -> Row:
    position, value = message[:3], message.value
    if value is None:
        watermark = _punctuation(message.headers)
        reason = "tombstone" if watermark is None else None
        return (*position, reason, None, None, watermark, *_NO_TRIP)
    reason, trip = _find_trip(value, settings, version)
    if trip is None:
        return (*position, reason, None, None, None, *_NO_TRIP)
    values = [trip.get(name) for name in TRIP_SCHEMA]
    reason = _type_error(tuple(map(type, values)), version)
    if reason is not None:
        values = _drop_wrong_types(values)
    text_error = _drop_unencodable(values) if b"\\u" in value else None
    times = [time_value_ms(each, version) for each in values[_FIRST_TIME:]]
    return (
        *position,
        reason,
        text_error,
        _time_error(values[_FIRST_TIME:], times) if None in times else None,
        None,
        *values[: len(STRINGS)],
        *[None if each is None else str(each) for each in values[len(STRINGS) : _FIRST_DOUBLE]],
        *[_double(each) for each in values[_FIRST_DOUBLE:_FIRST_TIME]],
        *times,
    )


def _find_trip(
    value: bytes, settings: Settings, version: RulesVersion
) -> tuple[str | None, dict[str, Any] | None]:
    """Return the reason why a message holds no trip, or the trip; nothing of it is checked yet."""
    if len(value) > settings.max_message_bytes:
        return OVERSIZED, None
    if settings.value == "avro":
        # A third of a second to import, which other logs do not need.
        from audit.frames import frame_reader  # noqa: PLC0415

        reason, text = frame_reader(settings).read(value)
        if text is None:
            return reason, None
        if len(text) > settings.max_message_bytes:
            return OVERSIZED, None
        return _decode(text, version)
    reason, message = _decode(value, version)
    return (reason, None) if message is None else trip_in(message, settings.value)


def _decode(value: bytes, version: RulesVersion) -> tuple[str | None, dict[str, Any] | None]:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return "not_utf8", None
    if version > 1 and _nesting(text) > MAX_NESTING:
        return "not_json", None
    try:
        trip = json.loads(text, object_pairs_hook=_keep_first_keys)
    except (ValueError, RecursionError):
        return "not_json", None
    return (None, trip) if type(trip) is dict else ("not_object", None)


def _nesting(text: str) -> int:
    """Return how many levels of objects and arrays a JSON text has; 0 if it can't be too many."""
    if text.count("{") + text.count("[") <= MAX_NESTING:
        return 0
    level = deepest = 0
    # Without escaped quotes, every second part between quotes is outside strings.
    for part in text.replace(r"\\", "").replace(r"\"", "").split('"')[::2]:
        for character in part:
            level += (character in "[{") - (character in "]}")
            deepest = max(deepest, level)
    return deepest


def _keep_first_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    trip: dict[str, object] = {}
    for key, value in pairs:
        trip.setdefault(key, value)
    return trip


def _punctuation(headers: Sequence[tuple[str, bytes | None]]) -> int | None:
    """Return the event time of a punctuation; None if a message without value is not one."""
    header = dict(headers).get(WATERMARK_HEADER)
    digits = (header or b"").removeprefix(b"-")
    if header is None or not digits.isdigit():
        return None
    # Clamped to 1 ms outside the valid years, where doubles are exact: same meaning, and it fits.
    return int(min(max(float(header), MIN_EVENT_TIME - 1), MAX_EVENT_TIME + 1))


@lru_cache(maxsize=10_000)
def _type_error(types: tuple[type, ...], version: RulesVersion) -> str | None:
    """Check the types of a trip's values; logs have few combinations, so results are cached."""
    by_name = dict(zip(TRIP_SCHEMA, types, strict=True))
    required = _REQUIRED | _OPTIONAL_LATER if version <= 2 else _REQUIRED  # noqa: PLR2004 - a version
    if any(by_name[name] is type(None) for name in required):
        return "missing_field"
    allowed = ((kind, _JSON_TYPES[name] | {type(None)}) for name, kind in by_name.items())
    return None if all(kind in kinds for kind, kinds in allowed) else "wrong_type"


def _drop_wrong_types(values: list[Any]) -> list[Any]:
    return [
        value if type(value) in _JSON_TYPES[name] else None
        for name, value in zip(TRIP_SCHEMA, values, strict=True)
    ]


def _drop_unencodable(values: list[Any]) -> str | None:
    """Set strings with a lone surrogate to None: they can't be encoded, so no frame takes them."""
    broken = [
        index
        for index, value in enumerate(values[:_FIRST_DOUBLE])
        if type(value) is str and not _encodable(value)
    ]
    for index in broken:
        values[index] = None
    return "bad_id" if broken else None


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _time_error(values: list[Any], times: list[int | None]) -> str | None:
    pairs = zip(values, times, strict=True)
    bad = [value for value, time in pairs if time is None and value is not None]
    if any(type(value) in _NUMBER and not math.isfinite(_double(value) or 0) for value in bad):
        return "not_finite"
    return "bad_time" if bad else None


def _double(value: float | None) -> float | None:
    try:
        return None if value is None else float(value)
    except OverflowError:  # an integer beyond all doubles
        return math.inf
