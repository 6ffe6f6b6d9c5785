"""Times as text to epoch milliseconds and back: whole columns, or one at a time.

The patterns below are the rule for times of trips. The parsers of Python and Polars differ from
each other, and may change with their versions.
"""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final

import polars as pl

from mobility.records import MAX_EVENT_TIME, MIN_EVENT_TIME

DIGITS: Final = r"^-?[0-9]{1,15}(?:\.[0-9]+)?$"
"""Epoch milliseconds as text."""

_YEAR: Final = "(?:[0-9]{3}[1-9]|[0-9]{2}[1-9][0-9]|[0-9][1-9][0-9]{2}|[1-9][0-9]{3})"
_DATE: Final = f"{_YEAR}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_HOUR: Final = "(?:[01][0-9]|2[0-3])"
_SIXTY: Final = "[0-5][0-9]"
_FRACTION: Final = "[.,][0-9]+"
_CLOCK: Final = (
    f"{_HOUR}(?::{_SIXTY}(?::{_SIXTY}(?:{_FRACTION})?)?|{_SIXTY}(?:{_SIXTY}(?:{_FRACTION})?)?)?"
)
_OFFSET: Final = f"[+-]{_HOUR}(?::{_SIXTY}(?::{_SIXTY})?|{_SIXTY}(?:{_SIXTY})?)?"

ISO_TIME: Final = f"^{_DATE}[T ]{_CLOCK}(?: ?(?:Z|{_OFFSET}))?$"
"""An ISO 8601 date and a time to the hour, the minute, the second or any fraction of a second, with
`:` or without; then `Z`, an offset, or nothing, which means UTC."""

# The most frequent form, which is parsed at half the cost of the others.
_COMMON: Final = rf"^{_DATE}[T ]{_HOUR}:{_SIXTY}:{_SIXTY}(?:\.[0-9]+)?Z?$"

# The text after the date and the separator, without colons: time, fraction, offset.
_PARTS: Final = r"^([0-9]{2,6})(?:[.,]([0-9]+))? ?(?:Z|([+-][0-9]{2,6}))?$"

_SEPARATOR: Final = len("2025-01-01")
_SECONDS: Final = len("2025-01-01T00:00:00")
_WHOLE_SECONDS: Final = "%Y-%m-%dT%H:%M:%S"
_SIX: Final = len("HHMMSS")
_MS_DIGITS: Final = 3
_DAY_MS: Final = 86_400_000
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()

_is_iso: Final = re.compile(ISO_TIME).fullmatch
_parts: Final = re.compile(_PARTS).fullmatch
_is_whole_ms: Final = re.compile("-?[0-9]{1,15}").fullmatch
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

# A lookup of a fraction takes half as long as formatting it.
_FRACTIONS: Final = pl.Series(["Z", *(f".{ms:03}Z" for ms in range(1, 1_000))])


def epoch_ms(texts: pl.Series) -> pl.Series:
    """Return times in epoch ms, floored (Int64); null if neither ISO_TIME nor DIGITS matches."""
    times = pl.repeat(None, texts.len(), dtype=pl.Int64, eager=True)
    for pattern, read in ((_COMMON, _common_ms), (ISO_TIME, _iso_ms), (DIGITS, _digits_ms)):
        if times.null_count() == texts.null_count():
            break
        rows = (texts.str.contains(pattern) & times.is_null()).arg_true()
        if rows.len() == texts.len():
            return read(texts).alias(texts.name)
        if not rows.is_empty():
            times = times.scatter(rows, read(texts.gather(rows)))
    return times.alias(texts.name)


def iso_ms(text: str) -> int | None:
    """Return the time of a trip, an ISO_TIME, in epoch ms, floored; None if it is not valid."""
    parts = _parts(text[_SEPARATOR + 1 :].replace(":", "")) if _is_iso(text) else None
    if parts is None:
        return None
    try:
        day = date.fromisoformat(text[:_SEPARATOR]).toordinal() - _EPOCH_DAY
    except ValueError:  # for example 30 February
        return None
    clock, fraction, offset = parts.groups("")
    moment = day * _DAY_MS + _clock_ms(clock) + int(fraction[:_MS_DIGITS].ljust(_MS_DIGITS, "0"))
    ahead = _clock_ms(offset[1:])
    return moment + ahead if offset.startswith("-") else moment - ahead


def iso_text(ms: pl.Expr) -> pl.Expr:
    """Return epoch ms as ISO 8601 text in UTC, milliseconds shown only where there are any."""
    whole = ms.cast(pl.Datetime("ms")).dt.to_string(_WHOLE_SECONDS)
    return pl.concat_str(whole, pl.lit(_FRACTIONS).gather(ms % 1_000))


def iso_time(ms: int) -> str:
    """Return epoch ms as ISO 8601 text in UTC, as `iso_text` does.

    What lies outside the years 1 to 9999 is returned as the number.

    >>> iso_time(1_735_732_800_000)
    '2025-01-01T12:00:00Z'
    """
    try:
        time = _EPOCH + ms * _MILLISECOND
    except OverflowError:
        return str(ms)
    text = time.isoformat(timespec="milliseconds" if ms % 1_000 else "seconds")
    return text.replace("+00:00", "Z")


def parse_time(text: str) -> int:
    """Return the epoch ms of an `ISO_TIME`, floored, or of whole epoch ms as text.

    Raises ValueError where it is something else, or outside the years 1 to 9999.

    >>> parse_time("2025-01-01T13:00+01:00"), parse_time("1735732800000")
    (1735732800000, 1735732800000)
    """
    ms = int(text) if _is_whole_ms(text) else iso_ms(text)
    if ms is None or not MIN_EVENT_TIME <= ms <= MAX_EVENT_TIME:
        msg = f"expected a date and a time, such as 2025-01-31T12:00Z, got {text}"
        raise ValueError(msg)
    return ms


def _clock_ms(digits: str) -> int:
    number = int(digits.ljust(_SIX, "0"))
    return (number // 10_000 * 3_600 + number // 100 % 100 * 60 + number % 100) * 1_000


def _common_ms(texts: pl.Series) -> pl.Series:
    # Many trips share a second, which is then parsed once: a text with its fraction would be new
    # with each trip, and takes ten times as long.
    seconds = texts.str.head(_SECONDS).str.replace(" ", "T", literal=True)
    fraction = texts.str.strip_suffix("Z").str.slice(_SECONDS + 1, _MS_DIGITS)
    return _parsed(seconds, _WHOLE_SECONDS) + _fraction_ms(fraction)


def _iso_ms(texts: pl.Series) -> pl.Series:
    clocks = texts.str.slice(_SEPARATOR + 1).str.replace_all(":", "", literal=True)
    clock, fraction, offset = clocks.str.extract_groups(_PARTS).struct.unnest()
    seconds = texts.str.head(_SEPARATOR) + clock.str.pad_end(_SIX, "0")
    # A feed has few different offsets.
    offset = offset.fill_null("")
    known = offset.unique()
    digits = known.str.slice(1).str.pad_end(_SIX, "0").cast(pl.Int64)
    ahead = (digits // 10_000 * 3_600 + digits // 100 % 100 * 60 + digits % 100) * 1_000
    ahead = ahead.zip_with(known.str.starts_with("+"), -ahead)
    offset_ms = offset.replace_strict(known, ahead, return_dtype=pl.Int64)
    return _parsed(seconds, "%Y-%m-%d%H%M%S") + _fraction_ms(fraction.fill_null("")) - offset_ms


def _fraction_ms(digits: pl.Series) -> pl.Series:
    return digits.str.head(_MS_DIGITS).str.pad_end(_MS_DIGITS, "0").cast(pl.Int64)


def _digits_ms(texts: pl.Series) -> pl.Series:
    # 15 digits are exact as doubles.
    return texts.cast(pl.Float64).floor().cast(pl.Int64)


def _parsed(texts: pl.Series, form: str) -> pl.Series:
    """Return times in epoch ms, null if there is no such day."""
    return texts.str.to_datetime(form, time_unit="ms", strict=False).cast(pl.Int64)
