"""Values of any type that tools write, as the types of a trip: text, numbers and times.

What can't be read is null; that it was there, the caller sees in the original column.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import polars as pl

from mobility.records import MAX_EVENT_TIME, MIN_EVENT_TIME
from mobility.times import epoch_ms

_PER_MS: Final = {"ms": 1, "us": 1_000, "ns": 1_000_000}

EPOCH_UNITS: Final = {"s": 1_000.0, "ms": 1.0, "us": 0.001, "ns": 0.000_001}
"""Milliseconds in a unit of epoch times."""

# By magnitude: as milliseconds, numbers below the first are of the years until 1973, when nobody
# recorded trips; below 10^8 even seconds are of before 1973, and mean nothing.
_LEAST_SECONDS: Final = 1e8
_LEAST_MS: Final = 1e11
_LEAST_US: Final = 1e14
_LEAST_NS: Final = 1e17

NO_VALUES: Final = ("NA", "N/A", "#N/A", "NULL", "null", "None", "nan", "NaN", r"\N")
"""What programs write as text where there is no value."""

_DIGITS: Final = r"^-?[0-9]{1,19}(?:\.[0-9]+)?$"
_OFFSET: Final = r"[T ][0-9:.,]+ ?(?:Z|UTC|[+-][0-9]{2}(?::?[0-9]{2})?)$"
_MIDNIGHT: Final = r"[T ]00:00(?::00(?:\.0+)?)?$"
_HOUR: Final = "^([0-9]{1,2})$"

# The most frequent form, which is parsed in a quarter of the time of the others.
_COMMON: Final = "%Y-%m-%d %H:%M:%S"

# Forms of times besides ISO 8601, as chrono writes them. Two-digit years are tried first: a
# four-digit one fails there, while "16" would be read as the year 16.
_TIME_FORMATS: Final = (
    "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%y %H:%M",
    "%m/%d/%y %H:%M:%S",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y %I:%M %p",
    "%Y-%m-%d %H:%M",
    "%Y %b %d %I:%M:%S %p",
    "%Y/%m/%d %I:%M:%S %p",
    "%Y-%m-%d %I:%M:%S %p",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%Y-%m-%d",
    "%m/%d/%Y",
)

# No thousands begin with 0: 0,195 has a decimal comma.
_DECIMAL_COMMA: Final = r"^\s*[+-]?(?:[0-9]*,(?:[0-9]{1,2}|[0-9]{4,})|0,[0-9]+)\s*$"
_GROUPED: Final = r"^\s*[+-]?[0-9]{1,3}(?:\.[0-9]{3})*,[0-9]+\s*$"

_GROUPED_BY_DOTS: Final = r"^[+-]?[0-9]{1,3}(?:\.[0-9]{3})+(?:,[0-9]*)?$"

# Also as in India: 12,34,567.
_GROUPED_BY_COMMAS: Final = r"^[+-]?[1-9][0-9]{0,2}(?:,[0-9]{2,3})*,[0-9]{3}(?:\.[0-9]*)?$"


def as_text(found: pl.Series) -> pl.Series:
    """Return text without blanks around it; empty text is null.

    Numbers are written as integers where they are whole: programs store integer ids with gaps as
    floats.
    """
    if found.dtype.is_float() or found.dtype.is_decimal():
        found = _as_floats(found)
        whole = found.cast(pl.Int64, strict=False)
        text = whole.cast(pl.String).zip_with((whole == found).fill_null(value=False), _text(found))
    else:
        text = _text(found)
    text = text.str.strip_chars()
    return text.set((text == "").fill_null(value=False), None)


def has_value(found: pl.Series) -> pl.Series:
    """Tell where there is a value, be it readable or not: no null, NaN, blank, or NO_VALUES."""
    if found.dtype.is_float():
        return found.is_not_null() & ~found.is_nan().fill_null(value=False)
    text = as_text(found)
    return text.is_not_null() & ~text.is_in(NO_VALUES)


def as_location(found: pl.Series) -> pl.Series:
    """Return the ids of places as text; 148.0, which programs write for 148, is 148."""
    text = as_text(found)
    ends = text.str.ends_with(".0").arg_true()
    if ends.is_empty():
        return text
    return text.scatter(ends, text.gather(ends).str.replace(r"^([0-9]+)\.0$", "$1"))


def as_numbers(found: pl.Series, *, decimal_comma: bool = False, grouped: bool = True) -> pl.Series:
    """Return numbers (Float64); text may have a currency sign, and, where `grouped`, thousands.

    Null where a value is not a finite number.
    """
    if found.dtype.is_numeric():
        numbers = _as_floats(found)
    else:
        text = _text(found)
        numbers = _none(text, pl.Float64) if decimal_comma else _cast(text)
        left = (numbers.is_null() & text.is_not_null()).arg_true()
        if not left.is_empty():
            numbers = numbers.scatter(left, _cleaned(text.gather(left), decimal_comma, grouped))
    return numbers.set(~numbers.is_finite().fill_null(value=True), None)


def has_decimal_comma(columns: Sequence[pl.Series], separator: str) -> bool:
    """Tell whether numbers as text have a decimal comma, by the form of those in all columns.

    `1,234` alone may be either: it counts as one where the file separates columns by semicolons, if
    no number has a point, and a column with commas has one in each value.
    """
    held = [text.drop_nulls() for text in columns]
    if any(_has_marked_comma(text) for text in held):
        return True
    if separator != ";" or any(text.str.contains(".", literal=True).any() for text in held):
        return False
    with_commas = [found for text in held if (found := text.str.contains(",")).any()]
    return bool(with_commas) and all(found.all() for found in with_commas)


def _has_marked_comma(text: pl.Series) -> bool:
    is_grouped = text.str.contains(_GROUPED) & text.str.contains(".", literal=True)
    return bool((text.str.contains(_DECIMAL_COMMA) | is_grouped).any())


def epoch_unit(found: pl.Series) -> str | None:
    """Return the unit of epoch times, a key of EPOCH_UNITS, by their magnitude.

    None if the column holds no such numbers, as such or as text.
    """
    held = found.drop_nulls()
    if held.dtype == pl.String:
        held = held.str.strip_chars()
        if held.is_empty() or not held.str.contains(_DIGITS).all():
            return None
    elif not held.dtype.is_numeric():
        return None
    size = _as_floats(held).fill_nan(None).abs().median()
    if not isinstance(size, float):
        return None
    if _LEAST_SECONDS <= size < _LEAST_MS:
        return "s"
    if size < _LEAST_US:
        return "ms"
    return "us" if size < _LEAST_NS else "ns"


def as_times(
    found: pl.Series, unit: str | None, time_format: str | None = None
) -> tuple[pl.Series, pl.Series]:
    """Return times in ms (Int64, floored), and which of them are local (Boolean).

    Epoch times in `unit`, times of a column with a zone and texts with an offset are instants; all
    others are local, and returned as the epoch ms that they would be in UTC.
    """
    if unit is not None:
        ms = _epoch_times(found, EPOCH_UNITS[unit])
        is_local = pl.repeat(False, ms.len(), dtype=pl.Boolean, eager=True)
    elif isinstance(found.dtype, pl.Datetime):
        ms = found.to_physical() // _PER_MS[found.dtype.time_unit]
        is_local = pl.repeat(found.dtype.time_zone is None, ms.len(), dtype=pl.Boolean, eager=True)
    else:
        ms, is_local = _text_times(_text(found), time_format)
    return ms.set(~ms.is_between(MIN_EVENT_TIME, MAX_EVENT_TIME), None), is_local


def joined(date: pl.Series, time: pl.Series) -> pl.Series:
    """Return times as text from a column of dates and one of times of day, or of hours."""
    of_day = as_text(time).str.replace(_HOUR, "$1:00")
    parts = pl.DataFrame({"date": as_text(date).str.replace(_MIDNIGHT, ""), "time": of_day})
    return parts.select(pl.concat_str("date", "time", separator=" ")).to_series()


def plain_column(found: pl.Series) -> pl.Series | None:
    """Return a column as JSON can represent it, with NaN as null; None for binary columns.

    Float32 is read by its shortest decimal text: 12.35 is 12.35, and not 12.350000381469727.
    """
    if found.dtype in (pl.Binary, pl.Object):
        return None
    if found.dtype.is_float() or found.dtype.is_decimal():
        return _as_floats(found).fill_nan(None)
    if found.dtype in (pl.Categorical, pl.Enum):
        return found.cast(pl.String)
    return found


def _text(found: pl.Series) -> pl.Series:
    return found if found.dtype == pl.String else found.cast(pl.String)


def _as_floats(found: pl.Series) -> pl.Series:
    if found.dtype in (pl.Float32, pl.Float16):
        return found.cast(pl.String).cast(pl.Float64, strict=False)
    return found.cast(pl.Float64, strict=False)


def _none(found: pl.Series, dtype: type[pl.DataType]) -> pl.Series:
    return pl.repeat(None, found.len(), dtype=dtype, eager=True)


def _cast(text: pl.Series) -> pl.Series:
    return text.cast(pl.Float64, strict=False)


def _cleaned(text: pl.Series, decimal_comma: bool, grouped: bool) -> pl.Series:
    bare = text.str.replace_all(r"[\s$€£'\u{a0}\u{202f}]", "")
    form, mark = (_GROUPED_BY_DOTS, ".") if decimal_comma else (_GROUPED_BY_COMMAS, ",")
    # A mark that groups no thousands is none to leave out: 1,5 is not 15.
    is_grouped = bare.str.contains(form).fill_null(value=False) & grouped
    plain = bare.str.replace_all(mark, "", literal=True).zip_with(is_grouped, bare)
    return _cast(plain.str.replace(",", ".", literal=True) if decimal_comma else plain)


def _epoch_times(found: pl.Series, milliseconds: float) -> pl.Series:
    if found.dtype.is_integer():
        numbers = found.cast(pl.Int64, strict=False)
        factor = round(milliseconds)
        return numbers * factor if factor else numbers // round(1 / milliseconds)
    numbers = as_numbers(found)
    scaled = numbers * milliseconds if milliseconds >= 1 else numbers / round(1 / milliseconds)
    return scaled.floor().cast(pl.Int64, strict=False)


def _text_times(text: pl.Series, time_format: str | None) -> tuple[pl.Series, pl.Series]:
    ms = _parsed(text, time_format or _COMMON)
    is_local = pl.repeat(True, ms.len(), dtype=pl.Boolean, eager=True)
    for parse in () if time_format else _PARSERS:
        left = (ms.is_null() & text.is_not_null()).arg_true()
        if left.is_empty():
            break
        texts = text.gather(left).str.strip_chars()
        ms = ms.scatter(left, parse(texts))
        is_local = is_local.scatter(left, ~texts.str.contains(_OFFSET))
    return ms, is_local


def _parsed(text: pl.Series, time_format: str) -> pl.Series:
    # Polars' cache of parsed texts costs more than parsing this form.
    uses_cache = time_format != _COMMON
    times = text.str.to_datetime(time_format, strict=False, time_unit="ms", cache=uses_cache)
    return times.dt.epoch("ms")


def _iso(text: pl.Series) -> pl.Series:
    # ArcGIS writes 2019/08/01 05:00:00+00.
    dashed = text.str.replace("^([0-9]{4})/([0-9]{2})/", "$1-$2-")
    return epoch_ms(dashed.str.replace(" UTC$", "Z"))


_PARSERS: Final[tuple[Callable[[pl.Series], pl.Series], ...]] = (
    partial(_parsed, time_format=_COMMON),  # without the blanks around it
    _iso,
    *(partial(_parsed, time_format=form) for form in _TIME_FORMATS),
)
