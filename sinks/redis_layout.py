"""Rewrites what release 0.1 has left in a Redis that is the only store.

There a window was a text of numbers, the hash of totals had no newest window, and the field
`totals` of a ledger had the state of the id: numbers that its script added up.
"""

import logging
from dataclasses import dataclass
from functools import partial
from typing import Final

import polars as pl

from mobility.entities import ENTITIES, Entity
from mobility.keys import LAST_WINDOW, RedisKeys
from mobility.measures import STARTS, SUMS
from mobility.settings import Settings
from mobility.times import epoch_ms, iso_time
from mobility.totals import running_totals, with_substitutes
from sinks.reconciliation import as_windows
from sinks.redis_commands import Commands, command, totals_commands
from sinks.redis_ledger import TOTALS_FIELDS, ledger_commands, parse_totals
from sinks.redis_session import LAYOUT, RedisSession
from sinks.redis_transactions import Transaction, pairs

_IDS: Final = 200
"""Ids of one transaction."""

_STATE: Final = "totals"
_NEWEST, _REMOVED_START, _REMOVED_LAST = 8, 10, 13
"""Where the state has the newest window, and the extremes of the windows that were removed."""

_WINDOW: Final = (
    *("generation", "trip_count", "total_duration", "total_distance", "total_revenue"),
    *("start_time", "pane", "last_start_time"),
)
"""The values of a window. The first builds of 0.1 had no latest start: the earliest stands for it,
in the hash of totals and in the state too."""

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Stored:
    """What release 0.1 has stored of an id, and the seconds that it has left."""

    entity_id: str
    totals: dict[str, str]
    ledger: dict[str, str]
    left: int

    def state(self, at: int) -> str | None:
        values = self.ledger[_STATE].split(" ")
        return values[at] if at < len(values) and values[at] not in {"", "-"} else None


def upgrade_layout(session: RedisSession, settings: Settings) -> None:
    """Rewrite all ids, if that was not done yet; what is interrupted is continued."""
    keys, client = RedisKeys.of(settings), session.client
    if session.call(lambda: client.hget(keys.meta, "layout")) is not None:
        return
    for entity in ENTITIES:
        found = session.call(partial(client.zrange, keys.index(entity), 0, -1))
        ids = [str(member) for member in found]
        for start in range(0, len(ids), _IDS):
            _log.info("Rewriting %s in Redis: %d of %d ids", entity.name, start, len(ids))
            session.run(partial(_rewrite, keys, entity, ids[start : start + _IDS]))
    layout = command("HSET", keys.meta, "layout", LAYOUT)
    session.run(lambda transaction: transaction.commit(layout))


def _rewrite(keys: RedisKeys, entity: Entity, ids: list[str], transaction: Transaction) -> None:
    stored = _read(keys, entity, ids, transaction)
    if not stored:
        return
    windows, totals = _parse_windows(stored), _parse_totals(stored)
    removed = _removed(stored, totals, windows)
    left = pl.DataFrame(
        {"id": [each.entity_id for each in stored], "left": [each.left for each in stored]}
    )
    ledgers = (keys.ledger(entity, each.entity_id) for each in stored)
    transaction.commit(
        Commands.joined(
            [
                *ledger_commands(keys, entity, pl.concat([windows, removed])),
                *(command("HDEL", ledger, _STATE) for ledger in ledgers),
                totals_commands(keys.totals(entity, ""), totals.join(left, on="id"), "left"),
            ]
        )
    )


def _read(
    keys: RedisKeys, entity: Entity, ids: list[str], transaction: Transaction
) -> list[_Stored]:
    """Return those ids that have both hashes, and these as release 0.1 has written them."""
    hashes = [(keys.totals(entity, each), keys.ledger(entity, each)) for each in ids]
    commands = (
        command("HGETALL", totals) + command("HGETALL", ledger) + command("TTL", totals)
        for totals, ledger in hashes
    )
    replies = transaction.read(Commands.joined(commands), [key for pair in hashes for key in pair])
    found = (
        _Stored(entity_id, dict(pairs(totals)), dict(pairs(ledger)), max(left, 1))
        for entity_id, totals, ledger, left in zip(
            ids, replies[::3], replies[1::3], replies[2::3], strict=True
        )
    )
    return [each for each in found if each.totals and _STATE in each.ledger]


def _parse_totals(stored: list[_Stored]) -> pl.DataFrame:
    """Return totals (TOUCHED_SCHEMA)."""
    rows = []
    for each in stored:
        start = each.totals.get("start_time", "")
        newest = iso_time(int(each.state(_NEWEST) or 0))
        fields = {"start_time": start, "last_start_time": start, **each.totals, LAST_WINDOW: newest}
        rows.append((each.entity_id, *map(fields.get, TOTALS_FIELDS)))
    return parse_totals(rows)


def _parse_windows(stored: list[_Stored]) -> pl.DataFrame:
    """Return the windows in the ledgers (WINDOW_SCHEMA)."""
    texts = pl.DataFrame(
        [
            (each.entity_id, start, *_padded(values.split(" "), len(_WINDOW)))
            for each in stored
            for start, values in each.ledger.items()
            if start != _STATE
        ],
        schema=dict.fromkeys(("id", "window_start", *_WINDOW), pl.String),
        orient="row",
    )
    return with_substitutes(as_windows(_with_times(texts)))


def _removed(stored: list[_Stored], totals: pl.DataFrame, windows: pl.DataFrame) -> pl.DataFrame:
    """Return what the totals have and the windows have not, as windows without a start."""
    texts = pl.DataFrame(
        [
            (each.entity_id, start, each.state(_REMOVED_LAST))
            for each in stored
            if (start := each.state(_REMOVED_START)) is not None
        ],
        schema=dict.fromkeys(("id", "start_time", "last_start_time"), pl.String),
        orient="row",
    )
    kept = running_totals(windows).select("id", *SUMS)
    differences = totals.join(kept, on="id", how="left", suffix="_kept").select(
        "id", *(pl.col(name) - pl.col(f"{name}_kept").fill_null(0) for name in SUMS)
    )
    return with_substitutes(as_windows(_with_times(texts).join(differences, on="id")))


def _padded(values: list[str], length: int) -> list[str | None]:
    return [*values, *[None] * (length - len(values))]


def _with_times(texts: pl.DataFrame) -> pl.DataFrame:
    """Return texts with epoch ms for both starts."""
    return texts.with_columns(epoch_ms(texts[name]) for name in STARTS)
