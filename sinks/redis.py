"""The Redis store: ids with new windows in the last day, as one hash an id for any client."""

import json
import time
from collections.abc import Callable, Collection, Iterator
from decimal import Decimal
from itertools import chain
from typing import Final

import msgspec
import polars as pl

from mobility.entities import Entity
from mobility.keys import RedisKeys
from mobility.measures import AMOUNTS, COUNTS, MEASURES, STARTS, Measure
from mobility.records import MICRO, MIN_EVENT_TIME, WINDOW_SCHEMA
from mobility.settings import Settings, Store
from mobility.times import epoch_ms
from sinks.history import History, HistorySource, PostgresHistory
from sinks.packing import PackedWindows, pack_chunks, pack_histories, pack_windows, unpack_ledgers
from sinks.postgres_session import PostgresSession, open_postgres_session
from sinks.redis_session import RedisSession, redis_client
from sinks.retry import START_RETRY_SECONDS, Sleep, StopRequested, no_stop
from sinks.store import (
    TOTALS_SCHEMA,
    ApplyResult,
    SequenceNumber,
    StoreBehindError,
    StoreError,
    WriterRole,
    refuse_amount,
    refuse_behind,
    refuse_large_windows,
)

CHUNK: Final = 1_000
"""Windows a script call: below Lua's limit of arguments, and short enough for other clients."""

REFILL_CHUNK: Final = 500
"""Ids that are locked in Postgres at a time while they are refilled, each with up to two days of
windows."""

REFILL_BYTES: Final = 500_000
"""Bytes of histories a script call: it takes some milliseconds, and no other client is served
meanwhile."""

MISSING_CHUNK: Final = 5_000
"""Ids a call of select_missing_ids.lua."""

STREAM_ENTRIES: Final = 500
"""Entries that the change stream keeps: a minute of live traffic. An entry has up to CHUNK windows,
so more of them could fill the memory during a catch-up."""

MAX_EXACT: Final = 2**52 * MICRO - 1
"""The largest total that Lua adds exactly, in micro-units: it adds whole units, as doubles."""

_NO_WINDOWS: Final = pl.DataFrame(schema=WINDOW_SCHEMA)
_TEXT_SCHEMA: Final = pl.Schema(
    {
        name: pl.String if name in (*COUNTS, *STARTS) else kind
        for name, kind in TOTALS_SCHEMA.items()
    }
)


def connect_redis(
    settings: Settings,
    writer: WriterRole,
    *,
    postgres: PostgresSession | None = None,
    sleep: Sleep = time.sleep,
    stop_requested: StopRequested = no_stop,
) -> "RedisStore":
    """Connect as `writer`.

    Where the settings have Postgres as well, missing ids are refilled from it: over the session
    `postgres`, which is shared, or over one that is opened. Raises StoreError
    where a store does not answer, was filled with other settings, or is written to by another flow.
    """
    session = RedisSession(
        redis_client(settings), settings, writer, sleep=sleep, stop_requested=stop_requested
    )
    history = None
    try:
        instance_id = session.initialize(START_RETRY_SECONDS)
        if "postgres" in settings.stores:
            source = (
                postgres.share()
                if postgres is not None
                else open_postgres_session(settings, sleep=sleep, stop_requested=stop_requested)
            )
            history = PostgresHistory(source, settings)
    except StoreError:
        session.close()
        raise
    return RedisStore(session, settings, history, instance_id)


class RedisStore:
    """Reconciles windows by a Lua script, one call for every CHUNK of windows.

    Redis runs a script atomically, so windows and totals of an id move in one step. An id expires
    `redis_expiry` seconds after its last new window. Without a `history` Redis is therefore a view
    of the last day; with one an expired id is refilled from Postgres at its next window.
    """

    def __init__(
        self,
        session: RedisSession,
        settings: Settings,
        history: HistorySource | None = None,
        instance_id: str = "",
    ) -> None:
        """Write over `session`; `close` closes it and the history.

        `instance_id` is that of Redis when the flow connected: while Redis still has it, an id that
        is new in Postgres is not refilled.
        """
        self._session = session
        self._client = session.client
        self._settings = settings
        self._keys = RedisKeys.of(settings)
        self._history = history
        self._instance_id = instance_id
        self._sequence_numbers: dict[str, SequenceNumber] = {}

    @property
    def kind(self) -> Store:
        """Return the name of the store in MOBILITY_STORES."""
        return "redis"

    def apply(
        self, entity: Entity, rows: pl.DataFrame, new_ids: Collection[str] = ()
    ) -> ApplyResult:
        """Reconcile windows (WINDOW_SCHEMA, one row per window).

        Missing ids are refilled first, but for `new_ids`, of which Postgres had nothing before. A
        window that starts over `redis_ledger_hours` before the newest of its id may have been
        counted before: it is refused, or, with a history, its id is refilled.
        """
        refuse_large_windows(self._session.name, entity, rows, MAX_EXACT)
        self.sequence_number(entity)
        result = ApplyResult()
        for chunk, packed in pack_chunks(rows, new_ids, CHUNK):
            applied, missing = self._run_apply(entity, packed, [])
            result += applied
            for start in range(0, len(missing), REFILL_CHUNK):
                result += self._refill(entity, missing[start : start + REFILL_CHUNK], chunk)
        return result

    def sequence_number(self, entity: Entity) -> SequenceNumber:
        """Return the sequence number after the last windows that this object has applied."""
        known = self._sequence_numbers.get(entity.name)
        if known is None:
            known = self._sequence_numbers[entity.name] = self._session.read_sequence_number(entity)
        return known

    def refill(self, entity: Entity, ids: list[str]) -> None:
        """Replace these ids by what Postgres holds now; those that Postgres lacks are deleted.

        For ids that Redis has lost, and for ids with a window from before their ledger. It is safe
        because windows are written to Postgres first: see sinks/store_pair.py.
        """
        for start in range(0, len(ids), REFILL_CHUNK):
            self._refill(entity, ids[start : start + REFILL_CHUNK], _NO_WINDOWS)

    def missing_ids(self, entity: Entity, ids: list[str]) -> list[str]:
        """Return those of these ids that lack one of their two hashes or of their index entries."""
        keys = self._keys
        args: list[str | int] = [keys.totals(entity, ""), keys.ledger(entity, "")]
        missing: list[str] = []
        for start in range(0, len(ids), MISSING_CHUNK):
            chunk = json.dumps(ids[start : start + MISSING_CHUNK], ensure_ascii=False)
            missing += self._session.run_read_script(
                "select_missing_ids", [keys.index(entity), keys.seen(entity)], [*args, chunk]
            )
        return missing

    def record_progress(
        self, entity: Entity, shard: int, shards: int, watermark: int | None
    ) -> None:
        """Record that all windows of a shard up to a watermark (epoch ms) are in the store."""
        reached = MIN_EVENT_TIME if watermark is None else watermark
        self._session.run_script(
            "record_progress",
            [self._keys.progress(entity)],
            [shard, shards, reached, MIN_EVENT_TIME],
        )

    def progress(self, entity: Entity) -> dict[int, int]:
        """Return the watermark (epoch ms) of each shard."""
        stored = self._session.call(lambda: self._client.hgetall(self._keys.progress(entity)))
        return dict(sorted((int(shard), int(watermark)) for shard, watermark in stored.items()))

    def totals(self, entity: Entity) -> pl.DataFrame:
        """Return every id's running totals (TOTALS_SCHEMA), sorted by id."""
        rows = [
            (entity_id, *(_stored_value(measure, fields) for measure in MEASURES))
            for entity_id, fields in self._read_hashes(entity, self._keys.totals)
        ]
        frame = pl.DataFrame(rows, schema=_TEXT_SCHEMA, orient="row")
        return frame.with_columns(
            pl.col(COUNTS).cast(pl.Int64), *(epoch_ms(frame[name]) for name in STARTS)
        ).sort("id")

    def windows(self, entity: Entity) -> pl.DataFrame:
        """Return the ledger (WINDOW_SCHEMA), sorted by id and window start."""
        rows = [
            (entity_id, window_start, window)
            for entity_id, fields in self._read_hashes(entity, self._keys.ledger)
            for window_start, window in fields.items()
            if window_start != "totals"
        ]
        return unpack_ledgers(rows).sort("id", "window_start")

    def close(self) -> None:
        """Close the connections."""
        self._session.close()
        if self._history is not None:
            self._history.close()

    def _refill(self, entity: Entity, ids: list[str], rows: pl.DataFrame) -> ApplyResult:
        """Replace ids by their history in Postgres, then reconcile their rows."""
        if self._history is None:
            return ApplyResult()

        def refill(history: History) -> ApplyResult:
            histories = pack_histories(ids, history)
            call = pl.col("history").str.len_bytes().cum_sum() // REFILL_BYTES
            result = ApplyResult()
            for part in histories.with_columns(call=call).partition_by("call", include_key=False):
                part_rows = rows.filter(pl.col("id").is_in(part["id"].implode()))
                texts = list(chain.from_iterable(part.rows()))
                result += self._run_apply(entity, pack_windows(part_rows), texts)[0]
            return result

        return self._history.lock_and_read(entity, ids, refill)

    def _run_apply(
        self, entity: Entity, windows: PackedWindows, histories: list[str]
    ) -> tuple[ApplyResult, list[str]]:
        """Run apply.lua; return its counts, and the ids that need a history.

        `histories` are ids and their histories, alternating.
        """
        settings, keys = self._settings, self._keys
        known = self._sequence_numbers.get(entity.name, SequenceNumber("", 0))
        args: list[str | int | bytes] = [
            *(keys.totals(entity, ""), keys.ledger(entity, "")),
            *(settings.redis_expiry, settings.redis_ledger_hours * 3_600_000),
            *(entity.name, int(self._history is not None), STREAM_ENTRIES),
            windows.columns,
            msgspec.msgpack.encode(histories),
            windows.changes,
            *(self._instance_id, known.instance_id, known.number),
        ]
        try:
            applied, unchanged, refused, missing, too_large, sequence_number = (
                self._session.run_script(
                    "apply", [keys.index(entity), keys.seen(entity), keys.live(entity)], args
                )
            )
        except StoreBehindError:
            if self._history is None:
                refuse_behind(self._session.name, entity, known)
            self._session.clear()
            del self._sequence_numbers[entity.name]
            return self._run_apply(entity, windows, histories)
        if entity.name in self._sequence_numbers:
            self._sequence_numbers[entity.name] = SequenceNumber(*sequence_number)
        if too_large:
            entity_id, measure = too_large
            refuse_amount(self._session.name, entity, entity_id, measure, MAX_EXACT)
        return ApplyResult(applied, unchanged, refused), missing

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


def _stored_value(measure: Measure, fields: dict[str, str]) -> int | str:
    """Return a measure of the totals of an id: an amount in micro-units, others as text."""
    name = measure.name
    if measure.substitute is not None and name not in fields:
        name = measure.substitute
    return _micro(fields[name]) if name in AMOUNTS else fields[name]


def _micro(units: str) -> int:
    """Return a decimal text in whole units as micro-units."""
    return int(Decimal(units) * MICRO)
