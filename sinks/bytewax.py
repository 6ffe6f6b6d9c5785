"""The stores as Bytewax sinks: one partition a shard."""

import logging
from collections.abc import Callable
from typing import Final

import polars as pl
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from mobility.entities import Entity
from mobility.records import WindowUpdate
from mobility.settings import Settings
from mobility.settings import Store as StoreName
from sinks.coalescing import coalesced
from sinks.postgres import connect_postgres
from sinks.redis import connect_redis
from sinks.store import Store, Writer

Connect = Callable[[Settings, Writer], Store]

_CONNECT: Final[dict[StoreName, Connect]] = {
    # A forgotten id in Redis fills from Postgres, which therefore comes first.
    "postgres": connect_postgres,
    "redis": connect_redis,
}

_log: Final = logging.getLogger(__name__)


def store_sinks(
    settings: Settings, entity: Entity, writer: Writer
) -> list[tuple[StoreName, "StoreSink"]]:
    """Return a sink for each store of the settings, by name; nothing is connected yet."""
    return [
        (name, StoreSink(settings, entity, name, writer))
        for name in _CONNECT
        if name in settings.stores
    ]


class StoreSink(FixedPartitionedSink[WindowUpdate, None]):
    """Writes an entity's windows to a store: `(key, update)`, where the key is the shard's number.

    Effectively once: delivery is at least once, and versions make a repeat harmless. All that a
    partition was given is committed before it takes more, so it has no state to snapshot.
    """

    def __init__(
        self, settings: Settings, entity: Entity, store: StoreName, writer: Writer
    ) -> None:
        self._settings = settings
        self._entity = entity
        self._store: StoreName = store
        self._writer = writer

    def list_parts(self) -> list[str]:
        """Return the shards as text, padded with zeros so that they sort by number."""
        width = len(str(self._settings.shards - 1))
        return [f"{shard:0{width}}" for shard in range(self._settings.shards)]

    def part_fn(self, item_key: str) -> int:
        """Return a key's place in the sorted list of partitions."""
        shard = int(item_key)
        shards = self._settings.shards
        if not 0 <= shard < shards:
            msg = f"A window came with shard {item_key!r}, but MOBILITY_SHARDS={shards}"
            raise ValueError(msg)
        return shard

    def build_part(
        self,
        step_id: str,  # noqa: ARG002 - Bytewax names it
        for_part: str,  # noqa: ARG002 - an update says which shard it comes from
        resume_state: None,  # noqa: ARG002 - there is none
    ) -> "StorePartition":
        """Connect to the store. Raises StoreError where it can't be used."""
        store = _CONNECT[self._store](self._settings, self._writer)
        return StorePartition(store, self._store, self._entity)


class StorePartition(StatefulSinkPartition[WindowUpdate, None]):
    """Writes one shard's windows, then how far it has got."""

    def __init__(self, store: Store, name: str, entity: Entity) -> None:
        self._store = store
        self._name = name
        self._entity = entity

    def write_batch(self, values: list[WindowUpdate]) -> None:
        """Commit the rows of all updates, then their watermark."""
        rows = coalesced(pl.concat([update.rows for update in values]))
        if not rows.is_empty():
            refused = self._store.apply(self._entity, rows).refused
            if refused:
                _log.warning(
                    "%s refused %d windows of %s: they are older than its ledger reaches back",
                    self._name,
                    refused,
                    self._entity.name,
                )
        marks = [update.watermark for update in values if update.watermark is not None]
        last = values[-1]
        self._store.record_progress(self._entity, last.shard, last.shards, max(marks, default=None))

    def snapshot(self) -> None:
        """Return nothing: everything written is committed."""

    def close(self) -> None:
        """Close the store."""
        self._store.close()
