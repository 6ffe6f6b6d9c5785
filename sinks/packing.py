"""Frames as the lines of text that the Redis scripts read, and ledgers back as frames."""

from typing import Final

import polars as pl

from mobility.records import TOTALS, WINDOW_SCHEMA
from mobility.times import epoch_ms, iso_text
from sinks.history import History

_FIELDS: Final = ("generation", "trip_count", *TOTALS, "start_time", "pane")
NOTHING: Final = "-"
"""The history of an id that the lasting store has never seen either; the start of no trips."""


def packed_windows(rows: pl.DataFrame) -> pl.DataFrame:
    """Return a row an id (`id`, `windows`): a line of text a window, in the order of the rows."""
    return _lines(rows, "windows")


def packed_history(ids: list[str], history: History) -> pl.DataFrame:
    """Return a row an id (`id`, `history`): a line of totals and one a window, or NOTHING."""
    recent = history.windows.group_by("id").agg(
        oldest=pl.col("window_start").min(),
        newest=pl.col("window_start").max(),
        recent=pl.col("start_time").filter(pl.col("trip_count") > 0).min(),
    )
    totals = history.totals.join(recent, on="id").select(
        "id",
        pl.concat_str(
            "trip_count",
            *TOTALS,
            _start("start_time"),
            *("left_seconds", "oldest", "newest"),
            _start("recent"),
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
    """Return windows (WINDOW_SCHEMA) from ids and the fields and values of their ledgers."""
    rows = pl.DataFrame(
        windows,
        schema={"id": pl.String, "window_start": pl.String, "window": pl.String},
        orient="row",
    )
    parts = pl.col("window").str.splitn(" ", len(_FIELDS)).struct.rename_fields(list(_FIELDS))
    texts = rows.with_columns(parts).unnest("window")
    return texts.with_columns(epoch_ms(texts["start_time"])).select(
        pl.col(name).cast(kind) for name, kind in WINDOW_SCHEMA.items()
    )


def _start(name: str) -> pl.Expr:
    return iso_text(pl.col(name)).fill_null(NOTHING)


def _lines(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    fields = [iso_text(pl.col(field)) if field == "start_time" else field for field in _FIELDS]
    line = pl.concat_str("window_start", *fields, separator=" ")
    return rows.group_by("id", maintain_order=True).agg(line.str.join("\n").alias(name))
