"""Which characters an id may have: all but controls, surrogates and noncharacters.

The ranges are pinned here, as Unicode guarantees them to stay what they are. What else there is,
such as joiners, spaces of other scripts and characters that are newer than a Python, is in names of
people and places, and a rule by category would follow the tables of the interpreter.
"""

import re
from typing import Final

_SURROGATES: Final = (0xD800, 0xDFFF)
_LAST_PLANE: Final = 16

REFUSED: Final = (
    (0x00, 0x1F),  # controls
    (0x7F, 0x9F),
    _SURROGATES,
    (0xFDD0, 0xFDEF),  # noncharacters
    *((plane << 16 | 0xFFFE, plane << 16 | 0xFFFF) for plane in range(_LAST_PLANE + 1)),
)
"""The refused characters, each pair the first and the last of a range."""


def _class(ranges: tuple[tuple[int, int], ...]) -> str:
    return f"[{''.join(f'{chr(first)}-{chr(last)}' for first, last in ranges)}]"


REFUSED_PATTERN: Final = _class(tuple(pair for pair in REFUSED if pair != _SURROGATES))
"""A pattern for columns, which are UTF-8 and so have no surrogates."""

_refused: Final = re.compile(_class(REFUSED)).search


def has_refused(text: str) -> bool:
    """Return whether any character of an id is refused."""
    return _refused(text) is not None
