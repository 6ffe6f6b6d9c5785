"""Which messages Polars may have read otherwise than JSON means them.

Polars writes a value that is no string as text where a string is expected, and takes what is no
number for null. Most chunks have none of that, which one search of each message shows.
"""

from typing import Final

import polars as pl

from mobility.json_columns import Columns
from mobility.times import DIGITS
from mobility.validation import LOCATIONS, STRINGS, TIMES

_ENDS: Final = "|".join(sorted({name[-4:] for name in STRINGS}))


def _unlike(strings: str, locations: str, times: str, coordinates: str) -> str:
    """Return the pattern of a field, named so, with a value that Polars may write otherwise.

    Anything but a string or null where a string belongs, a location that is no integer of 64 bits,
    a time of digits that is a string, a coordinate that is no number.
    """
    return (
        rf'(?:{strings})"\s*:\s*[^"\sn]'
        rf'|{locations}"\s*:\s*(?:[^"\s0-9n-]|-?[0-9]+[.eE]|[0-9]{{20}}|-[0-9]{{19}}|-0)'
        rf'|{times}"\s*:\s*"-?[0-9]{{1,15}}(?:\.[0-9]+)?"'
        rf'|{coordinates}"\s*:\s*[^\s0-9n-]'
    )


# Names are looked for by their last letters, which costs a third less, and in full where found.
_SUSPECT: Final = _unlike(_ENDS, "n_id", "time", "_l(?:at|ng)")
_DOUBTFUL: Final = _unlike(
    "|".join(f'"{name}' for name in STRINGS),
    '"(?:start|end)_location_id',
    '"(?:start|end)_time',
    '"(?:start|end)_l(?:at|ng)',
)

_COERCED: Final = r"^(?:true|false|[\[{].*|-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)$"
_PLAIN_INTEGER: Final = r"^(?:0|-[1-9][0-9]{0,17}|[1-9][0-9]{0,18})$"
_FLOAT_LOCATION: Final = r'_location_id"\s*:\s*-?[0-9]+[.eE]'
_NO_COORDINATE: Final = r'"(?:start|end)_l(?:at|ng)"\s*:\s*[^\s0-9n-]'

# Half of a surrogate pair, or what fields and digits are written with.
_ODD_ESCAPE: Final = r"\\u(?:[dD][89a-fA-F]|00(?:2[dDeE]|3[0-9]|5[fF]|6[1-9a-fA-F]|7[0-9aA]))"
_SURROGATE: Final = r"\\u[dD][89a-fA-F]"
_PAIR: Final = r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F]"


def doubtful(columns: Columns) -> pl.Series:
    """Return for each row whether a field may differ from the message."""
    texts = columns.fields["text"]
    suspected = texts.str.contains(_SUSPECT).arg_true()
    rows = suspected.filter(texts.gather(suspected).str.contains(_DOUBTFUL))
    found = pl.repeat(value=False, n=texts.len(), dtype=pl.Boolean, eager=True)
    if not rows.is_empty():
        found = found.scatter(rows, _differ(columns.fields[rows]))
    if columns.has_escapes:
        found |= _escapes_differ(texts)
    return found


def _differ(fields: pl.DataFrame) -> pl.Series:
    texts = fields["text"]
    # Polars writes 7.0 as 7, but a location's number must be an integer.
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
    """Return in which messages a field occurs once, with a value that begins with `first`."""
    once = texts.str.count_matches(f'"{name}"') == 1
    return once & texts.str.contains(rf'"{name}"\s*:\s*{first}')


def _escapes_differ(texts: pl.Series) -> pl.Series:
    """Return where a name or a time may be escaped, or half of a surrogate pair is.

    The searches above would miss the former, and Polars replaces the latter.
    """
    found = texts.str.contains(_ODD_ESCAPE).fill_null(value=False)
    rows = found.arg_true()
    if rows.is_empty():
        return found
    odd = texts.gather(rows)
    others = odd.str.contains(_ODD_ESCAPE.replace("[dD][89a-fA-F]|", ""))
    paired = odd.str.count_matches(_SURROGATE) == 2 * odd.str.count_matches(_PAIR)
    return found.scatter(rows, others | ~paired)
