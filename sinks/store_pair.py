"""Both stores as one: Postgres first, then Redis. Why Redis can always be filled from Postgres.

1. Whatever Redis has been given is committed in Postgres. So Postgres, as it is while nobody
   reconciles some ids, holds all that Redis can know of them, and may replace it.
2. Whatever is committed there after that is given to Redis after that. It finds the ids as they
   were filled and is reconciled by version, or finds them absent and fills them again, with itself.
3. A watermark is recorded in Postgres after the rows before it were given to both. So that of
   Postgres is true of Redis too: an id that has lost them since is absent, and is not answered from
   there.

4. An id that Postgres had never seen before a batch of the flow has no history before it. A feed
   tells Redis which those are, and it begins one that is absent with the batch instead of asking:
   what the flow brings later Redis is given later. What a backfill brings is not brought again, so
   beside one Redis asks, as after it was emptied; and a backfill tells of no such ids.

With the order left open the second would be false: a window that Redis took first, and lost before
Postgres had it, would be missing from the filling and from everything after.

A feed has Postgres take the next batch while Redis takes one (sinks/batch_writer.py), so what Redis is
filled with may hold windows of the next batches already. Those change nothing when they come, and
are not told of in the stream of changes: questions are answered with them at once.
"""

from collections.abc import Collection

import polars as pl

from mobility.entities import Entity
from mobility.settings import Settings
from sinks.postgres import connect_postgres
from sinks.redis import connect_redis
from sinks.retry import Stopping, Wait, never, pause
from sinks.store import Applied, Store, StoreError, Writer


def connect_each(
    settings: Settings, writer: Writer, *, wait: Wait = pause, stopping: Stopping = never
) -> list[Store]:
    """Connect to each store of the settings, in the order in which windows go to them.

    Raises StoreError where there is none, or one can't be used.
    """
    if not settings.stores:
        msg = "There is no store to connect to: set MOBILITY_STORES."
        raise StoreError(msg)
    connected: list[Store] = []
    try:
        if "postgres" in settings.stores:
            connected.append(connect_postgres(settings, writer, wait=wait, stopping=stopping))
        if "redis" in settings.stores:
            connected.append(connect_redis(settings, writer, wait=wait, stopping=stopping))
    except StoreError:
        for store in connected:
            store.close()
        raise
    return connected


def connect_stores(
    settings: Settings, writer: Writer, *, wait: Wait = pause, stopping: Stopping = never
) -> Store:
    """Connect to the stores of the settings, as one; raises StoreError as `connect_each`."""
    first, *others = connect_each(settings, writer, wait=wait, stopping=stopping)
    return Pair(first, *others) if others else first


class Pair:
    """Writes to a lasting store, then to a fast one that is filled from it; reads the lasting."""

    def __init__(self, lasting: Store, fast: Store) -> None:
        self._lasting = lasting
        self._fast = fast

    def apply(self, entity: Entity, rows: pl.DataFrame, unseen: Collection[str] = ()) -> Applied:
        """Reconcile coalesced rows (WINDOW_SCHEMA); the counts are the lasting store's."""
        del unseen
        applied = self._lasting.apply(entity, rows)
        self._fast.apply(entity, rows)
        return applied

    def record_progress(
        self, entity: Entity, shard: int, shards: int, watermark: int | None
    ) -> None:
        """Record that all rows of a shard up to a watermark (epoch ms) are in both stores."""
        for store in (self._lasting, self._fast):
            store.record_progress(entity, shard, shards, watermark)

    def progress(self, entity: Entity) -> dict[int, int]:
        """Return the watermark (epoch ms) of each shard."""
        return self._lasting.progress(entity)

    def totals(self, entity: Entity) -> pl.DataFrame:
        """Return every id's running totals (TOTALS_SCHEMA), sorted by id."""
        return self._lasting.totals(entity)

    def windows(self, entity: Entity) -> pl.DataFrame:
        """Return the ledger (WINDOW_SCHEMA), sorted by id and window start."""
        return self._lasting.windows(entity)

    def close(self) -> None:
        """Close both stores."""
        self._fast.close()
        self._lasting.close()
