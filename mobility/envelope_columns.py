"""Takes the envelopes off a batch of messages by columns.

Only the envelope is matched, by a regular expression. What it holds is parsed by the decoder of
trips, which rejects the message if that is no JSON object.
"""

from collections.abc import Sequence
from typing import Final

import polars as pl

from mobility.json_columns import as_texts
from mobility.json_members import member_spans
from mobility.nesting import may_be_nested_too_deeply
from mobility.records import MAX_NESTING
from mobility.validation import Rejection, read_object

# Messages of a topic have one schema, or one after the other; each is looked for in all of them.
_MOST_SCHEMAS: Final = 16

_ENVELOPE_LEVELS: Final = 2

# JSON without blanks, as Jackson writes it. Python reads no integers of thousands of digits.
_STRING: Final = r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"'
_NUMBER: Final = r"-?(?:0|[1-9][0-9]{0,18})(?:\.[0-9]{1,18})?(?:[eE][+-]?[0-9]{1,2})?"
_SCALAR: Final = f"(?:{_STRING}|{_NUMBER}|true|false|null)"
_MEMBERS: Final = f"(?:{_STRING}:{_SCALAR}(?:,{_STRING}:{_SCALAR})*)?"
_OTHERS: Final = rf'(?:,"(?:transaction|ts_ms|ts_us|ts_ns)":(?:{_SCALAR}|\{{{_MEMBERS}\}}))*'

# Debezium writes these members in this order (io.debezium.data.Envelope).
_CREATED: Final = '{"before":null,"after":'
_UPDATED: Final = rf'^\{{"before":\{{{_MEMBERS}\}},"after":'
_SOURCE: Final = '},"source":{'
_BEHIND_SOURCE: Final = rf'^{_MEMBERS}\}}{_OTHERS},"op":"[cru]"{_OTHERS}\}}$'


def payloads(values: Sequence[bytes | None], max_bytes: int) -> Sequence[bytes | None]:
    """Return the `payload` of envelopes of Kafka Connect, None where that isn't certain."""
    return _payloads(_messages(values, max_bytes)).to_list()


def change_rows(values: Sequence[bytes | None], max_bytes: int) -> Sequence[bytes | None]:
    """Return the row `after` changes of Debezium, None where that isn't certain."""
    messages = _messages(values, max_bytes)
    events = as_texts(
        messages.zip_with(messages.bin.starts_with(b'{"before":'), _payloads(messages))
    )
    return _rows(events).cast(pl.Binary).to_list()


def _messages(values: Sequence[bytes | None], max_bytes: int) -> pl.Series:
    messages = pl.Series("message", values, dtype=pl.Binary)
    too_large = (messages.bin.size() > max_bytes).fill_null(value=False)
    return messages.set(too_large, None) if too_large.any() else messages


def _payloads(messages: pl.Series) -> pl.Series:
    """Return what stands behind a schema, up to the last brace."""
    found = pl.repeat(None, messages.len(), dtype=pl.Binary, eager=True)
    pending = messages.bin.starts_with(b'{"schema":') & messages.bin.ends_with(b"}")
    pending = pending.fill_null(value=False)
    for _ in range(_MOST_SCHEMAS):
        if not pending.any():
            break
        first = pending.arg_true()[0]
        start = _before_payload(messages[first])
        if start is None:
            pending = pending.scatter(first, values=False)
            continue
        alike = pending & messages.bin.starts_with(start)
        inside = messages.bin.slice(len(start)).bin.head(-1)
        found = inside.zip_with(alike, found)
        pending &= ~alike
    return found


def _before_payload(message: bytes) -> bytes | None:
    """Return everything before the payload of an envelope that begins with its schema."""
    try:
        read_object(message)
    except Rejection:
        return None
    text = message.decode()
    spans = member_spans(text)
    if list(spans)[:2] != ["schema", "payload"]:
        return None
    return text[: spans["payload"][0]].encode()


def _rows(events: pl.Series) -> pl.Series:
    """Return the row after each change: what is between `after` and `source`."""
    is_created = events.str.starts_with(_CREATED).fill_null(value=False)
    rest = events.str.strip_prefix(_CREATED)
    if not is_created.all():
        is_updated = events.str.contains(_UPDATED).fill_null(value=False)
        others = events.str.replace(_UPDATED, "").set(~is_updated, None)
        rest = rest.zip_with(is_created, others)
    parts = rest.str.splitn(_SOURCE, 2).struct
    rows = parts.field("field_0") + "}"
    is_right = parts.field("field_1").str.contains(_BEHIND_SOURCE).fill_null(value=False)
    return rows.set(
        ~is_right | may_be_nested_too_deeply(rows, MAX_NESTING - _ENVELOPE_LEVELS), None
    )
