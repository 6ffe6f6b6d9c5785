"""Redis as the only store: for each id a hash of totals, for any client, and a ledger.

It is the way of small installations, simple rather than fast: what is stored of the ids of a batch
is read, reconciled as frames, and written if nothing of it has changed meanwhile.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import polars as pl

from mobility.entities import Entity
from mobility.keys import BEFORE, INSTANCE_ID_FIELD, LAST_WINDOW, RedisKeys
from mobility.records import WINDOW_SCHEMA
from mobility.settings import Settings, Store
from mobility.totals import WINDOW_KEY
from sinks.live_changes import change_commands
from sinks.reconciliation import Pruned, Reconciled, prune, reconcile
from sinks.redis_commands import Commands, command, totals_commands
from sinks.redis_layout import upgrade_layout
from sinks.redis_ledger import (
    TOTALS_FIELDS,
    StoredIds,
    ledger_commands,
    parse_totals,
    parse_windows,
    read_ledgers,
    read_stored_ids,
    removal_commands,
)
from sinks.redis_session import RedisSession, redis_client
from sinks.redis_transactions import Transaction, pairs
from sinks.retry import START_RETRY_SECONDS, Sleep, StopRequested, no_stop
from sinks.store import (
    TOTALS_SCHEMA,
    ApplyResult,
    SequenceNumber,
    StoreError,
    WriterRole,
    advanced_progress,
    refuse_behind,
)

_CHUNK: Final = 1_000
"""Windows of a transaction: other clients wait some milliseconds for it."""

_MOST_EXPIRED: Final = 1_000
"""Ids that a transaction removes from the index: that keeps up with any number of them."""


def connect_redis(
    settings: Settings,
    writer: WriterRole,
    *,
    sleep: Sleep = time.sleep,
    stop_requested: StopRequested = no_stop,
) -> "RedisStore":
    """Connect as `writer`.

    Raises StoreError where Redis does not answer, was filled with other settings, follows Postgres,
    or is written to by another flow.
    """
    session = RedisSession(
        redis_client(settings), settings, writer, sleep=sleep, stop_requested=stop_requested
    )
    try:
        session.initialize(START_RETRY_SECONDS)
        upgrade_layout(session, settings)
    except StoreError:
        session.close()
        raise
    return RedisStore(session, settings)


class RedisStore:
    """Reconciles windows in transactions of up to `_CHUNK` of them.

    An id expires `redis_expiry` seconds after its last new window: Redis is a view of the last day.
    """

    def __init__(self, session: RedisSession, settings: Settings) -> None:
        """Write over `session`, which `close` closes."""
        self._session = session
        self._client = session.client
        self._keys = RedisKeys.of(settings)
        self._expiry = settings.redis_expiry
        self._retention = settings.redis_ledger_hours * 3_600_000
        self._sequence_numbers: dict[str, SequenceNumber] = {}

    @property
    def kind(self) -> Store:
        """Return the name of the store in MOBILITY_STORES."""
        return "redis"

    def apply(self, entity: Entity, rows: pl.DataFrame) -> ApplyResult:
        """Reconcile windows (WINDOW_SCHEMA, one row per window); their sketches are left out.

        A window that starts over `redis_ledger_hours` before the newest of its id may have been
        counted before: it is refused.
        """
        self.sequence_number(entity)
        result = ApplyResult()
        for chunk in rows.select(WINDOW_SCHEMA.names()).iter_slices(_CHUNK):
            result += self._session.run(partial(self._apply, entity, chunk))
        return result

    def sequence_number(self, entity: Entity) -> SequenceNumber:
        """Return the sequence number after the last windows that this object has applied."""
        known = self._sequence_numbers.get(entity.name)
        if known is None:
            known = self._sequence_numbers[entity.name] = self._session.read_sequence_number(entity)
        return known

    def record_progress(
        self, entity: Entity, shard: int, shards: int, watermark: int | None
    ) -> None:
        """Record that all windows of a shard up to a watermark (epoch ms) are in the store."""
        key = self._keys.progress(entity)

        def record(transaction: Transaction) -> None:
            (reply,) = transaction.read(command("HGETALL", key), [key])
            stored = {int(each): int(reached) for each, reached in pairs(reply)}
            progress = advanced_progress(stored, shard, shards, watermark)
            if progress != stored:
                words = (word for pair in progress.items() for word in pair)
                transaction.commit(command("DEL", key) + command("HSET", key, *words))

        self._session.run(record)

    def progress(self, entity: Entity) -> dict[int, int]:
        """Return the watermark (epoch ms) of each shard."""
        stored = self._session.call(lambda: self._client.hgetall(self._keys.progress(entity)))
        return dict(sorted((int(shard), int(watermark)) for shard, watermark in stored.items()))

    def totals(self, entity: Entity) -> pl.DataFrame:
        """Return every id's running totals (TOTALS_SCHEMA), sorted by id."""
        hashes = self._read_hashes(entity, self._keys.totals)
        rows = ((entity_id, *map(fields.get, TOTALS_FIELDS)) for entity_id, fields in hashes)
        return parse_totals(rows).select(TOTALS_SCHEMA.names()).sort("id")

    def windows(self, entity: Entity) -> pl.DataFrame:
        """Return the ledger (WINDOW_SCHEMA), sorted by id and window start."""
        return parse_windows(
            (entity_id, int(field), values)
            for entity_id, fields in self._read_hashes(entity, self._keys.ledger)
            for field, values in fields.items()
            if field != BEFORE
        ).sort("id", "window_start")

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _apply(self, entity: Entity, rows: pl.DataFrame, transaction: Transaction) -> ApplyResult:
        expired = self._check_sequence_number(transaction, entity)
        stored = read_stored_ids(transaction, self._keys, entity, rows)
        found = reconcile(rows, stored.windows, stored.totals, self._retention)
        pruned = self._prune(transaction, entity, stored, found)
        commands = Commands.joined(
            [
                *self._index_commands(entity, found.totals["id"], expired, transaction.now),
                *self._id_commands(entity, stored, found, pruned),
                change_commands(self._keys.live(entity), found.windows),
                command("HINCRBY", self._keys.meta, f"refused:{entity.name}", found.too_old),
                command("HGET", self._keys.meta, INSTANCE_ID_FIELD),
                command("HINCRBY", self._keys.meta, f"number:{entity.name}", 1),
            ]
        )
        *_, instance_id, number = transaction.commit(commands)
        self._sequence_numbers[entity.name] = SequenceNumber(instance_id, number)
        applied = found.windows.height
        return ApplyResult(applied, rows.height - applied - found.too_old, found.too_old)

    def _check_sequence_number(self, transaction: Transaction, entity: Entity) -> list[str]:
        """Raise StoreBehindError where Redis lacks windows; return ids that have expired."""
        keys, known = self._keys, self._sequence_numbers[entity.name]
        (instance_id, number), expired = transaction.read(
            command("HMGET", keys.meta, INSTANCE_ID_FIELD, f"number:{entity.name}")
            + command(
                *("ZRANGEBYSCORE", keys.seen(entity), "-inf", f"({transaction.now - self._expiry}"),
                *("LIMIT", 0, _MOST_EXPIRED),
            )
        )
        stored = SequenceNumber(instance_id or "", int(number or 0))
        if known.instance_id and stored.is_behind(known):
            refuse_behind(self._session.name, entity, known)
        return list(expired)

    def _prune(
        self, transaction: Transaction, entity: Entity, stored: StoredIds, found: Reconciled
    ) -> Pruned:
        """Return the ledgers of those ids whose extremes are uncertain, or that are to be pruned.

        A ledger is pruned when its newest window reaches the next quarter of the retention.
        """
        due = found.totals.join(
            stored.totals.select("id", newest=LAST_WINDOW), on="id", how="left"
        ).join(found.windows.group_by("id").agg(pl.col("window_start").min()), on="id")
        quarter = self._retention // 4
        before = pl.coalesce("newest", "window_start") // quarter
        due_ids = due.filter(pl.col(LAST_WINDOW) // quarter > before)["id"]
        ids = pl.concat([found.uncertain, due_ids]).unique()
        ledgers = read_ledgers(transaction, self._keys, entity, ids.to_list())
        kept = ledgers.filter(~pl.col("id").is_in(stored.broken))
        replaced = found.windows.filter(pl.col("id").is_in(ids.implode()))
        windows = pl.concat([kept.join(replaced, on=WINDOW_KEY, how="anti"), replaced])
        return prune(windows, self._retention)

    def _id_commands(
        self, entity: Entity, stored: StoredIds, found: Reconciled, pruned: Pruned
    ) -> Iterator[Commands]:
        """Yield what changes the two hashes of ids."""
        keys = self._keys
        for entity_id in stored.broken:
            yield command("UNLINK", keys.totals(entity, entity_id), keys.ledger(entity, entity_id))
        windows = found.windows.join(pruned.removed, on=WINDOW_KEY, how="anti")
        yield from ledger_commands(keys, entity, pl.concat([windows, pruned.before]))
        yield from removal_commands(keys, entity, pruned.removed)
        exact = pruned.totals
        totals = pl.concat([found.totals.join(exact, on="id", how="anti"), exact])
        yield totals_commands(keys.totals(entity, ""), totals, self._expiry)
        for entity_id in totals["id"]:
            yield command("EXPIRE", keys.ledger(entity, entity_id), self._expiry)

    def _index_commands(
        self, entity: Entity, ids: pl.Series, expired: list[str], now: int
    ) -> Iterator[Commands]:
        """Yield what adds ids to the two sorted sets, and removes those that have expired."""
        for key, score in ((self._keys.index(entity), 0), (self._keys.seen(entity), now)):
            if expired:
                yield command("ZREM", key, *expired)
            if not ids.is_empty():
                yield command("ZADD", key, *(word for each in ids for word in (score, each)))

    def _read_hashes(
        self, entity: Entity, key: Callable[[Entity, str], str]
    ) -> Iterator[tuple[str, dict[str, str]]]:
        """Return each id of the index with the fields of its hash, expired ids left out."""

        def read() -> tuple[list[str], list[dict[str, str]]]:
            ids = [str(member) for member in self._client.zrange(self._keys.index(entity), 0, -1)]
            pipeline = self._client.pipeline(transaction=False)
            for entity_id in ids:
                pipeline.hgetall(key(entity, entity_id))
            return ids, pipeline.execute()

        ids, hashes = self._session.call(read)
        return (
            (entity_id, fields) for entity_id, fields in zip(ids, hashes, strict=True) if fields
        )
