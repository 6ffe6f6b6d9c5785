"""The fast store: what had news in the last day, one hash an id that any Redis client can read."""

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import chain
from typing import Final

import polars as pl

from mobility.entities import Entity
from mobility.keys import RedisKeys
from mobility.records import MICRO, MIN_EVENT_TIME, TOTALS
from mobility.settings import Settings
from mobility.times import epoch_ms
from sinks.history import HistorySource, open_history
from sinks.link import Link, redis_client
from sinks.packing import packed_history, packed_windows, unpacked
from sinks.patience import START_SECONDS, Stopping, Wait, never, pause
from sinks.store import TOTALS_SCHEMA, Applied, StoreError, Writer

CHUNK: Final = 1_000
"""Rows a call: few enough for the argument limit of Lua and to let readers in between."""

FILL_CHUNK: Final = 100
"""Absent ids a call, each with up to two days of windows."""

_TEXTS: Final = pl.Schema(
    {
        name: pl.String if name in ("trip_count", "start_time") else kind
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
        link.sign(START_SECONDS)
        if "postgres" in settings.stores:
            history = open_history(settings, wait=wait, stopping=stopping)
    except StoreError:
        link.close()
        raise
    return RedisStore(link, settings, history)


class RedisStore:
    """Reconciles by one Lua script, a round trip for every CHUNK of windows.

    An id is forgotten after `redis_expiry` seconds without news. Alone, Redis is therefore a view
    of the last day; with a `history` a forgotten id comes back whole at its next window.
    """

    def __init__(
        self, link: Link, settings: Settings, history: HistorySource | None = None
    ) -> None:
        """Write over `link`; it and the history are this store's to close."""
        self._link = link
        self._client = link.client
        self._settings = settings
        self._keys = RedisKeys.of(settings)
        self._history = history

    def apply(self, entity: Entity, rows: pl.DataFrame) -> Applied:
        """Reconcile coalesced rows (WINDOW_SCHEMA).

        Refused are windows that start more than `redis_ledger_hours` before their id's newest.
        """
        applied = Applied()
        for chunk in rows.iter_slices(CHUNK):
            windows = packed_windows(chunk)
            done, absent = self._apply(entity, windows.with_columns(history=pl.lit("")))
            applied += done
            for ids in (absent[at : at + FILL_CHUNK] for at in range(0, len(absent), FILL_CHUNK)):
                applied += self._fill(entity, windows, ids)
        return applied

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
            )
            for entity_id, held in self._hashes(entity, self._keys.totals)
        ]
        frame = pl.DataFrame(rows, schema=_TEXTS, orient="row")
        return frame.with_columns(
            pl.col("trip_count").cast(pl.Int64), epoch_ms(frame["start_time"])
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

    def _fill(self, entity: Entity, windows: pl.DataFrame, ids: list[str]) -> Applied:
        if self._history is None:
            return Applied()
        history = packed_history(ids, self._history.read(entity, ids))
        done, _ = self._apply(entity, windows.join(history, on="id"))
        return done

    def _apply(self, entity: Entity, texts: pl.DataFrame) -> tuple[Applied, list[str]]:
        """Run the script on a row an id (`id`, `windows`, `history`)."""
        settings, keys = self._settings, self._keys
        applied, unchanged, refused, absent = self._link.run(
            "apply",
            [keys.index(entity), keys.seen(entity)],
            [
                entity.name,
                keys.totals(entity, ""),
                keys.ledger(entity, ""),
                settings.redis_expiry,
                settings.redis_ledger_hours * 3_600_000,
                int(self._history is not None),
                # One argument: the client packs each in Python, which costs more than all else.
                json.dumps(list(chain.from_iterable(texts.iter_rows())), ensure_ascii=False),
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
