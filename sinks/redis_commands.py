"""Redis commands in the protocol's own bytes, built by columns.

A client's pipeline encodes each argument of each command by itself, which costs more than Redis
does. Source: the RESP specification (https://redis.io/docs/latest/develop/reference/protocol-spec/).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import polars as pl

from mobility.keys import LAST_WINDOW
from mobility.measures import AMOUNTS, COUNTS, MEASURES, STARTS
from mobility.messages import mean_duration, units
from mobility.times import iso_text

_TOTALS_FIELDS: Final = (
    *COUNTS,
    "avg_duration",
    *(each.name for each in MEASURES if each.kind != "count"),
    LAST_WINDOW,
)


@dataclass(frozen=True, slots=True)
class Commands:
    """Commands as they are sent, and their number."""

    payload: bytes
    count: int

    def __add__(self, other: "Commands") -> "Commands":
        return Commands(self.payload + other.payload, self.count + other.count)

    @classmethod
    def joined(cls, parts: Iterable["Commands"]) -> "Commands":
        """Return some as one: at once, for there may be thousands."""
        every = list(parts)
        return cls(b"".join(each.payload for each in every), sum(each.count for each in every))


NO_COMMANDS: Final = Commands(b"", 0)


def command(*words: str | int) -> Commands:
    r"""Return one command.

    >>> command("DEL", "a").payload
    b'*2\r\n$3\r\nDEL\r\n$1\r\na\r\n'
    """
    encoded = [str(word).encode() for word in words]
    parts = (b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)
    return Commands(b"*%d\r\n" % len(encoded) + b"".join(parts), 1)


def totals_commands(
    key_prefix: str, totals: pl.DataFrame, expiry: str | int, *, asking: bool = False
) -> Commands:
    """Return an HSET and an EXPIRE for each id of `totals` (TOUCHED_SCHEMA).

    `expiry` are the seconds, or the column that has them. Amounts are written as decimals in units,
    times in ISO 8601; a minimum or maximum is empty where there is none. With `asking` there is an
    ASKING before each, for a server that is about to get the slot of a key.
    """
    ask = "*1\r\n" + _bulk("ASKING") if asking else ""
    seconds = pl.col(expiry) if isinstance(expiry, str) else pl.lit(expiry)
    words = totals.select(
        pl.concat_str(pl.lit(key_prefix), "id").alias("key"),
        seconds.cast(pl.String).alias("seconds"),
        *(_field_text(name).alias(name) for name in _TOTALS_FIELDS),
    )
    fields = [
        part for name in _TOTALS_FIELDS for part in (pl.lit(_bulk(name)), *_bulk_column(name))
    ]
    lines = words.select(
        pl.concat_str(
            pl.lit(f"{ask}*{2 + 2 * len(_TOTALS_FIELDS)}\r\n{_bulk('HSET')}"),
            *(*_bulk_column("key"), *fields),
            pl.lit(f"{ask}*3\r\n{_bulk('EXPIRE')}"),
            *(*_bulk_column("key"), *_bulk_column("seconds")),
        )
    )
    return Commands("".join(lines.to_series()).encode(), (4 if asking else 2) * totals.height)


def _field_text(name: str) -> pl.Expr:
    if name in AMOUNTS:
        text = units(name).cast(pl.String)
        return text.str.strip_chars_end("0").str.strip_chars_end(".").fill_null("")
    if name in STARTS or name == LAST_WINDOW:
        return iso_text(pl.col(name)).fill_null("")
    if name in COUNTS:
        return pl.col(name).cast(pl.String)
    return mean_duration().cast(pl.String).str.strip_suffix(".0")


def _bulk(word: str) -> str:
    return f"${len(word.encode())}\r\n{word}\r\n"


def _bulk_column(name: str) -> tuple[pl.Expr, ...]:
    """Return the parts of a word from a column: its length in bytes, and itself."""
    length = pl.col(name).str.len_bytes().cast(pl.String)
    return pl.lit("$"), length, pl.lit("\r\n"), pl.col(name), pl.lit("\r\n")
