"""The stores as Bytewax sinks: one partition a shard."""

import logging
from typing import Final

import polars as pl
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from mobility.entities import Entity
from mobility.records import WindowUpdate
from mobility.settings import Settings
from sinks.coalescing import coalesced
from sinks.pair import connect_stores
from sinks.patience import Stopping, never
from sinks.refiller import Refiller
from sinks.store import Store, Writer

_log: Final = logging.getLogger(__name__)


def store_sinks(
    settings: Settings, entity: Entity, writer: Writer, stopping: Stopping = never
) -> list[tuple[str, "StoreSink"]]:
    """Return the sink that feeds the stores of the settings, by their names; none without stores.

    Nothing is connected yet. One sink feeds both, because what Redis is given must be in Postgres
    before. `stopping` tells whether a stop was asked for: a store that is away then is not waited
    for any longer.
    """
    if not settings.stores:
        return []
    return [("_".join(sorted(settings.stores)), StoreSink(settings, entity, writer, stopping))]


class StoreSink(FixedPartitionedSink[WindowUpdate, None]):
    """Writes an entity's windows to the stores: `(key, update)`, the key being the shard's number.

    Effectively once: delivery is at least once, and versions make a repeat harmless. All that a
    partition was given is committed before it takes more, so it has no state to snapshot.
    """

    def __init__(
        self, settings: Settings, entity: Entity, writer: Writer, stopping: Stopping = never
    ) -> None:
        self._settings = settings
        self._entity = entity
        self._writer: Writer = writer
        self._stopping = stopping

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
        for_part: str,
        resume_state: None,  # noqa: ARG002 - there is none
    ) -> "StorePartition":
        """Connect to the stores. Raises StoreError where one can't be used.

        Where Redis can be filled from Postgres, the first partition of a cluster sees to it.
        """
        store = connect_stores(self._settings, self._writer, stopping=self._stopping)
        refiller = None
        if for_part == self.list_parts()[0] and {"redis", "postgres"} <= {*self._settings.stores}:
            refiller = Refiller(self._settings, self._entity, self._writer)
            refiller.start()
        return StorePartition(store, self._entity, refiller)


class StorePartition(StatefulSinkPartition[WindowUpdate, None]):
    """Writes one shard's windows, then how far it has got."""

    def __init__(self, store: Store, entity: Entity, refiller: Refiller | None = None) -> None:
        self._store = store
        self._entity = entity
        self._refiller = refiller

    def write_batch(self, values: list[WindowUpdate]) -> None:
        """Commit the rows of all updates, then their watermark."""
        rows = coalesced(pl.concat([update.rows for update in values]))
        if not rows.is_empty():
            refused = self._store.apply(self._entity, rows).refused
            if refused:
                _log.warning(
                    "Redis refused %d windows of %s: they are older than its ledger reaches back",
                    refused,
                    self._entity.name,
                )
        marks = [update.watermark for update in values if update.watermark is not None]
        last = values[-1]
        self._store.record_progress(self._entity, last.shard, last.shards, max(marks, default=None))

    def snapshot(self) -> None:
        """Return nothing: everything written is committed."""

    def close(self) -> None:
        """Close the stores."""
        if self._refiller is not None:
            self._refiller.close()
        self._store.close()
