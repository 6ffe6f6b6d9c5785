"""The fast store: what had news in the last day, one hash an id that any Redis client can read."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from itertools import chain
from typing import Any, Final

import polars as pl
import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from mobility.entities import Entity
from mobility.keys import RedisKeys
from mobility.records import MICRO, MIN_EVENT_TIME, TOTALS
from mobility.settings import Settings, masked
from mobility.times import epoch_ms
from sinks.history import HistorySource, PostgresHistory
from sinks.packing import packed_history, packed_windows, unpacked
from sinks.scripts import text
from sinks.session import Wait, open_session, pause
from sinks.store import (
    TOTALS_SCHEMA,
    Applied,
    StoreError,
    Writer,
    refuse_fingerprint,
    refuse_writer,
)

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
_LEASE_MS: Final = 30_000
_ATTEMPTS: Final = 8


def connect_redis(settings: Settings, writer: Writer, *, wait: Wait = pause) -> "RedisStore":
    """Connect as the writing flow `writer`.

    With Postgres among the stores, an absent id is filled from it. Raises StoreError where Redis
    does not answer, was filled with other settings, or is written to by another flow.
    """
    client = redis.Redis.from_url(
        settings.redis,
        decode_responses=True,
        socket_connect_timeout=10,
        socket_timeout=30,
        # A script that ran and whose answer was lost runs again: versions make that harmless.
        retry=Retry(ExponentialBackoff(base=0.1, cap=5), _ATTEMPTS),
    )
    history = None
    if "postgres" in settings.stores:
        retention_ms = settings.redis_ledger_hours * 3_600_000
        history = PostgresHistory(open_session(settings, wait=wait), retention_ms)
    store = RedisStore(client, settings, writer, history, owned=True)
    try:
        store.sign()
    except StoreError:
        store.close()
        raise
    return store


class RedisStore:
    """Reconciles by one Lua script, a round trip for every CHUNK of windows.

    An id is forgotten after `redis_expiry` seconds without news. Alone, Redis is therefore a view
    of the last day; with a `history` a forgotten id comes back whole at its next window.
    """

    def __init__(
        self,
        client: redis.Redis,
        settings: Settings,
        writer: Writer,
        history: HistorySource | None = None,
        *,
        owned: bool = False,
    ) -> None:
        """Use `client` (responses decoded).

        `owned` says that the client and the history are this store's to close.
        """
        self._client = client
        self._name = f"Redis at {masked(settings.redis)}"
        self._settings = settings
        self._keys = RedisKeys.of(settings)
        self._writer = writer
        self._history = history
        self._owned = owned
        self._scripts = {
            name: client.register_script(text("lua", "lease.lua") + text("lua", f"{name}.lua"))
            for name in ("sign", "apply", "progress")
        }

    def sign(self) -> None:
        """Take the store for this flow and leave the fingerprint of its settings there.

        Raises StoreError where it was filled with other settings or another flow writes to it.
        """
        ours = self._settings
        held, answers = self._run("sign", [self._keys.meta], [ours.fingerprint, ours.answers])
        if held != ours.fingerprint:
            refuse_fingerprint(self._name, held, answers, ours)

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
        keys = [self._keys.meta, self._keys.progress(entity)]
        self._run("progress", keys, [shard, shards, reached, MIN_EVENT_TIME])

    def progress(self, entity: Entity) -> dict[int, int]:
        """Return the watermark (epoch ms) of each shard."""
        with self._answering():
            held = self._client.hgetall(self._keys.progress(entity))
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
        """Close the connections, unless they were passed in. The lease runs out by itself."""
        if self._owned:
            self._client.close()
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
        applied, unchanged, refused, absent = self._run(
            "apply",
            [keys.meta, keys.index(entity), keys.seen(entity)],
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

    def _run(self, script: str, keys: list[str], args: list[str | int]) -> Any:  # noqa: ANN401 - what the script returns
        with self._answering():
            return self._scripts[script](keys, [self._writer, _LEASE_MS, *args])

    def _hashes(
        self, entity: Entity, key: Callable[[Entity, str], str]
    ) -> Iterator[tuple[str, dict[str, str]]]:
        with self._answering():
            ids = [str(member) for member in self._client.zrange(self._keys.index(entity), 0, -1)]
            pipeline = self._client.pipeline(transaction=False)
            for entity_id in ids:
                pipeline.hgetall(key(entity, entity_id))
            hashes = pipeline.execute()
        # The index may name ids that have expired since.
        return ((entity_id, held) for entity_id, held in zip(ids, hashes, strict=True) if held)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except redis.ResponseError as error:
            code, _, holder = str(error).partition(" ")
            if code == "WRITER":
                refuse_writer(self._name, holder, self._writer)
            msg = f"{self._name} refused a command: {error}"
            raise StoreError(msg) from error
        except redis.RedisError as error:
            advice = "Is it running, and is MOBILITY_REDIS right?"
            msg = f"{self._name} does not answer: {error}\n{advice}"
            raise StoreError(msg) from error


def _micro(units: str) -> int:
    return int(Decimal(units) * MICRO)
