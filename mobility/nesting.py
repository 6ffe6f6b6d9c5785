"""How deep the objects and arrays of a message are nested: a rule of its own.

Parsers are recursive and stop somewhere, each at another depth. What is not nested deeply by this
rule they all read.
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


def is_deep(text: str) -> bool:
    """Return whether a JSON text is nested over MAX_NESTING levels deep."""
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


def may_be_deep(texts: pl.Series, most: int = MAX_NESTING) -> pl.Series:
    """Return for each JSON text whether it may have over `most` levels: few others may, too."""
    found = texts.str.len_bytes() > 2 * most
    # Where one ends and the next begins, as the points of a trace, the level stays what it was.
    for is_candidate in (partial(_has_many, most=most), _exceeds_levels):
        rows = found.arg_true()
        if not rows.is_empty():
            found = found.scatter(rows, is_candidate(texts.gather(rows)))
    return found


def _has_many(texts: pl.Series, most: int) -> pl.Series:
    return texts.str.count_matches(_OPENING) > most + texts.str.count_matches(_NEXT)


def _exceeds_levels(texts: pl.Series) -> pl.Series:
    """Return what is nested over _LEVELS deep, which nobody's trips are."""
    flat = texts.str.replace_all(_STRING, "")
    for _ in range(_LEVELS):
        flat = flat.str.replace_all(_INNERMOST, "")
    return flat.str.contains(_OPENING)
