"""Times as text to epoch milliseconds, by columns, and back."""

from typing import Final

import polars as pl

DIGITS: Final = r"^-?[0-9]{1,15}$"
"""Epoch milliseconds as text."""

_ISO_TIME: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-5][0-9]"
    r"(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2})?$"
)
_WHOLE_SECONDS: Final = "%Y-%m-%dT%H:%M:%S"
_FORMS: Final = (f"{_WHOLE_SECONDS}%.f", f"{_WHOLE_SECONDS}%.f%:z")
_NAIVE_LENGTH: Final = len("2025-01-01T00:00:00")


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
    time = ms.cast(pl.Datetime("ms"))
    whole = time.dt.to_string(f"{_WHOLE_SECONDS}Z")
    return (
        pl.when(ms % 1_000 == 0).then(whole).otherwise(time.dt.to_string(f"{_WHOLE_SECONDS}%.3fZ"))
    )


def _iso_ms(iso: pl.Series) -> pl.Series:
    naive = iso.str.strip_suffix("Z")
    if (naive.str.len_bytes() == _NAIVE_LENGTH).all():
        # Most feeds know whole seconds in UTC, and that is four times as fast to read.
        times = _parsed(naive, _WHOLE_SECONDS)
        if times.null_count() == iso.null_count():
            return times
    naive = naive.str.replace(" ", "T", literal=True)
    times = _parsed(naive, _FORMS[0])
    if times.null_count() > iso.null_count():
        times = times.zip_with(times.is_not_null(), _parsed(naive, _FORMS[1]))
    return times


def _parsed(texts: pl.Series, form: str) -> pl.Series:
    return texts.str.to_datetime(form, time_unit="us", strict=False).cast(pl.Int64) // 1_000
