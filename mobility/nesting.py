"""The limit on nested objects and arrays in a message.

Parsers are recursive, and each has a limit of its own: Python's depends on its version and on its
stack, Polars' is 1,024. Within MAX_NESTING all of them parse a message.
"""

import re
from functools import partial
from typing import Final

import polars as pl

from mobility.records import MAX_NESTING

_STRING: Final = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_OPENING: Final = r"[\[{]"
_NEXT: Final = r"[\]}]\s*,\s*[\[{]"
_INNERMOST: Final = r"[\[{][^\[\]{}]*[\]}]"
_LEVELS: Final = 8

_tokens: Final = re.compile(rf"{_STRING}|[\[\]{{}}]", re.DOTALL)


def is_nested_too_deeply(text: str) -> bool:
    """Return whether a JSON text has more than MAX_NESTING levels."""
    if text.count("[") + text.count("{") <= MAX_NESTING:
        return False
    level = 0
    for token in _tokens.finditer(text):
        if token[0] in "[{":
            level += 1
            if level > MAX_NESTING:
                return True
        elif token[0] in "]}":
            level -= 1
    return False


def may_be_nested_too_deeply(texts: pl.Series, most: int = MAX_NESTING) -> pl.Series:
    """Return for each JSON text whether it may have more levels than `most`."""
    found = texts.str.len_bytes() > 2 * most
    for is_candidate in (partial(_has_many, most=most), _exceeds_levels):
        rows = found.arg_true()
        if not rows.is_empty():
            found = found.scatter(rows, is_candidate(texts.gather(rows)))
    return found


def _has_many(texts: pl.Series, most: int) -> pl.Series:
    # An array or object that follows another one, as a point of a trace, is on the same level.
    return texts.str.count_matches(_OPENING) > most + texts.str.count_matches(_NEXT)


def _exceeds_levels(texts: pl.Series) -> pl.Series:
    """Return whether each text has more than _LEVELS levels, which takes as many replacements."""
    flat = texts.str.replace_all(_STRING, "")
    for _ in range(_LEVELS):
        flat = flat.str.replace_all(_INNERMOST, "")
    return flat.str.contains(_OPENING)
