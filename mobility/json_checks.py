"""Messages that Polars may have parsed to other values than those of the JSON.

Where the schema says string, Polars writes any other value as text; where it says number, any
other value is null; and it replaces half of a surrogate pair. One regular expression per message
finds the few that need more checks.
"""

from typing import Final

import polars as pl

from mobility.json_columns import Columns
from mobility.times import DIGITS
from mobility.validation import LOCATIONS, OPTIONAL_AMOUNTS, STRINGS, TIMES

_ENDS: Final = "|".join(sorted({name[-6:] for name in STRINGS}))


def _unlike(strings: str, locations: str, times: str, coordinates: str) -> str:
    """Return a pattern for fields of these names with a value that Polars may change.

    That is: neither a string nor null in a string field, a location that is not a 64-bit integer,
    a time of digits in quotes, a coordinate that is not a number.
    """
    return (
        rf'(?:{strings})"\s*:\s*[^"\sn]'
        rf'|{locations}"\s*:\s*(?:[^"\s0-9n-]|-?[0-9]+[.eE]|[0-9]{{20}}|-[0-9]{{19}}|-0)'
        rf'|{times}"\s*:\s*"-?[0-9]{{1,15}}(?:\.[0-9]+)?"'
        rf'|{coordinates}"\s*:\s*[^\s0-9n-]'
    )


# To search for the last letters of names costs a quarter less than to search for names.
_CANDIDATE: Final = _unlike(_ENDS, "n_id", "time", "_l(?:at|ng)")
_MAY_DIFFER: Final = _unlike(
    "|".join(f'"{name}' for name in STRINGS),
    '"(?:start|end)_location_id',
    '"(?:start|end)_time',
    '"(?:start|end)_l(?:at|ng)',
)

_COERCED: Final = r"^(?:true|false|[\[{].*|-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)$"
_PLAIN_INTEGER: Final = r"^(?:0|-[1-9][0-9]{0,17}|[1-9][0-9]{0,18})$"
_FLOAT_LOCATION: Final = r'_location_id"\s*:\s*-?[0-9]+[.eE]'
_NO_COORDINATE: Final = r'"(?:start|end)_l(?:at|ng)"\s*:\s*[^\s0-9n-]'

# Surrogates, and the characters of field names and of numbers.
_UNUSUAL_ESCAPE: Final = r"\\u(?:[dD][89a-fA-F]|00(?:2[dDeE]|3[0-9]|5[fF]|6[1-9a-fA-F]|7[0-9aA]))"
_SURROGATE: Final = r"\\u[dD][89a-fA-F]"
_PAIR: Final = r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F]"


def may_differ(columns: Columns) -> pl.Series:
    """Return for each row whether a field may have another value than in the JSON."""
    texts = columns.fields["text"]
    candidates = texts.str.contains(_CANDIDATE).arg_true()
    rows = candidates.filter(texts.gather(candidates).str.contains(_MAY_DIFFER))
    found = pl.repeat(value=False, n=texts.len(), dtype=pl.Boolean, eager=True)
    if not rows.is_empty():
        found = found.scatter(rows, _differ(columns.fields[rows]))
    if columns.has_escapes:
        found |= _escapes_differ(texts)
    for name in OPTIONAL_AMOUNTS:
        found |= _has_another_value(columns.fields, name)
    return found


def _has_another_value(fields: pl.DataFrame, name: str) -> pl.Series:
    """Return for each message whether a number that was parsed to null may be something else."""
    is_absent = fields[name].is_null()
    rows = is_absent.arg_true()
    if rows.is_empty():
        return is_absent
    other = fields["text"].gather(rows).str.contains(rf'"{name}"\s*:\s*[^\sn]')
    return is_absent.scatter(rows, other)


def _differ(fields: pl.DataFrame) -> pl.Series:
    texts = fields["text"]
    # Polars writes 7.0 as 7, but a location must not be a float.
    differ = texts.str.contains(_FLOAT_LOCATION) | texts.str.contains(_NO_COORDINATE)
    for name in (*STRINGS, *LOCATIONS):
        coerced = fields[name].str.contains(_COERCED).fill_null(value=False)
        if name in LOCATIONS:
            coerced &= ~fields[name].str.contains(_PLAIN_INTEGER).fill_null(value=False)
        if coerced.any():
            differ |= coerced & ~_occurs_once(texts, name, '"')
    for name in TIMES:
        digits = fields[name].str.contains(DIGITS).fill_null(value=False)
        if digits.any():
            differ |= digits & ~_occurs_once(texts, name, "[-0-9]")
    return differ


def _occurs_once(texts: pl.Series, name: str, first: str) -> pl.Series:
    """Return for each message whether a field occurs once, and its value begins with `first`."""
    once = texts.str.count_matches(f'"{name}"') == 1
    return once & texts.str.contains(rf'"{name}"\s*:\s*{first}')


def _escapes_differ(texts: pl.Series) -> pl.Series:
    """Return for each message whether a name or a time may be escaped, or a surrogate is alone.

    The patterns above don't find escaped names and times.
    """
    found = texts.str.contains(_UNUSUAL_ESCAPE).fill_null(value=False)
    rows = found.arg_true()
    if rows.is_empty():
        return found
    unusual = texts.gather(rows)
    others = unusual.str.contains(_UNUSUAL_ESCAPE.replace("[dD][89a-fA-F]|", ""))
    paired = unusual.str.count_matches(_SURROGATE) == 2 * unusual.str.count_matches(_PAIR)
    return found.scatter(rows, others | ~paired)
