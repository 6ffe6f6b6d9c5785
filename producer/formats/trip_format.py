"""What a format of trip files is: which column holds which field of a trip, and in which unit."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

KILOMETRES: Final = {"km": 1.0, "m": 0.001, "mi": 1.609344, "ft": 0.000_304_8}
"""Kilometres in a unit of distance (the international mile and foot)."""

MINUTES: Final = {"min": 1.0, "s": 1 / 60, "ms": 1 / 60_000, "h": 60.0}
"""Minutes in a unit of duration."""

DistanceUnit = Literal["km", "m", "mi", "ft"]
DurationUnit = Literal["min", "s", "ms", "h"]

STRINGS: Final = ("trip_id", "driver_id", "passenger_id", "vehicle_type")
LOCATIONS: Final = ("start_location_id", "end_location_id")
COORDINATES: Final = {"start_lat": 90.0, "start_lng": 180.0, "end_lat": 90.0, "end_lng": 180.0}
TIMES: Final = ("start_time", "end_time")
OPTIONAL_AMOUNTS: Final = ("distance_km", "price")
AMOUNTS: Final = ("duration_min", *OPTIONAL_AMOUNTS)
FIELDS: Final = (*STRINGS, *LOCATIONS, *COORDINATES, *TIMES, *AMOUNTS)
"""The fields of a trip, as in `trips_stream`."""

REQUIRED: Final = ("start_time", "duration_min")
"""The fields that every trip has."""


def normal_name(name: str) -> str:
    """Return a column's name without what exporting tools change: case, blanks, punctuation, BOM.

    >>> normal_name(" Trip Start Timestamp"), normal_name("trip_start_timestamp")
    ('tripstarttimestamp', 'tripstarttimestamp')
    """
    return re.sub(r"[\W_]+", "", name.casefold())


@dataclass(frozen=True, slots=True)
class Column:
    """The first of the columns with these names (aliases) that a file has.

    `path`: a JSONPath to the value, where the column holds JSON text.
    """

    names: tuple[str, ...]
    path: str = ""


@dataclass(frozen=True, slots=True)
class DateAndTime:
    """A time whose date and time of day are in two columns."""

    date: Column
    time: Column


@dataclass(frozen=True, slots=True)
class Total:
    """An amount that is the sum of several columns: `parts` a file may lack, and null ones, are 0.

    The sum is null where `base` is null.
    """

    base: Column
    parts: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Points:
    """A duration that follows from a JSON array of positions recorded every `seconds` seconds."""

    column: Column
    seconds: int


@dataclass(frozen=True, slots=True)
class Track:
    """A distance that is the length of a JSON array of positions (`tracks`)."""

    column: Column


Source = Column | DateAndTime | Total | Points | Track
"""Where the value of one field of a trip is."""


def columns_of(source: Source) -> tuple[Column, ...]:
    """Return the columns of a source; those of a total that a file may lack are last."""
    match source:
        case Column():
            return (source,)
        case DateAndTime(date, time):
            return (date, time)
        case Total(base, parts):
            return (base, *parts)
        case Points(column, _) | Track(column):
            return (column,)


def column(*names: str, path: str = "") -> Column:
    """Return the source that is one column, by its names."""
    return Column(names, path)


@dataclass(frozen=True, slots=True)
class ServiceArea:
    """The area of an operator whose files have no time zone of their own: a centre in degrees."""

    name: str
    lat: float
    lng: float
    timezone: str


@dataclass(frozen=True, slots=True)
class TripFormat:
    """A format of trip files.

    `recognised_by`: alternative sets of columns; a file that has all of one set has this format.
    `values`: by column, a regular expression of most of its values, where other formats have the
    same columns.
    `fields`: by field of a trip, its source; a field that is not here is null. `timezone`: the IANA
    zone of local times; `areas` decide on it where positions have to. `currency_code`: the column
    of the currency, where prices are in minor units. `incomplete`: a column that
    is `true` in rows whose data the publisher calls incomplete; they are left out. `ids` says for
    people what ids of the source mean. `is_passed_on`: rows are trips already, so they are sent
    with further columns, and the flow decides which are valid.
    """

    name: str
    title: str
    recognised_by: Sequence[tuple[str, ...]]
    fields: Mapping[str, Source]
    values: Mapping[str, str] = field(default_factory=dict)
    timezone: str | None = None
    areas: Sequence[ServiceArea] = ()
    duration_unit: DurationUnit = "min"
    distance_unit: DistanceUnit = "km"
    minor_currency_units: bool = False
    currency: str = ""
    currency_code: Column | None = None
    vehicle_type: str | None = None
    time_format: str | None = None
    incomplete: Column | None = None
    ids: str = "no ids of drivers or passengers"
    is_passed_on: bool = False
