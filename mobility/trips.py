"""Decodes messages to trips, a batch at a time.

The decoder works on columns and accepts a row only when it is certainly valid; every other row goes
to `read_trip`, which accepts it or says what is wrong with it. So a broken message can neither
reject other messages nor make the whole batch slow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import polars as pl

from mobility import rules_version_1
from mobility.id_characters import DISALLOWED_PATTERN
from mobility.json_checks import may_differ
from mobility.json_columns import Columns, read_columns
from mobility.records import MAX_AMOUNT, MAX_EVENT_TIME, MAX_ID_LENGTH, MICRO, MIN_EVENT_TIME
from mobility.shapes import with_shape
from mobility.times import epoch_ms
from mobility.validation import (
    AMOUNTS,
    COORDINATES,
    IDS,
    OPTIONAL_AMOUNTS,
    OPTIONAL_SINCE,
    STRINGS,
    TIMES,
    Rejection,
    Trip,
    TripRules,
    validate,
)
from mobility.values import JSON, ValueFormat

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
        "distance": pl.Int64,  # micro-kilometres; null where it is not known
        "revenue": pl.Int64,  # millionths of the currency unit; null where it is not known
    }
)

REJECTED_SCHEMA: Final = pl.Schema({"row": pl.Int64, "error": pl.String, "detail": pl.String})


@dataclass(frozen=True, slots=True)
class Decoded:
    """A batch of messages: `trips` (TRIP_SCHEMA) and `rejected` ones (REJECTED_SCHEMA).

    `objects` has the JSON object of each trip, by its row in the batch.
    """

    trips: pl.DataFrame
    rejected: pl.DataFrame
    objects: Sequence[bytes | None]

    def split(self, lengths: Sequence[int]) -> "list[Decoded]":
        """Return parts of so many messages each, which are batches of their own."""
        if len(lengths) == 1:
            return [self]
        ends = list(accumulate(lengths))
        firsts = [0, *ends[:-1]]
        columns = (_rows(self.trips, firsts), _rows(self.rejected, firsts))
        return [
            Decoded(trips, rejected, self.objects[first:end])
            for trips, rejected, first, end in zip(*columns, firsts, ends, strict=True)
        ]


def _rows(frame: pl.DataFrame, firsts: Sequence[int]) -> list[pl.DataFrame]:
    """Return the rows from each of these rows of the batch on, counted from there."""
    if frame.is_empty():
        return [frame] * len(firsts)
    starts = frame["row"].search_sorted(pl.Series(firsts), side="left").to_list()
    ends = [*starts[1:], frame.height]
    return [
        frame.slice(start, end - start).with_columns(pl.col("row") - first)
        for first, start, end in zip(firsts, starts, ends, strict=True)
    ]


NO_MESSAGES: Final = Decoded(
    pl.DataFrame(schema=TRIP_SCHEMA), pl.DataFrame(schema=REJECTED_SCHEMA), ()
)


def decode_trips(
    values: Sequence[bytes | None], rules: TripRules, form: ValueFormat = JSON
) -> Decoded:
    """Decode the values of a batch of messages; both frames are in the order of the batch."""
    if not values:
        return NO_MESSAGES  # a partition is polled ten times a second
    objects = form.objects(values, rules.max_bytes)
    columns = read_columns(objects, rules.max_bytes)
    certain = _certain_trips(columns, rules)
    if certain.height == len(values):
        return Decoded(certain, pl.DataFrame(schema=REJECTED_SCHEMA), objects)
    return _read_others(certain, values, rules, form, objects)


def read_trip(value: bytes | None, rules: TripRules, form: ValueFormat) -> tuple[bytes, Trip]:
    """Return the JSON object of the trip that a message holds, and the trip.

    This is the reference for a single message. Raises Rejection.
    """
    if value is None or len(value) > rules.max_bytes:
        return b"", validate(value, rules)  # which says why not
    try:
        found = form.object_of(value)
        return found, validate(found, rules)
    except Rejection as rejection:
        raise with_shape(rejection, value, form.name) from None


def _certain_trips(columns: Columns, rules: TripRules) -> pl.DataFrame:
    """Return the trips (TRIP_SCHEMA) of the rows in which every value is certainly valid."""
    fields = columns.fields
    timed = fields.drop("text").with_columns(
        *(_times(fields[name], rules) for name in TIMES),
        row=pl.int_range(pl.len(), dtype=pl.Int64),
        has_end=fields["end_time"].is_not_null(),
    )
    is_certain = _is_in_domain(rules)
    if columns.has_escapes or not columns.is_ascii:
        is_certain &= _have_allowed_ids(rules)
    certain = timed.select(is_certain.fill_null(value=False)).to_series() & ~may_differ(columns)
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
        pl.col("start_time").is_between(MIN_EVENT_TIME, MAX_EVENT_TIME)
        & (pl.col("end_time").is_not_null() == pl.col("has_end"))
        & pl.col("end_time").is_between(MIN_EVENT_TIME, MAX_EVENT_TIME).fill_null(True)
    )
    for name in AMOUNTS:
        lowest = -MAX_AMOUNT if name == "price" and rules.refunds else 0.0
        is_allowed = pl.col(name).is_between(lowest, MAX_AMOUNT)
        may_lack = name in OPTIONAL_AMOUNTS and rules.version >= OPTIONAL_SINCE
        is_valid &= is_allowed.fill_null(True) if may_lack else is_allowed
    for name, limit in COORDINATES.items():
        is_valid &= pl.col(name).is_between(-limit, limit).fill_null(True)
    for name in IDS:
        is_valid &= pl.col(name).str.len_chars().is_between(1, MAX_ID_LENGTH).fill_null(True)
    return is_valid


def _have_allowed_ids(rules: TripRules) -> pl.Expr:
    ids = pl.col(*IDS).str
    if rules.version == 1:
        allowed = ids.contains(rules_version_1.CERTAIN_ID)
    else:
        allowed = ~ids.contains(DISALLOWED_PATTERN)
    return pl.all_horizontal(allowed.fill_null(value=True))


def _times(texts: pl.Series, rules: TripRules) -> pl.Series:
    if rules.version == 1:
        texts = texts.set(texts.str.contains(rules_version_1.UNCERTAIN_TIME), None)
    return epoch_ms(texts)


def _event_time(rules: TripRules) -> pl.Expr:
    if rules.event_time == "start":
        return pl.col("start_time")
    lasted = (pl.col("duration_min") * 60_000).round(mode="half_to_even").cast(pl.Int64)
    return pl.coalesce("end_time", pl.col("start_time") + lasted)


def _micro(name: str) -> pl.Expr:
    return (pl.col(name) * MICRO).round(mode="half_to_even").cast(pl.Int64)


def _read_others(
    certain: pl.DataFrame,
    values: Sequence[bytes | None],
    rules: TripRules,
    form: ValueFormat,
    objects: Sequence[bytes | None],
) -> Decoded:
    others = pl.repeat(value=True, n=len(values), dtype=pl.Boolean, eager=True)
    trips, rejected = [], []
    found = list(objects)
    for row in others.scatter(certain["row"], values=False).arg_true():
        try:
            found[row], trip = read_trip(values[row], rules, form)
            trips.append({"row": row, **trip})
        except Rejection as rejection:
            rejected.append((row, rejection.reason, rejection.detail))
    if trips:
        validated = pl.DataFrame(trips, schema=TRIP_SCHEMA)
        certain = pl.concat([certain, validated]).sort("row")
    return Decoded(certain, pl.DataFrame(rejected, schema=REJECTED_SCHEMA, orient="row"), found)
