"""Times as text to epoch milliseconds and back: whole columns, or one at a time."""

from datetime import UTC, datetime, timedelta
from typing import Final

import polars as pl

DIGITS: Final = r"^-?[0-9]{1,15}$"
"""Epoch milliseconds as text."""

_ISO_TIME: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-5][0-9]"
    r"(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2})?$"
)
_WHOLE_SECONDS: Final = "%Y-%m-%dT%H:%M:%S"
_WITH_OFFSET: Final = f"{_WHOLE_SECONDS}%.f%:z"
_TO_SECONDS: Final = len("2025-01-01T00:00:00")
_MICROSECONDS: Final = len("123456")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

# To look a fraction up takes half as long as to have one formatted.
_FRACTIONS: Final = pl.Series(["Z", *(f".{ms:03}Z" for ms in range(1, 1_000))])


def epoch_ms(texts: pl.Series) -> pl.Series:
    """Return times in whole epoch ms, floored (Int64), and null where the form is a rare one.

    Read are ISO 8601 dates with times, with an offset or naive, which means UTC, and digits.
    """
    if texts.null_count() == texts.len():
        return texts.cast(pl.Int64)
    iso = texts.set(~texts.str.contains(_ISO_TIME), None)
    times = _iso_ms(iso)
    if times.null_count() > texts.null_count():
        digits = texts.set(~texts.str.contains(DIGITS), None).cast(pl.Int64)
        times = times.zip_with(times.is_not_null(), digits)
    return times.alias(texts.name)


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


def parse_iso_time(text: str) -> int:
    """Return ISO 8601 text in epoch ms, floored; without an offset it is UTC.

    Raises ValueError where it is something else.

    >>> parse_iso_time("2025-01-01T13:00:00+01:00")
    1735732800000
    """
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return (time - _EPOCH) // _MILLISECOND


def _iso_ms(iso: pl.Series) -> pl.Series:
    # Most feeds write UTC, and many trips share a second, which is then parsed once: a form with a
    # fraction would be new with each trip, and takes ten times as long.
    naive = iso.str.replace(" ", "T", literal=True).str.strip_suffix("Z")
    seconds = _parsed(naive.str.head(_TO_SECONDS), _WHOLE_SECONDS)
    fraction = naive.str.slice(_TO_SECONDS + 1).str.pad_end(_MICROSECONDS, "0")
    times = seconds + fraction.cast(pl.Int64, strict=False) // 1_000
    if times.null_count() > iso.null_count():
        # An offset is no number.
        times = times.zip_with(times.is_not_null(), _parsed(naive, _WITH_OFFSET))
    return times


def _parsed(texts: pl.Series, form: str) -> pl.Series:
    """Return times in epoch ms, null where the text has another form."""
    return texts.str.to_datetime(form, time_unit="us", strict=False).cast(pl.Int64) // 1_000
