"""Slices of a feed as batches of messages: keys, JSON values and the times they are due."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import polars as pl

from mobility.times import iso_text
from mobility.validation import REQUIRED, TIMES
from producer.columns import time_ms
from producer.feed import Feed, Slice
from producer.timeline import Timeline

_MESSAGES_A_BATCH: Final = 50_000
_IDS: Final = ("trip_id", "driver_id", "passenger_id")


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """How far a replay has got: `row` is a place in the order of the feed."""

    loop: int
    row: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages in the order in which they go out, `copies` of them for each row.

    `due` has one event time (epoch ms) a row, and never falls: in a feed that is sent as it is, a
    row that stands late is due with the row before it.
    """

    start: Position
    due: list[int]
    keys: list[str]
    values: list[str]
    copies: int


def batches(
    feed: Feed, timeline: Timeline, start: Position, *, density: int, forever: bool
) -> Iterator[Batch]:
    """Yield the feed's messages from a position on, once or loop after loop.

    Of each row go out `density` messages, which differ in trip_id alone.
    """
    reached = 0
    while True:
        at = start
        for piece in feed.slices(start.row, max(1, _MESSAGES_A_BATCH // density)):
            events = (piece.events + timeline.moved(at.loop)).cum_max().to_list()
            reached = max(reached, events[0])
            due = [max(reached, event) for event in events]
            reached = due[-1]
            keys, values = encode(piece, timeline.moved(at.loop), at.loop, density)
            yield Batch(at, due, keys, values, density)
            at = Position(at.loop, at.row + len(due))
        if not forever:
            return
        start = Position(start.loop + 1, 0)


def encode(piece: Slice, shift: int, loop: int, copies: int) -> tuple[list[str], list[str]]:
    """Return the keys and JSON values of `copies` messages a row, times moved on by `shift` ms.

    The key is the driver's id, else the trip's, else made of the row's number: a null key would
    scatter at random. Null fields are left out. From the second repetition of a row on, be it a
    copy or a loop, its number is appended to the trip_id: `t42#1`.
    """
    rows, numbers, copy = piece.rows, piece.numbers, pl.lit(0)
    if copies > 1:
        places = pl.int_range(rows.height * copies, eager=True)
        rows, numbers = rows[places // copies], numbers.gather(places // copies)
        copy = pl.lit(places % copies)
    record = rows.with_columns(
        pl.col(name).cast(pl.String) for name in _IDS if name in rows.columns
    ).with_columns(
        *(_time_text(rows[name], shift) for name in TIMES if name in rows.columns),
        *(_repeated(loop * copies + copy) for name in ("trip_id",) if name in rows.columns),
    )
    owners = [pl.col(name) for name in ("driver_id", "trip_id") if name in rows.columns]
    keys = record.select(pl.coalesce(*owners, "row-" + pl.lit(numbers.cast(pl.String))))
    return keys.to_series().to_list(), _json(record).to_list()


def _repeated(repetition: pl.Expr) -> pl.Expr:
    numbered = pl.col("trip_id") + "#" + repetition.cast(pl.String)
    return pl.when(repetition == 0).then("trip_id").otherwise(numbered).alias("trip_id")


def _time_text(times: pl.Series, shift: int) -> pl.Series:
    # What can't be read goes out as it is: the flow will say what is wrong with it.
    original = times.to_physical() if times.dtype == pl.Datetime else times
    ms = time_ms(times) + shift
    return (
        pl.DataFrame({"ms": ms, "original": original.cast(pl.String)})
        .select(pl.coalesce(iso_text(pl.col("ms")), "original"))
        .to_series()
        .alias(times.name)
    )


def _json(record: pl.DataFrame) -> pl.Series:
    whole = [column for column in record if column.name in REQUIRED or not column.has_nulls()]
    holed = [column for column in record if column.name not in REQUIRED and column.has_nulls()]
    return record.select(
        pl.concat_str(
            pl.struct(column.name for column in whole).struct.json_encode().str.strip_suffix("}"),
            *(_fragment(column.name) for column in holed),
            separator=",",
            ignore_nulls=True,
        )
        + "}"
    ).to_series()


def _fragment(name: str) -> pl.Expr:
    text = pl.struct(name).struct.json_encode().str.strip_prefix("{").str.strip_suffix("}")
    return pl.when(pl.col(name).is_not_null()).then(text)
