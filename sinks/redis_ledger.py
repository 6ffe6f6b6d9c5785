"""What Redis holds of an id as the only store: totals, and the ledger with its windows."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from mobility.entities import Entity
from mobility.keys import BEFORE, LAST_WINDOW, RedisKeys
from mobility.measures import AMOUNTS, COUNTS, STARTS
from mobility.messages import micro_units
from mobility.records import WINDOW_SCHEMA
from mobility.times import epoch_ms
from mobility.totals import with_substitutes
from sinks.redis_commands import Commands, command
from sinks.redis_transactions import Transaction, pairs
from sinks.store import TOUCHED_SCHEMA

TOTALS_FIELDS: Final = TOUCHED_SCHEMA.names()[1:]

_VALUES: Final = pl.Schema(
    {name: kind for name, kind in WINDOW_SCHEMA.items() if name not in {"id", "window_start"}}
)
_TIMES: Final = (*STARTS, LAST_WINDOW)


@dataclass(frozen=True, slots=True)
class StoredIds:
    """What Redis holds of some ids.

    `totals` (TOUCHED_SCHEMA) and `windows` (WINDOW_SCHEMA) lack an id of which one of the hashes
    was evicted or deleted: it is `broken`, and starts again.
    """

    totals: pl.DataFrame
    windows: pl.DataFrame
    broken: list[str]


def read_stored_ids(
    transaction: Transaction, keys: RedisKeys, entity: Entity, rows: pl.DataFrame
) -> StoredIds:
    """Watch the ids of some windows, and return what is held of these windows and ids."""
    starts_of = rows.group_by("id", maintain_order=True).agg("window_start")
    ids, starts = starts_of["id"].to_list(), starts_of["window_start"].to_list()
    hashes = [(keys.totals(entity, each), keys.ledger(entity, each)) for each in ids]
    commands = (
        part
        for (totals, ledger), of_id in zip(hashes, starts, strict=True)
        for part in (
            command("HMGET", totals, *TOTALS_FIELDS),
            command("HLEN", ledger),
            command("HMGET", ledger, *of_id),
        )
    )
    watched = [key for pair in hashes for key in pair]
    replies = transaction.read(Commands.joined(commands), watched)
    held = list(zip(ids, starts, replies[::3], replies[1::3], replies[2::3], strict=True))
    whole = [each for each in held if each[2][0] is not None and each[3]]
    return StoredIds(
        parse_totals((entity_id, *texts) for entity_id, _, texts, _, _ in whole),
        parse_windows(
            (entity_id, start, text)
            for entity_id, of_id, _, _, texts in whole
            for start, text in zip(of_id, texts, strict=True)
        ),
        [each[0] for each in held if (each[2][0] is None) != (not each[3])],
    )


def read_ledgers(
    transaction: Transaction, keys: RedisKeys, entity: Entity, ids: Sequence[str]
) -> pl.DataFrame:
    """Return all windows of ids (WINDOW_SCHEMA); removed ones are one window without a start."""
    ledgers = [keys.ledger(entity, entity_id) for entity_id in ids]
    commands = Commands.joined(command("HGETALL", ledger) for ledger in ledgers)
    replies = transaction.read(commands, ledgers)
    return parse_windows(
        (entity_id, None if field == BEFORE else int(field), text)
        for entity_id, reply in zip(ids, replies, strict=True)
        for field, text in pairs(reply)
    )


def parse_totals(rows: Iterable[tuple[Any, ...]]) -> pl.DataFrame:
    """Return ids and the texts of their TOTALS_FIELDS as totals (TOUCHED_SCHEMA)."""
    schema = dict.fromkeys(TOUCHED_SCHEMA, pl.String)
    texts = pl.DataFrame(list(rows), schema=schema, orient="row")
    totals = texts.with_columns(
        pl.col(COUNTS).cast(pl.Int64),
        *(micro_units(texts[name].replace("", None)) for name in AMOUNTS),
        *(epoch_ms(texts[name].replace("", None)) for name in _TIMES),
    )
    return with_substitutes(totals).cast(TOUCHED_SCHEMA)


def parse_windows(rows: Iterable[tuple[str, int | None, str | None]]) -> pl.DataFrame:
    """Return ids, starts and what the ledgers have of them as windows (WINDOW_SCHEMA).

    A window that is not there is left out; a measure that was added later is null, or what its
    substitute is.
    """
    schema = pl.Schema({"id": pl.String(), "window_start": pl.Int64(), "values": pl.String()})
    texts = pl.DataFrame(list(rows), schema=schema, orient="row").drop_nulls("values")
    values = texts["values"].str.json_decode(pl.Struct(_VALUES))
    windows = texts.select("id", "window_start", values.alias("values")).unnest("values")
    return with_substitutes(windows)


def ledger_commands(keys: RedisKeys, entity: Entity, windows: pl.DataFrame) -> Iterator[Commands]:
    """Yield a command for each id, which writes its windows (WINDOW_SCHEMA).

    That without a start are the removed windows, as one.
    """
    fields = windows.select(
        "id",
        pl.col("window_start").cast(pl.String).fill_null(BEFORE),
        pl.struct(_VALUES.names()).struct.json_encode().alias("values"),
    ).group_by("id", maintain_order=True)
    for entity_id, starts, values in fields.agg("window_start", "values").iter_rows():
        words = (word for pair in zip(starts, values, strict=True) for word in pair)
        yield command("HSET", keys.ledger(entity, entity_id), *words)


def removal_commands(keys: RedisKeys, entity: Entity, removed: pl.DataFrame) -> Iterator[Commands]:
    """Yield a command for each id, which deletes windows (id, window_start) from its ledger."""
    for entity_id, starts in removed.group_by("id").agg("window_start").iter_rows():
        yield command("HDEL", keys.ledger(entity, entity_id), *starts)
