"""Reads the known fields of JSON objects as columns.

Polars reads a chunk of messages whole or not at all, so messages that it can't read are taken out
beforehand or, where it refuses the chunk, looked for. All this is done by columns or loops in C.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, cast

import msgspec
import polars as pl

from mobility.nesting import may_be_deep
from mobility.validation import AMOUNTS, COORDINATES, LOCATIONS, STRINGS, TIMES

FIELDS_SCHEMA: Final = pl.Schema(
    {
        **dict.fromkeys((*STRINGS, *LOCATIONS, *TIMES), pl.String),
        **dict.fromkeys((*COORDINATES, *AMOUNTS), pl.Float64),
    }
)
"""What Polars is asked for. A value that is no string it writes as text where the schema says
string; one that is no number is null where the schema says number."""

# Where Polars refuses a chunk, it has read most of it for nothing.
_CHUNK: Final = 5_000

_OBJECT: Final = r"^[ \t\r\n]*\{"
_NO_FIELDS: Final = b"{}"

# Separates messages while their own line ends are replaced. JSON has no such character.
_SEPARATOR: Final = b"\x1e"

# Numbers that are JSON, and that Polars may refuse: beyond a double, or an integer of 128 bits.
_HUGE_NUMBER: Final = r"[eE]\+?[0-9]{3}|[0-9]{39}"

# A message that is refused for another reason is looked for by halves, down to so few.
_FEWEST: Final = 16


class _Object(msgspec.Struct):
    """An object of which no field is kept, so that msgspec only checks its syntax."""


_check_syntax: Final = msgspec.json.Decoder(_Object).decode

_Join = Callable[[Iterable[bytes]], bytes]


@dataclass(frozen=True, slots=True)
class Columns:
    """Messages by columns, a row a message.

    `fields` has FIELDS_SCHEMA and the message as `text`; all is null where it can't be read, but
    for some texts. `is_ascii` says that there is no character beyond printable ASCII but for blanks
    and line ends, and `has_escapes` that strings may have some nevertheless.
    """

    fields: pl.DataFrame
    is_ascii: bool
    has_escapes: bool


def read_columns(values: Sequence[bytes | None], max_bytes: int) -> Columns:
    """Read messages; those of over `max_bytes` are not looked at."""
    starts = range(0, len(values), _CHUNK)
    chunks = [_read(values[start : start + _CHUNK], max_bytes) for start in starts]
    no_fields = pl.DataFrame(schema={**FIELDS_SCHEMA, "text": pl.String})
    return Columns(
        pl.concat([no_fields, *(chunk.fields for chunk in chunks)]),
        all(chunk.is_ascii for chunk in chunks),
        any(chunk.has_escapes for chunk in chunks),
    )


def _read(values: Sequence[bytes | None], max_bytes: int) -> Columns:
    messages = pl.Series("text", values, dtype=pl.Binary)
    texts = _objects(as_texts(_without(messages, messages.bin.size() > max_bytes)))
    texts = _without(texts, may_be_deep(texts))
    join: _Join = b"\n".join
    if texts.str.contains("\n", literal=True).any():
        join = _one_line_each
        texts = _without(texts, texts.str.contains(_SEPARATOR.decode(), literal=True))
    lines = cast("list[bytes]", list(values))
    _take_out(lines, texts.is_null().arg_true())
    joined = join(lines)
    is_ascii = joined.isascii() and b"\x7f" not in joined
    has_escapes = b"\\" in joined
    fields = _parsed(joined, len(lines))
    if fields is None:
        _take_out(lines, _failing(_check_syntax, lines))
        fields = _parsed(join(lines), len(lines))
    if fields is None:
        _take_out(lines, texts.str.contains(_HUGE_NUMBER).arg_true())
        fields = _by_halves(lines, join)
    return Columns(fields.with_columns(texts), is_ascii, has_escapes)


def _without(values: pl.Series, unwanted: pl.Series) -> pl.Series:
    return values.set(unwanted.fill_null(value=False), None) if unwanted.any() else values


def as_texts(messages: pl.Series) -> pl.Series:
    """Return messages as text, null where they are not UTF-8."""
    try:
        return messages.cast(pl.String)
    except pl.exceptions.ComputeError:
        # The memory of a column is checked as a whole, so it is made anew without them.
        values = messages.to_list()
        for row in _failing(bytes.decode, [value or b"" for value in values]):
            values[row] = None
        return pl.Series(messages.name, values, dtype=pl.Binary).cast(pl.String)


def _objects(texts: pl.Series) -> pl.Series:
    """Take out what does not begin as an object."""
    if texts.str.starts_with("{").all():
        return texts
    return _without(texts, ~texts.str.contains(_OBJECT))


def _one_line_each(lines: Iterable[bytes]) -> bytes:
    # In a string neither character may stand, so one faulty message is replaced by another.
    return _SEPARATOR.join(lines).replace(b"\n", b"\r").replace(_SEPARATOR, b"\n")


def _take_out(lines: list[bytes], rows: Iterable[int]) -> None:
    for row in rows:
        lines[row] = _NO_FIELDS


def _parsed(lines: bytes, count: int) -> pl.DataFrame | None:
    try:
        fields = pl.read_ndjson(lines, schema=FIELDS_SCHEMA, ignore_errors=True)
    except pl.exceptions.ComputeError:
        return None
    return fields if fields.height == count else None


def _by_halves(lines: list[bytes], join: _Join) -> pl.DataFrame:
    fields = _parsed(join(lines), len(lines))
    if fields is not None:
        return fields
    if len(lines) <= _FEWEST:
        return pl.DataFrame(schema=FIELDS_SCHEMA).clear(len(lines))
    half = len(lines) // 2
    return pl.concat([_by_halves(lines[:half], join), _by_halves(lines[half:], join)])


def _failing(check: Callable[[bytes], object], values: Iterable[bytes]) -> list[int]:
    """Return the rows for which `check` raises."""
    results = map(check, values)
    passed: list[object] = []
    failing = []
    while True:
        try:
            # Goes on where it was left.
            passed.extend(results)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            failing.append(len(passed))
            passed.append(None)
        else:
            return failing
