"""Postgres and Redis as one store: Postgres is the authority, and Redis is refilled from it.

Why Redis can be refilled from Postgres at any time:

1. A window is committed in Postgres before it is sent to Redis. So Postgres, while some ids are
   locked there, holds all that Redis can hold of these ids, and may replace it.
2. A window that is committed after the lock was released is sent to Redis after the refill. It
   finds the refilled id and is reconciled by version, or finds the id missing and refills it,
   including the window.
3. A watermark is recorded in Postgres after the windows before it were sent to both stores. So the
   watermark of Postgres is true of Redis as well: an id that Redis has lost since is missing there,
   and the API answers it from Postgres.
4. An id that Postgres did not have before a batch of the flow has no history before that batch. The
   batch writer passes these new ids to Redis, which starts a missing one with the batch instead of
   refilling it: what the flow commits later is sent to Redis later. What a backfill commits is not
   sent again, so Redis refills new ids as well while a backfill runs, and after it was emptied; and
   a backfill passes no new ids.

If Redis were written first, the second point would be false: a window that Redis took, and lost
before Postgres had it, would be missing in the refill and in everything after it.

The batch writer lets Postgres take the next batch while Redis takes one (sinks/batch_writer.py). So
a refill may already contain windows of later batches. Those are unchanged when they arrive, and
produce no entry in the stream of changes; requests see them at once.
"""

import time
from collections.abc import Collection

import polars as pl

from mobility.entities import Entity
from mobility.settings import Settings, Store
from sinks.postgres import PostgresStore, open_session
from sinks.postgres_session import PostgresSession
from sinks.redis import connect_redis
from sinks.retry import Sleep, StopRequested, no_stop
from sinks.store import ApplyResult, SequenceNumber, StoreError, WindowStore, WriterRole


def connect_each_store(
    settings: Settings,
    writer: WriterRole,
    *,
    postgres: PostgresSession | None = None,
    sleep: Sleep = time.sleep,
    stop_requested: StopRequested = no_stop,
) -> list[WindowStore]:
    """Connect to the stores of the settings: the authority first, then the follower, if any.

    They share the session `postgres`, or one that is opened. Raises StoreError where the settings
    name no store, or one can't be used.
    """
    if not settings.stores:
        msg = "There is no store to connect to: set MOBILITY_STORES."
        raise StoreError(msg)
    connected: list[WindowStore] = []
    try:
        if "postgres" in settings.stores:
            if postgres is None:
                postgres = open_session(
                    settings, writer, sleep=sleep, stop_requested=stop_requested
                )
            else:
                postgres.share()
            connected.append(PostgresStore(postgres))
        if "redis" in settings.stores:
            follower = connect_redis(
                settings, writer, postgres=postgres, sleep=sleep, stop_requested=stop_requested
            )
            connected.append(follower)
    except StoreError:
        for store in connected:
            store.close()
        raise
    return connected


def connect_stores(
    settings: Settings,
    writer: WriterRole,
    *,
    sleep: Sleep = time.sleep,
    stop_requested: StopRequested = no_stop,
) -> WindowStore:
    """Connect to the stores of the settings as one; raises StoreError as `connect_each_store`."""
    authority, *followers = connect_each_store(
        settings, writer, sleep=sleep, stop_requested=stop_requested
    )
    return StorePair(authority, *followers) if followers else authority


class StorePair:
    """Writes to the authority, then to the follower; reads from the authority."""

    def __init__(self, authority: WindowStore, follower: WindowStore) -> None:
        self._authority = authority
        self._follower = follower

    @property
    def kind(self) -> Store:
        """Return the name of the authority."""
        return self._authority.kind

    def apply(
        self, entity: Entity, rows: pl.DataFrame, new_ids: Collection[str] = ()
    ) -> ApplyResult:
        """Reconcile windows in both stores; the result is the authority's."""
        del new_ids
        result = self._authority.apply(entity, rows)
        self._follower.apply(entity, rows)
        return result

    def sequence_number(self, entity: Entity) -> SequenceNumber:
        """Return the sequence number of the authority."""
        return self._authority.sequence_number(entity)

    def record_progress(
        self, entity: Entity, shard: int, shards: int, watermark: int | None
    ) -> None:
        """Record that all windows of a shard up to a watermark (epoch ms) are in both stores."""
        for store in (self._authority, self._follower):
            store.record_progress(entity, shard, shards, watermark)

    def progress(self, entity: Entity) -> dict[int, int]:
        """Return the watermark (epoch ms) of each shard."""
        return self._authority.progress(entity)

    def totals(self, entity: Entity) -> pl.DataFrame:
        """Return every id's running totals (TOTALS_SCHEMA), sorted by id."""
        return self._authority.totals(entity)

    def windows(self, entity: Entity) -> pl.DataFrame:
        """Return the ledger (WINDOW_SCHEMA), sorted by id and window start."""
        return self._authority.windows(entity)

    def close(self) -> None:
        """Close both stores."""
        self._follower.close()
        self._authority.close()
