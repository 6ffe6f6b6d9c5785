"""Frames in the form in which the Redis scripts read them (msgpack), and ledgers back as frames."""

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import msgspec
import polars as pl

from mobility.keys import LEDGER_FIELDS
from mobility.measures import STARTS, TOTALS
from mobility.records import WINDOW_SCHEMA
from mobility.times import epoch_ms, iso_text
from sinks.history import History

_EXACT: Final = 10**15
"""Integers below this are exact as a Lua number, which is a double, and in 15 decimal digits."""

NONE: Final = "-"
"""The history of an id that Postgres does not have either; the start of an id without trips."""


@dataclass(frozen=True, slots=True)
class PackedWindows:
    """Windows as apply.lua reads them: columns in msgpack, and JSON lines for the change stream."""

    columns: bytes
    changes: str


def pack_windows(rows: pl.DataFrame, is_new: pl.Series | None = None) -> PackedWindows:
    """Pack windows (WINDOW_SCHEMA, those of one id next to each other).

    `is_new` marks rows that are the first of an id that Postgres did not have before; by default
    none is. Whatever does not depend on the contents of Redis is computed here, by columns: a Lua
    script would do it row by row, while no other client is served.
    """
    columns = rows.select(
        "id",
        pl.col("window_start").cast(pl.String),
        _ledger_text().alias("text"),
        "generation",
        "trip_count",
        *TOTALS,
        *(iso_text(pl.col(name)) for name in STARTS),
        (pl.lit(value=False) if is_new is None else is_new).alias("is_new"),
        changes=_change_json(),
    )
    changes = columns.drop_in_place("changes")
    return PackedWindows(
        msgspec.msgpack.encode([_lua_values(column) for column in columns]), ",\n".join(changes)
    )


def pack_chunks(
    rows: pl.DataFrame, new_ids: Collection[str], size: int
) -> Iterator[tuple[pl.DataFrame, PackedWindows]]:
    """Yield chunks of `size` rows with their packed form; a thread packs the next one meanwhile.

    The first row of each of the `new_ids` is marked as new, also where its rows are in several
    chunks.
    """
    ids = rows["id"]
    is_new_id = ids.is_in(pl.Series(list(new_ids), dtype=pl.String).implode())
    is_new = is_new_id & ids.ne_missing(ids.shift())

    def pack(start: int) -> tuple[pl.DataFrame, PackedWindows]:
        chunk = rows.slice(start, size)
        return chunk, pack_windows(chunk, is_new.slice(start, size))

    with ThreadPoolExecutor(1, "pack") as packer:
        yield from packer.map(pack, range(0, rows.height, size))


def pack_histories(ids: list[str], history: History) -> pl.DataFrame:
    """Return a row per id (`id`, `history`): a line of totals and a line per window, or NONE."""
    recent = history.windows.group_by("id").agg(
        oldest=pl.col("window_start").min(),
        newest=pl.col("window_start").max(),
        recent=pl.col("start_time").filter(pl.col("trip_count") > 0).min(),
        recent_last=pl.col("last_start_time").filter(pl.col("trip_count") > 0).max(),
    )
    totals = history.totals.join(recent, on="id").select(
        "id",
        pl.concat_str(
            "trip_count",
            *TOTALS,
            _start_text("start_time"),
            *("left_seconds", "oldest", "newest"),
            *map(_start_text, ("recent", "last_start_time", "recent_last")),
            separator=" ",
        ).alias("totals"),
    )
    known = totals.join(_window_lines(history.windows), on="id").select(
        "id", pl.concat_str("totals", "windows", separator="\n").alias("history")
    )
    wanted = pl.DataFrame({"id": ids}, schema={"id": pl.String})
    return wanted.join(known, on="id", how="left").with_columns(pl.col("history").fill_null(NONE))


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


def _start_text(name: str) -> pl.Expr:
    return iso_text(pl.col(name)).fill_null(NONE)


def _window_lines(rows: pl.DataFrame) -> pl.DataFrame:
    """Return a row per id (`id`, `windows`): a line per window, its start and its ledger text."""
    line = pl.concat_str(pl.col("window_start").cast(pl.String), _ledger_text(), separator=" ")
    return rows.group_by("id", maintain_order=True).agg(line.str.join("\n").alias("windows"))


def _ledger_text() -> pl.Expr:
    """Return a window as the value of its field in the ledger, see LEDGER_FIELDS."""
    fields = [iso_text(pl.col(field)) if field in STARTS else field for field in LEDGER_FIELDS]
    return pl.concat_str(*fields, separator=" ")


def _change_json() -> pl.Expr:
    """Return a window as the change stream has it: a JSON list, amounts in millionths as text."""
    named = pl.struct("id").struct.json_encode()  # {"id":"..."}, with JSON escapes
    entity_id = named.str.slice(len('{"id":')).str.strip_suffix("}")
    amounts = (part for name in TOTALS for part in (pl.lit(',"'), name, pl.lit('"')))
    return pl.concat_str(
        *(pl.lit("["), entity_id, pl.lit(","), "window_start", pl.lit(","), "trip_count"),
        *(*amounts, pl.lit(',"'), "pane", pl.lit('"]')),
    )


def _lua_values(column: pl.Series) -> list[int | str | bool]:
    """Return the values of a column; an integer that is not exact as a double becomes text."""
    if not column.dtype.is_integer() or column.is_between(-_EXACT, _EXACT, closed="none").all():
        return column.to_list()
    return [value if abs(value) < _EXACT else str(value) for value in column]
