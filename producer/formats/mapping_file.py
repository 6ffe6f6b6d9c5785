"""Mappings of columns as TOML: written for files of no known format, edited by people, and read."""

import difflib
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

from producer.formats.errors import TripsFileError
from producer.formats.known_formats import FORMATS
from producer.formats.local_times import check_timezone
from producer.formats.reading_plan import find_sources
from producer.formats.trip_format import (
    AMOUNTS,
    FIELDS,
    STRINGS,
    TIMES,
    Column,
    DateAndTime,
    DistanceUnit,
    DurationUnit,
    Source,
    Total,
    TripFormat,
    columns_of,
    normal_name,
)

_NEEDED: Final = ("start_time", "end_time", "duration_min")
_LIKENESS: Final = 0.6

# Of trips with one id, such as that of a bike, one counts: a name that is only near is none.
_LIKENESS_OF_IDS: Final = 0.85
_UNITS: Final[Mapping[str, tuple[str, ...]]] = {
    "distance_unit": get_args(DistanceUnit),
    "duration_unit": get_args(DurationUnit),
}
_TEXTS: Final = ("timezone", "vehicle_type", "time_format", *_UNITS)

_PLAIN_NAMES: Final = {
    "trip_id": ("ride no", "trip no", "ride number", "trip number", "booking"),
    "start_time": ("pickup", "departure", "begin", "started", "date", "timestamp"),
    "end_time": ("dropoff", "arrival", "finish", "ended"),
    "duration_min": ("duration", "minutes", "elapsed"),
    "distance_km": ("distance", "km", "miles", "kilometres", "mileage"),
    "price": ("fare", "cost", "amount", "total", "revenue"),
    "driver_id": ("driver", "courier"),
    "passenger_id": ("passenger", "rider", "customer", "user"),
    "vehicle_type": ("type", "vehicle", "mode"),
    "start_lat": ("latitude", "lat", "origin latitude"),
    "start_lng": ("longitude", "lng", "lon", "origin longitude"),
    "end_lat": ("destination latitude",),
    "end_lng": ("destination longitude",),
    "start_location_id": ("origin", "start zone", "from"),
    "end_location_id": ("destination", "end zone", "to"),
}
"""What people call these fields, besides the names of known formats."""

_UNIT_WORDS: Final = {
    "m": {"m", "meter", "meters", "metre", "metres"},
    "mi": {"mi", "mile", "miles"},
    "ft": {"ft", "feet"},
    "s": {"s", "sec", "secs", "second", "seconds"},
    "ms": {"ms", "millis", "milliseconds"},
    "h": {"h", "hour", "hours"},
}
"""Words in the names of columns that say their unit, if it is not that of a trip."""

_TEMPLATE: Final = """\
# How the columns of {file} become trips. Edit, then run again with --columns {mapping}

timezone = "UTC"        # of times without an offset: an IANA zone, such as "Europe/Berlin"
distance_unit = "{distance_unit}"    # {distance_units}
duration_unit = "{duration_unit}"   # {duration_units}
minor_currency_units = false    # true: prices are in cents
# vehicle_type = "scooter"      # of all trips, if no column has it
# time_format = "%d/%m/%Y %H:%M"    # if times are in a form that is not recognised

# The columns of the file: {columns}
[columns]
"""

_COMMENTS: Final = {
    "start_time": 'required; ["date", "time"] if these are two columns',
    "end_time": "required if there is no duration_min",
    "duration_min": "required if there is no end_time",
    "distance_km": "optional",
    "price": "optional; several columns in [] are added",
}


@dataclass(frozen=True, slots=True)
class Likeness:
    """What a column looks like: a field of a trip, by the nearest known name of one.

    `share` is 1 where the names are the same.
    """

    field: str
    known: str
    share: float


def likely_fields(columns: Sequence[str]) -> dict[str, Likeness]:
    """Return what columns look like, by column; others are left out.

    Known are the names of fields, plain names, and the columns of all known formats.
    """
    known = _known_names()
    found: dict[str, Likeness] = {}
    for name in columns:
        given = normal_name(name)
        for near in difflib.get_close_matches(given, known, n=1, cutoff=_LIKENESS):
            field, spelled = known[near]
            share = difflib.SequenceMatcher(None, near, given).ratio()
            if field not in STRINGS or share >= _LIKENESS_OF_IDS:
                found[name] = Likeness(field, spelled, share)
    return found


def write_mapping(folder: Path, file: str, columns: Sequence[str]) -> Path:
    """Write a mapping for a file to a folder, with what its columns look like; return its path.

    A file that is there already is kept: people may have edited it.
    """
    path = folder / f"{_stem(file)}.columns.toml"
    if not path.exists():
        path.write_text(_mapping_text(path, file, columns), "utf-8")
    return path


def read_mapping(path: Path) -> TripFormat:
    """Return the format that a mapping describes. Raises TripsFileError."""
    try:
        held = tomllib.loads(path.read_text("utf-8-sig"))
        return _format_of(path, held)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ValueError) as error:
        msg = f"{path}: not a valid mapping of columns: {error}"
        raise TripsFileError(msg) from error


def _known_names() -> dict[str, tuple[str, str]]:
    """Return known names, normalised, with the field that each stands for."""
    known = {normal_name(name): (name, name) for name in FIELDS}
    for field, names in _PLAIN_NAMES.items():
        known |= {normal_name(name): (field, field) for name in names}
    for each in FORMATS:
        for field, source in each.fields.items():
            for column in columns_of(source) if not isinstance(source, Total) else (source.base,):
                for name in column.names:
                    known.setdefault(normal_name(name), (field, name))
    return known


def _stem(file: str) -> str:
    return Path(file).name.split(".")[0] or "trips"


def _mapping_text(path: Path, file: str, columns: Sequence[str]) -> str:
    suggested = _nearest_columns(columns)
    head = _TEMPLATE.format(
        file=Path(file).name,
        mapping=path.name,
        distance_unit=_likely_unit(str(suggested.get("distance_km", "")), "distance_unit"),
        duration_unit=_likely_unit(str(suggested.get("duration_min", "")), "duration_unit"),
        distance_units=", ".join(_UNITS["distance_unit"]),
        duration_units=", ".join(_UNITS["duration_unit"]),
        columns=", ".join(json.dumps(name.strip(), ensure_ascii=False) for name in columns),
    )
    lines = []
    for field in (*TIMES, *AMOUNTS, *(name for name in FIELDS if name not in (*TIMES, *AMOUNTS))):
        given = json.dumps(suggested.get(field, ""), ensure_ascii=False)
        start = "" if field in suggested or field in _NEEDED else "# "
        comment = f"    # {_COMMENTS[field]}" if field in _COMMENTS else ""
        lines.append(f"{start}{field} = {given}{comment}")
    return head + "\n".join(lines) + "\n"


def _nearest_columns(columns: Sequence[str]) -> dict[str, str | list[str]]:
    """Return, by field, the column whose name is nearest to one of the field, the first of such.

    Of a time, two columns if they are named as the date and the time of a known format.
    """
    likely = likely_fields(columns)
    by_nearness = sorted(likely, key=lambda name: -likely[name].share)
    found: dict[str, str | list[str]] = {}
    for name in by_nearness:
        found.setdefault(likely[name].field, name)
    for each in FORMATS:
        pairs = {name: source for name, source in each.fields.items() if name in TIMES}
        for name, source in find_sources(pairs, columns).items():
            if isinstance(source, DateAndTime):
                found[name] = [column.names[0] for column in columns_of(source)]
    return found


def _likely_unit(column: str, kind: str) -> str:
    words = set(re.split(r"[\W_]+", column.casefold()))
    units = _UNITS[kind]
    return next((unit for unit in units if words & _UNIT_WORDS.get(unit, set())), units[0])


def _format_of(path: Path, held: Mapping[str, Any]) -> TripFormat:
    allowed = {*_TEXTS, "minor_currency_units", "columns"}
    if unknown := sorted(set(held) - allowed):
        msg = f"no such key: {', '.join(unknown)} (known are {', '.join(sorted(allowed))})"
        raise ValueError(msg)
    columns = held.get("columns", {})
    if unknown := sorted(set(columns) - set(FIELDS)):
        msg = f"no such field of a trip: {', '.join(unknown)} (known are {', '.join(FIELDS)})"
        raise ValueError(msg)
    for name in _TEXTS:
        if not isinstance(held.get(name, ""), str):
            msg = f"{name} is not text"
            raise ValueError(msg)  # noqa: TRY004 - a wrong value of the file, as the others here
    for name, units in _UNITS.items():
        if held.get(name, units[0]) not in units:
            msg = f"{name} is {held[name]} (expected one of {', '.join(units)})"
            raise ValueError(msg)
    if (timezone := held.get("timezone")) is not None:
        check_timezone(timezone)
    fields = {field: _source(field, given) for field, given in columns.items() if given}
    return TripFormat(
        name=path.name,
        title="a mapping of columns",
        recognised_by=(),
        fields=fields,
        timezone=timezone or "UTC",
        duration_unit=held.get("duration_unit", "min"),
        distance_unit=held.get("distance_unit", "km"),
        minor_currency_units=held.get("minor_currency_units") is True,
        vehicle_type=held.get("vehicle_type"),
        time_format=held.get("time_format"),
        ids="ids as mapped",
    )


def _source(field: str, given: object) -> Source:
    match given:
        case str(name):
            return Column((name,))
        case [str(date), str(time)] if field in TIMES:
            return DateAndTime(Column((date,)), Column((time,)))
        case [str(first), *others] if field == "price" and all(isinstance(x, str) for x in others):
            return Total(Column((first,)), tuple(Column((str(name),)) for name in others))
    msg = f"{field} is {given!r} (expected the name of a column)"
    raise ValueError(msg)
