"""The fast store: what had news in the last day, one hash an id that any Redis client can read."""

import json
from collections.abc import Callable, Collection, Iterator
from decimal import Decimal
from itertools import chain
from typing import Final

import msgspec
import polars as pl

from mobility.entities import Entity
from mobility.keys import RedisKeys
from mobility.records import MICRO, MIN_EVENT_TIME, STARTS, TOTALS, WINDOW_SCHEMA
from mobility.settings import Settings
from mobility.times import epoch_ms
from sinks.history import History, HistorySource, open_history
from sinks.packing import PackedWindows, packed_ahead, packed_history, packed_windows, unpacked
from sinks.redis_session import Link, redis_client
from sinks.retry import START_SECONDS, Stopping, Wait, never, pause
from sinks.store import TOTALS_SCHEMA, Applied, StoreError, Writer

CHUNK: Final = 1_000
"""Rows a call: few enough for the argument limit of Lua and to let readers in between."""

FILL_CHUNK: Final = 500
"""Ids that are held in Postgres while they are filled, each with up to two days of windows."""

FILL_BYTES: Final = 500_000
"""Text of histories a call: some milliseconds, in which nobody else is served."""

ABSENT_CHUNK: Final = 5_000
"""Ids that are looked for in one call."""

LIVE_ENTRIES: Final = 500
"""Calls that the stream of changes remembers: a minute of live traffic, and at most CHUNK windows
each, or a catch-up would fill the memory."""

_NO_WINDOWS: Final = pl.DataFrame(schema=WINDOW_SCHEMA)
_TEXTS: Final = pl.Schema(
    {
        name: pl.String if name in ("trip_count", *STARTS) else kind
        for name, kind in TOTALS_SCHEMA.items()
    }
)


def connect_redis(
    settings: Settings, writer: Writer, *, wait: Wait = pause, stopping: Stopping = never
) -> "RedisStore":
    """Connect as `writer`.

    With Postgres among the stores, an absent id is filled from it. Raises StoreError where Redis
    does not answer, was filled with other settings, or is written to by another flow.
    """
    link = Link(redis_client(settings), settings, writer, wait=wait, stopping=stopping)
    history = None
    try:
        life = link.sign(START_SECONDS)
        if "postgres" in settings.stores:
            history = open_history(settings, wait=wait, stopping=stopping)
    except StoreError:
        link.close()
        raise
    return RedisStore(link, settings, history, life)


class RedisStore:
    """Reconciles by one Lua script, a round trip for every CHUNK of windows.

    An id is forgotten after `redis_expiry` seconds without news. Alone, Redis is therefore a view
    of the last day; with a `history` a forgotten id comes back whole at its next window.
    """

    def __init__(
        self,
        link: Link,
        settings: Settings,
        history: HistorySource | None = None,
        life: str = "",
    ) -> None:
        """Write over `link`; it and the history are this store's to close.

        While `life` is that of this Redis, ids that Postgres had never seen are not asked for.
        """
        self._link = link
        self._client = link.client
        self._settings = settings
        self._keys = RedisKeys.of(settings)
        self._history = history
        self._life = life

    def apply(self, entity: Entity, rows: pl.DataFrame, unseen: Collection[str] = ()) -> Applied:
        """Reconcile coalesced rows (WINDOW_SCHEMA); `unseen` ids have no history yet.

        Windows that start more than `redis_ledger_hours` before their id's newest can't be told
        from those counted long ago. They are refused, or where Postgres is, their id is filled
        again from there.
        """
        applied = Applied()
        for chunk, packed in packed_ahead(rows, unseen, CHUNK):
            done, absent = self._apply(entity, packed, [])
            applied += done
            for at in range(0, len(absent), FILL_CHUNK):
                applied += self._fill(entity, absent[at : at + FILL_CHUNK], chunk)
        return applied

    def refill(self, entity: Entity, ids: list[str]) -> None:
        """Replace these ids by what Postgres holds now, whatever is here; new ones are added.

        For ids that Redis has lost, and for those with windows from before its ledger. Whoever
        writes a window to both stores writes it to Postgres first: see sinks/store_pair.py.
        """
        for at in range(0, len(ids), FILL_CHUNK):
            self._fill(entity, ids[at : at + FILL_CHUNK], _NO_WINDOWS)

    def absent(self, entity: Entity, ids: list[str]) -> list[str]:
        """Return which of these ids are not here whole: both hashes and their index entries."""
        keys = self._keys
        args: list[str | int] = [keys.totals(entity, ""), keys.ledger(entity, "")]
        found: list[str] = []
        for at in range(0, len(ids), ABSENT_CHUNK):
            part = json.dumps(ids[at : at + ABSENT_CHUNK], ensure_ascii=False)
            found += self._link.read(
                "absent", [keys.index(entity), keys.seen(entity)], [*args, part]
            )
        return found

    def record_progress(
        self, entity: Entity, shard: int, shards: int, watermark: int | None
    ) -> None:
        """Record that all rows of a shard up to a watermark (epoch ms) are in the store."""
        reached = MIN_EVENT_TIME if watermark is None else watermark
        self._link.run(
            "progress", [self._keys.progress(entity)], [shard, shards, reached, MIN_EVENT_TIME]
        )

    def progress(self, entity: Entity) -> dict[int, int]:
        """Return the watermark (epoch ms) of each shard."""
        held = self._link.ask(lambda: self._client.hgetall(self._keys.progress(entity)))
        return dict(sorted((int(shard), int(mark)) for shard, mark in held.items()))

    def totals(self, entity: Entity) -> pl.DataFrame:
        """Return every id's running totals (TOTALS_SCHEMA), sorted by id."""
        rows = [
            (
                entity_id,
                held["trip_count"],
                *(_micro(held[name]) for name in TOTALS),
                held["start_time"],
                held.get("last_start_time", held["start_time"]),
            )
            for entity_id, held in self._hashes(entity, self._keys.totals)
        ]
        frame = pl.DataFrame(rows, schema=_TEXTS, orient="row")
        return frame.with_columns(
            pl.col("trip_count").cast(pl.Int64), *(epoch_ms(frame[name]) for name in STARTS)
        ).sort("id")

    def windows(self, entity: Entity) -> pl.DataFrame:
        """Return the ledger (WINDOW_SCHEMA), sorted by id and window start."""
        rows = [
            (entity_id, window_start, window)
            for entity_id, held in self._hashes(entity, self._keys.ledger)
            for window_start, window in held.items()
            if window_start != "totals"
        ]
        return unpacked(rows).sort("id", "window_start")

    def close(self) -> None:
        """Close the connections. A flow's lease runs out by itself."""
        self._link.close()
        if self._history is not None:
            self._history.close()

    def _fill(self, entity: Entity, ids: list[str], rows: pl.DataFrame) -> Applied:
        """Replace ids by what the lasting store holds, then reconcile their rows as usual."""
        if self._history is None:
            return Applied()

        def fill(history: History) -> Applied:
            known = packed_history(ids, history)
            call = pl.col("history").str.len_bytes().cum_sum() // FILL_BYTES
            applied = Applied()
            for part in known.with_columns(call=call).partition_by("call", include_key=False):
                news = rows.filter(pl.col("id").is_in(part["id"].implode()))
                texts = list(chain.from_iterable(part.rows()))
                applied += self._apply(entity, packed_windows(news), texts)[0]
            return applied

        return self._history.hold(entity, ids, fill)

    def _apply(
        self, entity: Entity, windows: PackedWindows, histories: list[str]
    ) -> tuple[Applied, list[str]]:
        """Run the script on windows, after filling ids from their histories."""
        settings, keys = self._settings, self._keys
        applied, unchanged, refused, absent = self._link.run(
            "apply",
            [keys.index(entity), keys.seen(entity), keys.live(entity)],
            [
                *(keys.totals(entity, ""), keys.ledger(entity, "")),
                *(settings.redis_expiry, settings.redis_ledger_hours * 3_600_000),
                *(entity.name, int(self._history is not None), LIVE_ENTRIES),
                windows.columns,
                msgspec.msgpack.encode(histories),
                windows.news,
                self._life,
            ],
        )
        return Applied(applied, unchanged, refused), absent

    def _hashes(
        self, entity: Entity, key: Callable[[Entity, str], str]
    ) -> Iterator[tuple[str, dict[str, str]]]:
        def read() -> tuple[list[str], list[dict[str, str]]]:
            ids = [str(member) for member in self._client.zrange(self._keys.index(entity), 0, -1)]
            pipeline = self._client.pipeline(transaction=False)
            for entity_id in ids:
                pipeline.hgetall(key(entity, entity_id))
            return ids, pipeline.execute()

        ids, hashes = self._link.ask(read)
        # The index may name ids that have expired since.
        return ((entity_id, held) for entity_id, held in zip(ids, hashes, strict=True) if held)


def _micro(units: str) -> int:
    return int(Decimal(units) * MICRO)
