"""Decodes messages to trips, a batch at a time.

The decoder works on columns and accepts a row only when it is certainly valid; every other row goes
to `mobility.validation`, which accepts it or says what is wrong with it. So a broken message can
neither reject other messages nor make the whole batch slow.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import polars as pl

from mobility.records import MAX_AMOUNT, MAX_EVENT_TIME, MAX_ID_LENGTH, MICRO, MIN_EVENT_TIME
from mobility.times import DIGITS, epoch_ms
from mobility.validation import (
    AMOUNTS,
    COORDINATES,
    IDS,
    LOCATIONS,
    STRINGS,
    TIMES,
    Rejection,
    TripRules,
    validate,
)

TRIP_SCHEMA: Final = pl.Schema(
    {
        "row": pl.Int64,  # position in the batch
        "trip_id": pl.String,
        "driver_id": pl.String,
        "passenger_id": pl.String,
        "vehicle_type": pl.String,
        "start_location": pl.String,
        "start_lat": pl.Float64,
        "start_lng": pl.Float64,
        "start_time": pl.Int64,  # epoch ms
        "event_time": pl.Int64,  # epoch ms
        "duration": pl.Int64,  # micro-minutes
        "distance": pl.Int64,  # micro-kilometres
        "revenue": pl.Int64,  # millionths of the currency unit
    }
)

REJECTED_SCHEMA: Final = pl.Schema({"row": pl.Int64, "error": pl.String, "detail": pl.String})

_JSON_SCHEMA: Final = pl.Schema(
    {
        **dict.fromkeys((*STRINGS, *LOCATIONS, *TIMES), pl.String),
        **dict.fromkeys((*COORDINATES, *AMOUNTS), pl.Float64),
    }
)

# Where Polars can't read so few messages at once, each is validated by itself.
_SMALLEST_SPLIT: Final = 16

# Polars' reader is recursive; no real trip is nested this deeply.
_MOST_BRACKETS: Final = 100

# How Polars writes a value that is no string where the schema says string.
_COERCED: Final = r"^(?:true|false|[\[{].*|-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)$"
_PLAIN_INTEGER: Final = r"^(?:0|-?[1-9][0-9]{0,17})$"
_FLOAT_LOCATION: Final = r'_location_id"\s*:\s*-?[0-9]+[.eE]'
_PRINTABLE_ASCII: Final = "^[ -~]*$"

# What Polars may read as a wrong text in a message without escapes: anything but a string or null
# where a string belongs, a location that is no short integer, a time in digits. Names are matched
# by their last letters, which costs a third less; other fields with that ending match as well.
_ENDS: Final = "|".join(sorted({name[-4:] for name in STRINGS}))
_DOUBTFUL: Final = (
    rf'(?:{_ENDS})"\s*:\s*[^"\sn]'
    r'|n_id"\s*:\s*(?:[^"\s0-9n-]|-?[0-9]+[.eE]|-?[0-9]{19}|-0)'
    r'|time"\s*:\s*"-?[0-9]{1,15}"'
)

_Number = float | None
_Text = str | None


class _Screen(msgspec.Struct):
    """The types of a trip's known fields: a strict and fast check of doubtful messages."""

    start_time: str | float
    duration_min: float
    distance_km: float
    price: float
    trip_id: _Text = None
    driver_id: _Text = None
    passenger_id: _Text = None
    vehicle_type: _Text = None
    start_location_id: int | str | None = None
    end_location_id: int | str | None = None
    start_lat: _Number = None
    start_lng: _Number = None
    end_lat: _Number = None
    end_lng: _Number = None
    end_time: str | float | None = None


_screen: Final = msgspec.json.Decoder(_Screen)


@dataclass(frozen=True, slots=True)
class Decoded:
    """A batch of messages: `trips` (TRIP_SCHEMA) and `rejected` ones (REJECTED_SCHEMA)."""

    trips: pl.DataFrame
    rejected: pl.DataFrame


def decode_trips(values: Sequence[bytes | None], rules: TripRules) -> Decoded:
    """Decode the values of a batch of messages; both frames are in the order of the batch."""
    certain = pl.concat(
        [_certain_trips(fields, rules) for fields in _readable(values, rules)]
        or [pl.DataFrame(schema=TRIP_SCHEMA)]
    )
    if certain.height == len(values):
        return Decoded(certain, pl.DataFrame(schema=REJECTED_SCHEMA))
    return _validate_others(certain, values, rules)


def _readable(values: Sequence[bytes | None], rules: TripRules) -> Iterator[pl.DataFrame]:
    """Yield frames of `row` and the JSON fields of the messages that Polars can read."""
    present = [value for value in values if value is not None]
    fits = max(map(len, present), default=0) <= rules.max_bytes
    if fits and len(present) == len(values):
        fields = _read(present, range(len(values)))
        if fields is not None:
            yield fields
            return
    rows = [
        row
        for row, value in enumerate(values)
        if value is not None and len(value) <= rules.max_bytes and _has_known_types(value)
    ]
    yield from _bisect([values[row] or b"" for row in rows], rows)


def _has_known_types(value: bytes) -> bool:
    try:
        _screen.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return value.count(b"[") + value.count(b"{") < _MOST_BRACKETS


def _bisect(values: list[bytes], rows: Sequence[int]) -> Iterator[pl.DataFrame]:
    if not values:
        return
    fields = _read(values, rows)
    if fields is not None:
        yield fields
    elif len(values) > _SMALLEST_SPLIT:
        half = len(values) // 2
        yield from _bisect(values[:half], rows[:half])
        yield from _bisect(values[half:], rows[half:])


def _read(values: list[bytes], rows: Sequence[int]) -> pl.DataFrame | None:
    """Read messages as lines, or return None where they are not one JSON object a line each."""
    lines = b"\n".join(values)
    brackets = lines.count(b"{") + (lines.count(b"[") if b"[" in lines else 0)
    if lines.count(b"\n") != len(values) - 1 or brackets > len(values) + _MOST_BRACKETS:
        return None
    try:
        fields = pl.read_ndjson(lines, schema=_JSON_SCHEMA)
    except pl.exceptions.ComputeError:
        return None
    if fields.height != len(values):
        return None
    fields = fields.with_columns(pl.Series("row", rows, dtype=pl.Int64))
    escapes = b"\\" in lines
    doubtful = []
    if escapes or _is_doubtful(lines):
        doubtful.append(_doubtful_texts(fields, values))
    if escapes or b"\x7f" in lines or not lines.isascii():
        doubtful += [~fields[name].str.contains(_PRINTABLE_ASCII) for name in IDS]
    if not doubtful:
        return fields
    return fields.filter(~pl.any_horizontal(*doubtful).fill_null(False))


def _is_doubtful(lines: bytes) -> bool:
    """Tell whether Polars may have read a wrong text anywhere in a batch.

    Most batches have none, and one search of the whole batch costs less than one of each row.
    """
    return bool(_as_series([lines]).str.contains(_DOUBTFUL).item())


def _doubtful_texts(fields: pl.DataFrame, values: list[bytes]) -> pl.Series:
    """Return in which rows a text may differ from the message."""
    texts = _as_series(values)
    # Polars writes 7.0 as 7, but a location's number must be an integer; and it replaces half of a
    # surrogate pair, which is no character.
    doubtful = texts.str.contains(_FLOAT_LOCATION) | texts.str.contains(r"\\u[dD]")
    for name in (*STRINGS, *LOCATIONS):
        coerced = fields[name].str.contains(_COERCED).fill_null(False)
        if name in LOCATIONS:
            coerced &= ~fields[name].str.contains(_PLAIN_INTEGER).fill_null(False)
        if coerced.any():
            doubtful |= coerced & ~_occurs_once(texts, name, '"')
    for name in TIMES:
        digits = fields[name].str.contains(DIGITS).fill_null(False)
        if digits.any():
            doubtful |= digits & ~_occurs_once(texts, name, "[-0-9]")
    return doubtful


def _occurs_once(texts: pl.Series, name: str, first: str) -> pl.Series:
    """Return in which messages a field occurs once, with a value that begins with `first`."""
    once = texts.str.count_matches(f'"{name}"') == 1
    return once & texts.str.contains(rf'"{name}"\s*:\s*{first}')


def _as_series(values: list[bytes]) -> pl.Series:
    # What Polars has read as JSON is UTF-8.
    return pl.Series(values, dtype=pl.Binary).cast(pl.String)


def _certain_trips(fields: pl.DataFrame, rules: TripRules) -> pl.DataFrame:
    """Return the trips (TRIP_SCHEMA) of the rows in which every value is certainly valid."""
    timed = fields.with_columns(
        epoch_ms(fields["start_time"]),
        epoch_ms(fields["end_time"]),
        has_end=fields["end_time"].is_not_null(),
    )
    certain = timed.select(_is_in_domain(rules).fill_null(False)).to_series()
    return (timed if certain.all() else timed.filter(certain)).select(
        "row",
        *STRINGS,
        pl.col("start_location_id").alias("start_location"),
        "start_lat",
        "start_lng",
        "start_time",
        _event_time(rules).alias("event_time"),
        _micro("duration_min").alias("duration"),
        _micro("distance_km").alias("distance"),
        _micro("price").alias("revenue"),
    )


def _is_in_domain(rules: TripRules) -> pl.Expr:
    is_valid = (
        pl.col("duration_min").is_between(0.0, MAX_AMOUNT)
        & pl.col("distance_km").is_between(0.0, MAX_AMOUNT)
        & pl.col("price").is_between(-MAX_AMOUNT if rules.refunds else 0.0, MAX_AMOUNT)
        & pl.col("start_time").is_between(MIN_EVENT_TIME, MAX_EVENT_TIME)
        & (pl.col("end_time").is_not_null() == pl.col("has_end"))
        & pl.col("end_time").is_between(MIN_EVENT_TIME, MAX_EVENT_TIME).fill_null(True)
    )
    for name, limit in COORDINATES.items():
        is_valid &= pl.col(name).is_between(-limit, limit).fill_null(True)
    for name in IDS:
        is_valid &= pl.col(name).str.len_bytes().is_between(1, MAX_ID_LENGTH).fill_null(True)
    return is_valid


def _event_time(rules: TripRules) -> pl.Expr:
    if rules.event_time == "start":
        return pl.col("start_time")
    lasted = (pl.col("duration_min") * 60_000).round(mode="half_to_even").cast(pl.Int64)
    return pl.coalesce("end_time", pl.col("start_time") + lasted)


def _micro(name: str) -> pl.Expr:
    return (pl.col(name) * MICRO).round(mode="half_to_even").cast(pl.Int64)


def _validate_others(
    certain: pl.DataFrame, values: Sequence[bytes | None], rules: TripRules
) -> Decoded:
    accepted = set(certain["row"])
    trips, rejected = [], []
    for row in (row for row in range(len(values)) if row not in accepted):
        try:
            trips.append({"row": row, **validate(values[row], rules)})
        except Rejection as rejection:
            rejected.append((row, rejection.reason, rejection.detail))
    validated = pl.DataFrame(trips, schema=TRIP_SCHEMA)
    return Decoded(
        pl.concat([certain, validated]).sort("row"),
        pl.DataFrame(rejected, schema=REJECTED_SCHEMA, orient="row"),
    )
