"""Batches of messages from slices of a trips file: keys, JSON values and due times."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import polars as pl

from mobility.times import iso_text
from producer.columns import time_ms
from producer.day_shift import DayShift
from producer.formats.trip_format import REQUIRED, TIMES
from producer.trips_file import RowSlice, TripsFile

_MESSAGES_PER_BATCH: Final = 50_000
_IDS: Final = ("trip_id", "driver_id", "passenger_id")


@dataclass(frozen=True, slots=True, order=True)
class FilePosition:
    """How far a replay is: `row` is an index in the order in which rows are sent."""

    loop: int
    row: int


@dataclass(frozen=True, slots=True)
class MessageBatch:
    """Messages in the order in which they are sent, `copies` of them for each row.

    `due` has one event time (epoch ms) per row, in non-decreasing order: in a file that is sent as
    it is, a row that is out of order is due together with the row before it. Outliers are due with
    the first and the last of the other rows.
    """

    start: FilePosition
    due: list[int]
    keys: list[str]
    values: list[str]
    copies: int


def make_batches(
    file: TripsFile, day_shift: DayShift, start: FilePosition, *, density: int, forever: bool
) -> Iterator[MessageBatch]:
    """Yield the file's messages from a position on, once or loop after loop.

    Each row is sent as `density` messages, which differ in trip_id only.
    """
    latest = 0
    while True:
        position = start
        for piece in file.slices(start.row, max(1, _MESSAGES_PER_BATCH // density)):
            shift = day_shift.for_loop(position.loop)
            # Nobody waits for the few rows that are years away from all others.
            near = piece.event_times.clip(file.first, file.last)
            event_times = (near + shift).cum_max().to_list()
            latest = max(latest, event_times[0])
            due = [max(latest, event_time) for event_time in event_times]
            latest = due[-1]
            keys, values = encode_messages(piece, shift, position.loop, density)
            yield MessageBatch(position, due, keys, values, density)
            position = FilePosition(position.loop, position.row + len(due))
        if not forever:
            return
        start = FilePosition(start.loop + 1, 0)


def encode_messages(
    piece: RowSlice, shift: int, loop: int, copies: int
) -> tuple[list[str], list[str]]:
    """Return the keys and JSON values of `copies` messages per row, times shifted by `shift` ms.

    The key is the driver's id, else the trip's, else the row's number: messages with a null key
    would go to random partitions. Null fields are left out. Every repetition of a row after the
    first, as a copy or in a loop, has its number appended to the trip_id: `t42#1`.
    """
    rows, numbers, copy = piece.rows, piece.row_numbers, pl.lit(0)
    if copies > 1:
        indexes = pl.int_range(rows.height * copies, eager=True)
        rows, numbers = rows[indexes // copies], numbers.gather(indexes // copies)
        copy = pl.lit(indexes % copies)
    record = rows.with_columns(
        pl.col(name).cast(pl.String) for name in _IDS if name in rows.columns
    ).with_columns(
        *(_time_text(rows[name], shift) for name in TIMES if name in rows.columns),
        *(_repeated_id(loop * copies + copy) for name in ("trip_id",) if name in rows.columns),
    )
    key_columns = [pl.col(name) for name in ("driver_id", "trip_id") if name in rows.columns]
    keys = record.select(pl.coalesce(*key_columns, "row-" + pl.lit(numbers.cast(pl.String))))
    return keys.to_series().to_list(), _to_json(record).to_list()


def _repeated_id(repetition: pl.Expr) -> pl.Expr:
    numbered = pl.col("trip_id") + "#" + repetition.cast(pl.String)
    return pl.when(repetition == 0).then("trip_id").otherwise(numbered).alias("trip_id")


def _time_text(times: pl.Series, shift: int) -> pl.Series:
    # A time that can't be parsed is sent unchanged: the flow makes it a dead letter.
    original = times.to_physical() if times.dtype == pl.Datetime else times
    ms = time_ms(times) + shift
    return (
        pl.DataFrame({"ms": ms, "original": original.cast(pl.String)})
        .select(pl.coalesce(iso_text(pl.col("ms")), "original"))
        .to_series()
        .alias(times.name)
    )


def _to_json(record: pl.DataFrame) -> pl.Series:
    complete = [column for column in record if column.name in REQUIRED or not column.has_nulls()]
    with_nulls = [column for column in record if column.name not in REQUIRED and column.has_nulls()]
    return record.select(
        pl.concat_str(
            pl.struct(column.name for column in complete)
            .struct.json_encode()
            .str.strip_suffix("}"),
            *(_field_json(column.name) for column in with_nulls),
            separator=",",
            ignore_nulls=True,
        )
        + "}"
    ).to_series()


def _field_json(name: str) -> pl.Expr:
    text = pl.struct(name).struct.json_encode().str.strip_prefix("{").str.strip_suffix("}")
    return pl.when(pl.col(name).is_not_null()).then(text)
