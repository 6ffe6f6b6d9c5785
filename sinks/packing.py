"""Frames as the Redis scripts read them, and ledgers back as frames."""

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import msgspec
import polars as pl

from mobility.records import STARTS, TOTALS, WINDOW_SCHEMA
from mobility.times import epoch_ms, iso_text
from sinks.history import History

_FIELDS: Final = ("generation", "trip_count", *TOTALS, "start_time", "pane", "last_start_time")
_EXACT: Final = 10**15
NOTHING: Final = "-"
"""The history of an id that the lasting store has never seen either; the start of no trips."""


@dataclass(frozen=True, slots=True)
class PackedWindows:
    """Windows as apply.lua reads them: columns as msgpack, and lines of JSON for the stream."""

    columns: bytes
    news: str


def packed_windows(rows: pl.DataFrame, begins: pl.Series | None = None) -> PackedWindows:
    """Return windows (WINDOW_SCHEMA, those of an id together) for Redis.

    `begins` tells which are the first there ever was of their id; by default none is known to be.
    All that does not depend on what the store holds is worked out here, by columns: the interpreter
    there would do it row by row, while nobody else is served.
    """
    columns = rows.select(
        "id",
        pl.col("window_start").cast(pl.String),
        _line().alias("text"),
        "generation",
        "trip_count",
        *TOTALS,
        *(iso_text(pl.col(name)) for name in STARTS),
        (pl.lit(value=False) if begins is None else begins).alias("begins"),
        news=_news(),
    )
    news = columns.drop_in_place("news")
    return PackedWindows(
        msgspec.msgpack.encode([_values(column) for column in columns]), ",\n".join(news)
    )


def packed_ahead(
    rows: pl.DataFrame, unseen: Collection[str], size: int
) -> Iterator[tuple[pl.DataFrame, PackedWindows]]:
    """Yield chunks of `size` rows, packed: the next ones while somebody is at work on one.

    An `unseen` id begins with its first row of all; a chunk that goes on with it says so no more.
    """
    ids = rows["id"]
    is_unseen = ids.is_in(pl.Series(list(unseen), dtype=pl.String).implode())
    begins = is_unseen & ids.ne_missing(ids.shift())

    def packed(at: int) -> tuple[pl.DataFrame, PackedWindows]:
        chunk = rows.slice(at, size)
        return chunk, packed_windows(chunk, begins.slice(at, size))

    with ThreadPoolExecutor(1, "pack") as packer:
        yield from packer.map(packed, range(0, rows.height, size))


def packed_history(ids: list[str], history: History) -> pl.DataFrame:
    """Return a row an id (`id`, `history`): a line of totals and one a window, or NOTHING."""
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
            _start("start_time"),
            *("left_seconds", "oldest", "newest"),
            *map(_start, ("recent", "last_start_time", "recent_last")),
            separator=" ",
        ).alias("totals"),
    )
    known = totals.join(_lines(history.windows, "windows"), on="id").select(
        "id", pl.concat_str("totals", "windows", separator="\n").alias("history")
    )
    wanted = pl.DataFrame({"id": ids}, schema={"id": pl.String})
    return wanted.join(known, on="id", how="left").with_columns(
        pl.col("history").fill_null(NOTHING)
    )


def unpacked(windows: list[tuple[str, str, str]]) -> pl.DataFrame:
    """Return windows (WINDOW_SCHEMA) from ids and the fields and values of their ledgers.

    Values of the first release end before the latest start (see STARTS).
    """
    rows = pl.DataFrame(
        windows,
        schema={"id": pl.String, "window_start": pl.String, "window": pl.String},
        orient="row",
    )
    parts = pl.col("window").str.splitn(" ", len(_FIELDS)).struct.rename_fields(list(_FIELDS))
    texts = rows.with_columns(parts).unnest("window")
    last = texts["last_start_time"].fill_null(texts["start_time"])
    return texts.with_columns(epoch_ms(texts["start_time"]), epoch_ms(last)).select(
        pl.col(name).cast(kind) for name, kind in WINDOW_SCHEMA.items()
    )


def _start(name: str) -> pl.Expr:
    return iso_text(pl.col(name)).fill_null(NOTHING)


def _lines(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    line = pl.concat_str(pl.col("window_start").cast(pl.String), _line(), separator=" ")
    return rows.group_by("id", maintain_order=True).agg(line.str.join("\n").alias(name))


def _line() -> pl.Expr:
    """Return a window as its field in the ledger has it."""
    fields = [iso_text(pl.col(field)) if field in STARTS else field for field in _FIELDS]
    return pl.concat_str(*fields, separator=" ")


def _news() -> pl.Expr:
    """Return a window as the stream of changes has it: a JSON list, amounts as text."""
    named = pl.struct("id").struct.json_encode()  # {"id":"..."}, which escapes it
    entity_id = named.str.slice(len('{"id":')).str.strip_suffix("}")
    amounts = (part for name in TOTALS for part in (pl.lit(',"'), name, pl.lit('"')))
    return pl.concat_str(
        *(pl.lit("["), entity_id, pl.lit(","), "window_start", pl.lit(","), "trip_count"),
        *(*amounts, pl.lit(',"'), "pane", pl.lit('"]')),
    )


def _values(column: pl.Series) -> list[int | str | bool]:
    """Return values for Lua, whose numbers are doubles: as text where one would not be exact."""
    if column.dtype != pl.Int64 or (column.abs() < _EXACT).all():
        return column.to_list()
    return [value if abs(value) < _EXACT else str(value) for value in column]
