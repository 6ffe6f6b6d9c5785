"""Where the members of a JSON object are in its text, so that a value can be cut out unchanged."""

import json
import re
from typing import Final

_decode_at: Final = json.JSONDecoder().raw_decode
_blanks: Final = re.compile(r"[ \t\n\r]*")

Span = tuple[int, int]
"""The first character of a value, and the one after its last."""


def member_spans(text: str, at: int = 0) -> dict[str, Span]:
    """Return where the value of each member of an object is; of equal names the first counts.

    `at` is where the object begins, in a text that `json.loads` takes.
    """
    spans: dict[str, Span] = {}
    at = _behind_blanks(text, _behind_blanks(text, at) + 1)
    while text[at] != "}":
        name, at = _decode_at(text, at)
        start = _behind_blanks(text, _behind_blanks(text, at) + 1)
        _, end = _decode_at(text, start)
        spans.setdefault(name, (start, end))
        at = _behind_blanks(text, end)
        if text[at] == ",":
            at = _behind_blanks(text, at + 1)
    return spans


def _behind_blanks(text: str, at: int) -> int:
    found = _blanks.match(text, at)
    return at if found is None else found.end()
