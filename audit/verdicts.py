"""What the messages of a log are: trips, punctuations, or dead letters and why.

On purpose nothing here is shared with the dataflow: a mistake would have to be made twice to go
unseen. `json.loads` decodes one message at a time; what can be said of columns is.
"""

import json
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import polars as pl

from audit.times import epoch_ms, event_time
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
"""The known fields of a trip as the oracle holds them; ids of locations are text."""

MESSAGE_SCHEMA: Final = pl.Schema(
    [
        ("partition", pl.Int32),
        ("offset", pl.Int64),
        ("timestamp", pl.Int64),  # epoch ms, the broker's
        ("shape", pl.String),  # why it is no trip at all, else null
        ("text", pl.String),  # bad_id where a string is no text, else null
        ("time", pl.String),  # why a time cannot be read, else null
        ("watermark", pl.Int64),  # of a punctuation, else null
        *TRIP_SCHEMA.items(),
    ]
)

BY_REFERENCE: Final = "oversized"
"""The one reason whose dead letters have no value: they only say where the message is."""

_REQUIRED: Final = frozenset({"start_time", *AMOUNTS})

# Exact types: a JSON boolean is an int to isinstance, and no number to us.
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


class Message(NamedTuple):
    """A record of the log, as Kafka gives it; `timestamp` is its epoch ms of log append."""

    partition: int
    offset: int
    timestamp: int
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()


def inspected(
    messages: Sequence[Message], settings: Settings, version: RulesVersion = RULES_VERSION
) -> pl.DataFrame:
    """Return MESSAGE_SCHEMA and `reason`, one row a message.

    `reason` is null for punctuations and for trips that nothing speaks against but their being late
    or repeated. A dead letter keeps the fields that could be read.
    """
    rows = [_row(message, settings.max_message_bytes, version) for message in messages]
    frame = pl.DataFrame(rows, schema=MESSAGE_SCHEMA, orient="row")
    return frame.with_columns(reason=_reason(frame, settings, version))


def _reason(frame: pl.DataFrame, settings: Settings, version: RulesVersion) -> pl.Expr:
    """Return the first reason against each message: the order here is the order of the checks."""
    doubles = pl.col(*COORDINATES, *AMOUNTS)
    amounts = pl.col(*AMOUNTS)
    not_negative = pl.col("duration_min", "distance_km") if settings.refunds else amounts
    beyond = [pl.col(name).abs() > limit for name, limit in COORDINATES.items()]
    moment = pl.coalesce("watermark", event_time(settings))
    tolerated = pl.col("timestamp") + settings.future_tolerance * 1_000
    return pl.coalesce(
        "shape",
        _where(pl.any_horizontal(~doubles.is_finite()), "not_finite"),
        _where(pl.col("time") == "not_finite", "not_finite"),
        _where(pl.any_horizontal(not_negative < 0), "negative"),
        _where(pl.any_horizontal(amounts.abs() > MAX_AMOUNT), "too_large"),
        _where(pl.any_horizontal(_bad_ids(frame, version)), "bad_id"),
        "text",
        _where(pl.any_horizontal(beyond), "bad_coordinates"),
        "time",
        _where(moment > tolerated, "in_future"),
    )


def _where(condition: pl.Expr, reason: str) -> pl.Expr:
    return pl.when(condition).then(pl.lit(reason))


def _bad_ids(frame: pl.DataFrame, version: RulesVersion) -> list[pl.Expr]:
    names = [name for name in (*STRINGS, *LOCATIONS) if name != "trip_id"]
    return [pl.col(name).is_in(_unfit(frame[name], version)) for name in names]


def _unfit(ids: pl.Series, version: RulesVersion) -> list[str]:
    """Return the ids that are empty, too long or hold what none may; each is asked once."""
    is_fit = str.isprintable if version == 1 else _is_text
    return [
        text
        for text in ids.drop_nulls().unique()
        if not (0 < len(text) <= MAX_ID_LENGTH and is_fit(text))
    ]


def _is_text(text: str) -> bool:
    """Return whether no character is a control or what Unicode calls a noncharacter."""
    return not any(
        code < 0x20  # noqa: PLR2004 - as the tables of Unicode have them
        or 0x7F <= code < 0xA0  # noqa: PLR2004
        or 0xFDD0 <= code < 0xFDF0  # noqa: PLR2004
        or code & 0xFFFE == 0xFFFE  # noqa: PLR2004
        for code in map(ord, text)
    )


def _row(message: Message, longest: int, version: RulesVersion) -> Row:
    position, value = message[:3], message.value
    if value is None:
        watermark = _punctuation(message.headers)
        reason = "tombstone" if watermark is None else None
        return (*position, reason, None, None, watermark, *_NO_TRIP)
    if len(value) > longest:
        return (*position, BY_REFERENCE, None, None, None, *_NO_TRIP)
    reason, trip = _decoded(value, version)
    if trip is None:
        return (*position, reason, None, None, None, *_NO_TRIP)
    values = [trip.get(name) for name in TRIP_SCHEMA]
    reason = _shape_fault(tuple(map(type, values)))
    if reason is not None:
        values = _well_typed(values)
    text_fault = _drop_broken(values) if b"\\u" in value else None
    moments = [epoch_ms(each, version) for each in values[_FIRST_TIME:]]
    return (
        *position,
        reason,
        text_fault,
        _time_fault(values[_FIRST_TIME:], moments) if None in moments else None,
        None,
        *values[: len(STRINGS)],
        *[None if each is None else str(each) for each in values[len(STRINGS) : _FIRST_DOUBLE]],
        *[_double(each) for each in values[_FIRST_DOUBLE:_FIRST_TIME]],
        *moments,
    )


def _decoded(value: bytes, version: RulesVersion) -> tuple[str | None, dict[str, Any] | None]:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return "not_utf8", None
    if version > 1 and _levels(text) > MAX_NESTING:
        return "not_json", None
    try:
        trip = json.loads(text, object_pairs_hook=_with_first_of_equal_keys)
    except (ValueError, RecursionError):
        return "not_json", None
    return (None, trip) if type(trip) is dict else ("not_object", None)


def _levels(text: str) -> int:
    """Return how deep a JSON text is nested, or less than it may be."""
    if text.count("{") + text.count("[") <= MAX_NESTING:
        return 0
    level = deepest = 0
    # Between a quote and the next is a string, once those that are escaped are gone.
    for outside in text.replace(r"\\", "").replace(r"\"", "").split('"')[::2]:
        for character in outside:
            level += (character in "[{") - (character in "]}")
            deepest = max(deepest, level)
    return deepest


def _with_first_of_equal_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    trip: dict[str, object] = {}
    for key, value in pairs:
        trip.setdefault(key, value)
    return trip


def _punctuation(headers: Sequence[tuple[str, bytes | None]]) -> int | None:
    """Return the event time that a message without value announces, None if it is none."""
    last = dict(headers).get(WATERMARK_HEADER)
    digits = (last or b"").removeprefix(b"-")
    if last is None or not digits.isdigit():
        return None
    # Clamped to one step outside the years, where doubles are exact: it means the same, and fits.
    return int(min(max(float(last), MIN_EVENT_TIME - 1), MAX_EVENT_TIME + 1))


@lru_cache(maxsize=10_000)
def _shape_fault(types: tuple[type, ...]) -> str | None:
    """Judge the types of a trip's values; feeds have few combinations, so each is asked once."""
    by_name = dict(zip(TRIP_SCHEMA, types, strict=True))
    if any(by_name[name] is type(None) for name in _REQUIRED):
        return "missing_field"
    allowed = ((kind, _JSON_TYPES[name] | {type(None)}) for name, kind in by_name.items())
    return None if all(kind in kinds for kind, kinds in allowed) else "wrong_type"


def _well_typed(values: list[Any]) -> list[Any]:
    return [
        value if type(value) in _JSON_TYPES[name] else None
        for name, value in zip(TRIP_SCHEMA, values, strict=True)
    ]


def _drop_broken(values: list[Any]) -> str | None:
    """Take strings with a lone surrogate out of the row: no UTF-8, so no frame, can hold them."""
    broken = [
        place
        for place, value in enumerate(values[:_FIRST_DOUBLE])
        if type(value) is str and not _encodable(value)
    ]
    for place in broken:
        values[place] = None
    return "bad_id" if broken else None


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _time_fault(values: list[Any], moments: list[int | None]) -> str | None:
    pairs = zip(values, moments, strict=True)
    unread = [value for value, moment in pairs if moment is None and value is not None]
    if any(type(value) in _NUMBER and not math.isfinite(_double(value) or 0) for value in unread):
        return "not_finite"
    return "bad_time" if unread else None


def _double(value: float | None) -> float | None:
    try:
        return None if value is None else float(value)
    except OverflowError:  # an integer beyond all doubles
        return math.inf
