"""Parses the known fields of JSON objects to columns.

If Polars can't parse one message of a chunk, it parses none. So messages that it can't parse are
left out before, or found after it has rejected the chunk. Both work on columns or loop in C.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, cast

import msgspec
import polars as pl

from mobility.nesting import may_be_nested_too_deeply
from mobility.validation import AMOUNTS, COORDINATES, LOCATIONS, STRINGS, TIMES

FIELDS_SCHEMA: Final = pl.Schema(
    {
        **dict.fromkeys((*STRINGS, *LOCATIONS, *TIMES), pl.String),
        **dict.fromkeys((*COORDINATES, *AMOUNTS), pl.Float64),
    }
)
"""The schema for Polars. See `mobility.json_checks` for values of other types."""

# If Polars rejects a chunk, parsing it was for nothing; smaller chunks cost more in total.
_CHUNK: Final = 5_000

_OBJECT: Final = r"^[ \t\r\n]*\{"
_NO_FIELDS: Final = b"{}"

# Separates messages while line feeds in them are replaced. It is not allowed in JSON.
_SEPARATOR: Final = b"\x1e"

# Numbers that are valid JSON but may be too large for Polars: for a double, or for 128 bits.
_HUGE_NUMBER: Final = r"[eE]\+?[0-9]{3}|[0-9]{39}"

# In an object with many equal keys, Polars takes a time that grows with the square of their number.
_MOST_KEYS: Final = 5_000
_KEY: Final = r'"\s*:'
_SHORTEST_PAIR: Final = len('"":0,')

# So many messages or fewer are not split further to find one that Polars rejects.
_FEWEST: Final = 16


class _Object(msgspec.Struct):
    """An object without known fields: msgspec only checks the syntax of messages."""


_check_syntax: Final = msgspec.json.Decoder(_Object).decode

_Join = Callable[[Iterable[bytes]], bytes]


@dataclass(frozen=True, slots=True)
class Columns:
    """Messages as columns, one row per message.

    `fields` has FIELDS_SCHEMA and `text`, the message; the fields are null if it can't be parsed.
    If `is_ascii`, no message has DEL or a character beyond ASCII. If `has_escapes`, some message
    has a backslash.
    """

    fields: pl.DataFrame
    is_ascii: bool
    has_escapes: bool


def read_columns(values: Sequence[bytes | None], max_bytes: int) -> Columns:
    """Parse messages; those of more than `max_bytes` are treated as if they can't be parsed."""
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
    texts = _without(texts, may_be_nested_too_deeply(texts))
    texts = _without(texts, _has_many_keys(texts))
    join: _Join = b"\n".join
    if texts.str.contains("\n", literal=True).any():
        join = _one_line_each
        texts = _without(texts, texts.str.contains(_SEPARATOR.decode(), literal=True))
    lines = cast("list[bytes]", list(values))
    _leave_out(lines, texts.is_null().arg_true())
    joined = join(lines)
    is_ascii = joined.isascii() and b"\x7f" not in joined
    has_escapes = b"\\" in joined
    fields = _parsed(joined, len(lines))
    del joined  # so that its memory is reused: new memory costs as much as the copy
    if fields is None:
        failing = _failing(_check_syntax, lines)
        _leave_out(lines, failing)
        fields = _parsed(join(lines), len(lines)) if failing else None
    if fields is None:
        _leave_out(lines, texts.str.contains(_HUGE_NUMBER).arg_true())
        fields = _by_halves(lines, join)
    return Columns(fields.with_columns(texts), is_ascii, has_escapes)


def _without(values: pl.Series, unwanted: pl.Series) -> pl.Series:
    return values.set(unwanted.fill_null(value=False), None) if unwanted.any() else values


def as_texts(messages: pl.Series) -> pl.Series:
    """Return messages as text, null if they are not UTF-8."""
    try:
        return messages.cast(pl.String)
    except pl.exceptions.ComputeError:
        # The cast checks all memory of the column, also that of rows set to null.
        values = messages.to_list()
        for row in _failing(bytes.decode, [value or b"" for value in values]):
            values[row] = None
        return pl.Series(messages.name, values, dtype=pl.Binary).cast(pl.String)


def _objects(texts: pl.Series) -> pl.Series:
    """Set to null what does not start as an object."""
    if texts.str.starts_with("{").all():
        return texts
    return _without(texts, ~texts.str.contains(_OBJECT))


def _has_many_keys(texts: pl.Series) -> pl.Series:
    found = texts.str.len_bytes() > _SHORTEST_PAIR * _MOST_KEYS
    rows = found.arg_true()
    if rows.is_empty():
        return found
    return found.scatter(rows, texts.gather(rows).str.count_matches(_KEY) > _MOST_KEYS)


def _one_line_each(lines: Iterable[bytes]) -> bytes:
    # Both characters are blanks between tokens, and neither is allowed in a string.
    return _SEPARATOR.join(lines).replace(b"\n", b"\r").replace(_SEPARATOR, b"\n")


def _leave_out(lines: list[bytes], rows: Iterable[int]) -> None:
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
            # After an exception the iterator continues with the next value.
            passed.extend(results)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            failing.append(len(passed))
            passed.append(None)
        else:
            return failing
