"""The columns of a trips file: their allowed types, and their times in epoch milliseconds."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import polars as pl
from polars.datatypes import DataTypeClass

from mobility.records import MAX_EVENT_TIME, MIN_EVENT_TIME
from mobility.times import epoch_ms
from mobility.validation import AMOUNTS, COORDINATES, LOCATIONS, REQUIRED, STRINGS, TIMES

_PER_MS: Final = {"ms": 1, "us": 1_000, "ns": 1_000_000}
_MS_PER_MINUTE: Final = 60_000


class TripsFileError(ValueError):
    """A file that can't be replayed; the message lists every error, one per line."""


def check_columns(path: Path, schema: pl.Schema) -> None:
    """Raise TripsFileError if a required column is missing or a type can't be converted."""
    errors = [
        f"{path}: no column {name} (expected {_expected(name)})"
        for name in REQUIRED
        if name not in schema
    ]
    for name, found in schema.items():
        if found == pl.Null and name in _KNOWN:
            if name in REQUIRED:
                errors.append(f"{path}: column {name} is empty (expected {_expected(name)})")
        elif name in _KNOWN and not _KNOWN[name][1](found):
            errors.append(f"{path}: column {name} is {found} (expected {_expected(name)})")
        elif not _is_json_type(found):
            errors.append(f"{path}: column {name} is {found}, which JSON can't represent")
    if errors:
        raise TripsFileError("\n".join(errors))


def time_ms(times: pl.Series) -> pl.Series:
    """Return times in epoch ms (Int64), floored; null if a time is missing or invalid."""
    if isinstance(times.dtype, pl.Datetime):
        ms = times.to_physical() // _PER_MS[times.dtype.time_unit]
    elif times.dtype.is_integer():
        ms = times.cast(pl.Int64, strict=False)
    else:
        ms = epoch_ms(times.cast(pl.String))
    return ms.set(~ms.is_between(MIN_EVENT_TIME, MAX_EVENT_TIME), None)


def event_time_ms(rows: pl.DataFrame, event_time: str) -> pl.Series:
    """Return event times in epoch ms (Int64), by the setting `event_time`."""
    start = time_ms(rows["start_time"])
    if event_time == "start":
        return start
    duration = (rows["duration_min"].cast(pl.Float64) * _MS_PER_MINUTE).round(mode="half_to_even")
    end = start + duration.cast(pl.Int64, strict=False)
    if "end_time" not in rows.columns:
        return end
    given = time_ms(rows["end_time"])
    return given.zip_with(given.is_not_null(), end)


def event_time_columns(schema: pl.Schema, event_time: str) -> list[str]:
    """Return the columns that `event_time_ms` needs."""
    wanted = ["start_time"] if event_time == "start" else ["start_time", "end_time", "duration_min"]
    return [name for name in wanted if name in schema]


def _is_text(dtype: pl.DataType) -> bool:
    return dtype in (pl.String, pl.Categorical, pl.Enum)


def _is_text_or_integer(dtype: pl.DataType) -> bool:
    return _is_text(dtype) or dtype.is_integer()


def _is_time(dtype: pl.DataType) -> bool:
    return dtype == pl.Datetime or _is_text_or_integer(dtype)


def _is_number(dtype: pl.DataType) -> bool:
    return dtype.is_numeric()


_TypeRule = tuple[str, Callable[[pl.DataType], bool]]


def _rules(
    names: Iterable[str], expected: str, is_allowed: Callable[[pl.DataType], bool]
) -> dict[str, _TypeRule]:
    return dict.fromkeys(names, (expected, is_allowed))


_KNOWN: Final[dict[str, _TypeRule]] = {
    **_rules((*STRINGS, *LOCATIONS), "text or integers", _is_text_or_integer),
    **_rules(("vehicle_type",), "text", _is_text),
    **_rules((*COORDINATES, *AMOUNTS), "numbers", _is_number),
    **_rules(TIMES, "Datetime, ISO 8601 text or integer epoch milliseconds", _is_time),
}


def _expected(name: str) -> str:
    return _KNOWN[name][0]


def _is_json_type(dtype: pl.DataType | DataTypeClass) -> bool:
    if isinstance(dtype, pl.List | pl.Array):
        return _is_json_type(dtype.inner)
    if isinstance(dtype, pl.Struct):
        return all(_is_json_type(field.dtype) for field in dtype.fields)
    return dtype not in (pl.Binary, pl.Object)
