"""The characters of ids: all are allowed but controls, surrogates and noncharacters.

Unicode guarantees that these ranges never change. A rule by category, as `str.isprintable`, depends
on the interpreter's version of Unicode, and rejects joiners and spaces that names of people and
places have.
"""

import re
from typing import Final

_SURROGATES: Final = (0xD800, 0xDFFF)
_LAST_PLANE: Final = 16

DISALLOWED: Final = (
    (0x00, 0x1F),  # controls
    (0x7F, 0x9F),
    _SURROGATES,
    (0xFDD0, 0xFDEF),  # noncharacters
    *((plane << 16 | 0xFFFE, plane << 16 | 0xFFFF) for plane in range(_LAST_PLANE + 1)),
)
"""The characters that are not allowed: the first and the last of each range."""


def _class(ranges: tuple[tuple[int, int], ...]) -> str:
    return f"[{''.join(f'{chr(first)}-{chr(last)}' for first, last in ranges)}]"


DISALLOWED_PATTERN: Final = _class(tuple(pair for pair in DISALLOWED if pair != _SURROGATES))
"""The same as a pattern for columns, which are UTF-8 and have no surrogates."""

_disallowed: Final = re.compile(_class(DISALLOWED)).search


def has_disallowed(text: str) -> bool:
    """Return whether an id has a character that is not allowed."""
    return _disallowed(text) is not None
