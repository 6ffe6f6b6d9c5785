"""The stores as Bytewax sinks: one partition a shard."""

import threading
from collections.abc import Callable

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from mobility.entities import Entity
from mobility.records import WindowUpdate
from mobility.settings import Settings
from sinks.batch_writer import Feed
from sinks.refiller import Refiller
from sinks.retry import Stopping, never
from sinks.store import Writer
from sinks.store_pair import connect_each


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
    partition was given is committed before its snapshot, which is therefore empty.
    """

    def __init__(
        self, settings: Settings, entity: Entity, writer: Writer, stopping: Stopping = never
    ) -> None:
        self._settings = settings
        self._entity = entity
        self._writer: Writer = writer
        self._stopping = stopping
        self._lock = threading.Lock()
        self._feed: Feed | None = None
        self._partitions = 0

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
        feed = self._joined()
        refiller = None
        if for_part == self.list_parts()[0] and {"redis", "postgres"} <= {*self._settings.stores}:
            refiller = Refiller(self._settings, self._entity, self._writer)
            refiller.start()
        return StorePartition(feed, self._left, refiller)

    def _joined(self) -> Feed:
        """Return the feed that all partitions in this process share."""
        with self._lock:
            if self._feed is None:
                stores = connect_each(self._settings, self._writer, stopping=self._stopping)
                self._feed = Feed(stores, self._entity)
            self._partitions += 1
            return self._feed

    def _left(self) -> None:
        """Close the feed after the last partition."""
        with self._lock:
            self._partitions -= 1
            if self._partitions == 0 and self._feed is not None:
                self._feed.close()
                self._feed = None


class StorePartition(StatefulSinkPartition[WindowUpdate, None]):
    """Hands one shard's updates to the feed; what it was given is committed at its snapshot."""

    def __init__(
        self, feed: Feed, leave: Callable[[], None], refiller: Refiller | None = None
    ) -> None:
        self._feed = feed
        self._leave = leave
        self._refiller = refiller

    def write_batch(self, values: list[WindowUpdate]) -> None:
        """Hand the updates over. Raises what became of earlier ones."""
        self._feed.put(values)

    def snapshot(self) -> None:
        """Return nothing, once everything handed over is committed."""
        self._feed.flush()

    def close(self) -> None:
        """Leave the feed, which closes the stores after its last partition."""
        if self._refiller is not None:
            self._refiller.close()
        self._leave()
