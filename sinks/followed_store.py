"""An authority that is followed: what it commits is passed on, and nothing waits for that."""

from collections.abc import Iterator
from contextlib import contextmanager

import polars as pl

from mobility.entities import Entity
from mobility.settings import Store
from sinks.follower import Follower
from sinks.store import ApplyResult, SequenceNumber, WindowStore


class FollowedStore:
    """Writes to the authority and tells the follower what has changed; reads from the authority."""

    def __init__(self, authority: WindowStore, follower: Follower) -> None:
        """Write windows of the entity of the follower; `close` closes both."""
        self._authority = authority
        self._follower = follower

    @property
    def kind(self) -> Store:
        """Return the name of the authority."""
        return self._authority.kind

    def apply(self, entity: Entity, rows: pl.DataFrame) -> ApplyResult:
        """Reconcile windows in the authority."""
        with self._committing():
            result = self._authority.apply(entity, rows)
            if result.touched is not None:
                self._follower.put(result.touched)
        return result

    def sequence_number(self, entity: Entity) -> SequenceNumber:
        """Return the sequence number of the authority."""
        return self._authority.sequence_number(entity)

    def record_progress(
        self, entity: Entity, shard: int, shards: int, watermark: int | None
    ) -> None:
        """Record that all windows of a shard up to a watermark (epoch ms) are in the authority."""
        with self._committing():
            self._authority.record_progress(entity, shard, shards, watermark)
            if watermark is not None:
                self._follower.put_progress(shard, watermark)

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
        """Close both."""
        self._follower.close()
        self._authority.close()

    @contextmanager
    def _committing(self) -> Iterator[None]:
        """Commit and tell the follower; where that fails, it reads what is committed."""
        with self._follower.committing():
            try:
                yield
            except BaseException:
                # The reply may be lost, or one of two transactions committed.
                self._follower.synchronize()
                raise
