"""Frames in the form in which the Redis scripts read them (msgpack), and ledgers back as frames."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import msgspec
import polars as pl

from mobility.keys import LEDGER_FIELDS
from mobility.measures import STARTS, TOTALS
from mobility.records import WINDOW_SCHEMA
from mobility.times import epoch_ms, iso_text
from sinks.live_changes import change_lines

_EXACT: Final = 10**15
"""Integers below this are exact as a Lua number, which is a double, and in 15 decimal digits."""


@dataclass(frozen=True, slots=True)
class PackedWindows:
    """Windows as apply.lua reads them: columns in msgpack, and JSON lines for the change stream."""

    columns: bytes
    changes: str


def pack_windows(rows: pl.DataFrame) -> PackedWindows:
    """Pack windows (WINDOW_SCHEMA, those of one id next to each other).

    Whatever does not depend on the contents of Redis is computed here, by columns: a Lua script
    would do it row by row, while no other client is served.
    """
    columns = rows.select(
        "id",
        pl.col("window_start").cast(pl.String),
        _ledger_text().alias("text"),
        "generation",
        "trip_count",
        *TOTALS,
        *(iso_text(pl.col(name)) for name in STARTS),
    )
    return PackedWindows(
        msgspec.msgpack.encode([_lua_values(column) for column in columns]),
        ",\n".join(change_lines(rows)),
    )


def pack_chunks(rows: pl.DataFrame, size: int) -> Iterator[PackedWindows]:
    """Yield chunks of `size` rows in their packed form; a thread packs the next one meanwhile."""
    with ThreadPoolExecutor(1, "pack") as packer:
        yield from packer.map(pack_windows, rows.iter_slices(size))


def unpack_ledgers(windows: list[tuple[str, str, str]]) -> pl.DataFrame:
    """Return windows (WINDOW_SCHEMA) from ids and the fields and values of their ledgers.

    A value of release 0.1 ends before the latest start, which is then the earliest (see STARTS).
    """
    rows = pl.DataFrame(
        windows,
        schema={"id": pl.String, "window_start": pl.String, "window": pl.String},
        orient="row",
    )
    parts = (
        pl.col("window")
        .str.splitn(" ", len(LEDGER_FIELDS))
        .struct.rename_fields(list(LEDGER_FIELDS))
    )
    texts = rows.with_columns(parts).unnest("window")
    last = texts["last_start_time"].fill_null(texts["start_time"])
    return texts.with_columns(epoch_ms(texts["start_time"]), epoch_ms(last)).select(
        pl.col(name).cast(kind) for name, kind in WINDOW_SCHEMA.items()
    )


def _ledger_text() -> pl.Expr:
    """Return a window as the value of its field in the ledger, see LEDGER_FIELDS."""
    fields = [iso_text(pl.col(field)) if field in STARTS else field for field in LEDGER_FIELDS]
    return pl.concat_str(*fields, separator=" ")


def _lua_values(column: pl.Series) -> list[int | str | bool]:
    """Return the values of a column; an integer that is not exact as a double becomes text."""
    if not column.dtype.is_integer() or column.is_between(-_EXACT, _EXACT, closed="none").all():
        return column.to_list()
    return [value if abs(value) < _EXACT else str(value) for value in column]
