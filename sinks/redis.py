"""Redis as the only store: ids with new windows in the last day, one hash an id for any client."""

import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Final

import polars as pl

from mobility.entities import Entity
from mobility.keys import RedisKeys
from mobility.measures import AMOUNTS, COUNTS, MEASURES, STARTS, Measure
from mobility.records import MICRO, MIN_EVENT_TIME
from mobility.settings import Settings, Store
from mobility.times import epoch_ms
from sinks.live_changes import STREAM_ENTRIES
from sinks.packing import PackedWindows, pack_chunks, unpack_ledgers
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

MAX_EXACT: Final = 2**52 * MICRO - 1
"""The largest total that Lua adds exactly, in micro-units: it adds whole units, as doubles."""

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
    except StoreError:
        session.close()
        raise
    return RedisStore(session, settings)


class RedisStore:
    """Reconciles windows by a Lua script, one call for every CHUNK of windows.

    Redis runs a script atomically, so windows and totals of an id move in one step. An id expires
    `redis_expiry` seconds after its last new window: Redis is a view of the last day.
    """

    def __init__(self, session: RedisSession, settings: Settings) -> None:
        """Write over `session`, which `close` closes."""
        self._session = session
        self._client = session.client
        self._settings = settings
        self._keys = RedisKeys.of(settings)
        self._sequence_numbers: dict[str, SequenceNumber] = {}

    @property
    def kind(self) -> Store:
        """Return the name of the store in MOBILITY_STORES."""
        return "redis"

    def apply(self, entity: Entity, rows: pl.DataFrame) -> ApplyResult:
        """Reconcile windows (WINDOW_SCHEMA, one row per window).

        A window that starts over `redis_ledger_hours` before the newest of its id may have been
        counted before: it is refused.
        """
        refuse_large_windows(self._session.name, entity, rows, MAX_EXACT)
        self.sequence_number(entity)
        result = ApplyResult()
        for packed in pack_chunks(rows, CHUNK):
            result += self._run_apply(entity, packed)
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

    def _run_apply(self, entity: Entity, windows: PackedWindows) -> ApplyResult:
        """Run apply.lua; return its counts."""
        settings, keys = self._settings, self._keys
        known = self._sequence_numbers[entity.name]
        args: list[str | int | bytes] = [
            *(keys.totals(entity, ""), keys.ledger(entity, "")),
            *(settings.redis_expiry, settings.redis_ledger_hours * 3_600_000),
            *(entity.name, STREAM_ENTRIES, windows.columns, windows.changes),
            *(known.instance_id, known.number),
        ]
        index = [keys.index(entity), keys.seen(entity), keys.live(entity)]
        try:
            applied, unchanged, refused, too_large, sequence_number = self._session.run_script(
                "apply", index, args
            )
        except StoreBehindError:
            refuse_behind(self._session.name, entity, known)
        self._sequence_numbers[entity.name] = SequenceNumber(*sequence_number)
        if too_large:
            entity_id, measure = too_large
            refuse_amount(self._session.name, entity, entity_id, measure, MAX_EXACT)
        return ApplyResult(applied, unchanged, refused)

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
