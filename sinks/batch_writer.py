"""What a process feeds an entity's stores with: a thread a store, for all partitions.

The flow goes on while a store commits. Whatever comes meanwhile waits and is written together: many
shards in one transaction, and of a window that has changed again the last pane alone. So the busier
a store is, the less it is asked for. Where there are two stores, one takes a batch while the other
takes the next.
"""

import logging
import threading
from collections.abc import Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import polars as pl

from mobility.entities import Entity
from mobility.records import WindowUpdate
from sinks.store import Store
from sinks.versions import coalesced

ROOM: Final = 20_000
"""Rows that may wait; whoever brings more waits too, and so does the source in the end. A graceful
stop has seconds for what waits here."""

AT_ONCE: Final = 10_000
"""Rows that are written together, or a little more."""

_log: Final = logging.getLogger(__name__)


class Feed:
    """Writes updates to the stores in the order in which they were put, in threads of its own.

    A batch is the rows of some updates: the first store has it before the second does, both have it
    before the watermarks of those updates are recorded, and each store takes batches in order.
    """

    def __init__(self, stores: Sequence[Store], entity: Entity) -> None:
        """Write to these stores, which are the feed's to close."""
        self._first, *self._others = stores
        self._entity = entity
        self._news = threading.Condition()
        self._waiting: list[WindowUpdate] = []
        self._rows = 0
        self._is_writing = False
        self._is_over = False
        self._failure: BaseException | None = None
        self._is_told = False
        self._recorded: dict[int, tuple[int, int | None]] = {}
        self._thread = threading.Thread(target=self._run, name=f"feed {entity.name}", daemon=True)
        self._thread.start()

    def put(self, updates: list[WindowUpdate]) -> None:
        """Take updates to write; wait while there is no room. Raises what a write raised."""
        with self._news:
            self._news.wait_for(lambda: self._rows < ROOM or self._failure)
            self._check()
            self._waiting += updates
            self._rows += sum(update.rows.height for update in updates)
            self._news.notify_all()

    def flush(self) -> None:
        """Wait until all that was put is committed. Raises what a write raised."""
        with self._news:
            self._news.wait_for(lambda: self._failure or not (self._waiting or self._is_writing))
            self._check()

    def close(self) -> None:
        """Write what waits, unless a write has failed; end the threads and close the stores.

        Raises what a write raised, if nobody has been told yet.
        """
        with self._news:
            self._is_over = True
            self._news.notify_all()
        self._thread.join()
        for store in (*self._others, self._first):
            store.close()
        if not self._is_told:
            self._check()

    def _check(self) -> None:
        if self._failure is not None:
            self._is_told = True
            raise self._failure

    def _run(self) -> None:
        try:
            with ThreadPoolExecutor(1, f"feed {self._entity.name}") as line:
                self._write_all(line)
        except BaseException as error:  # noqa: BLE001 - it is raised where the flow sees it
            with self._news:
                self._failure = error
                self._news.notify_all()

    def _write_all(self, line: ThreadPoolExecutor) -> None:
        before: Future[None] | None = None
        while updates := self._next():
            rows = coalesced(pl.concat([update.rows for update in updates]))
            unseen = self._apply(self._first, rows)
            if before is not None:
                before.result()
            before = line.submit(self._finish, rows, unseen, updates)
            # What waits is the next batch for the first store; where nothing does, this one is over
            # when it is with all stores.
            if not (self._others and self._waiting):
                before.result()

    def _next(self) -> list[WindowUpdate]:
        """Return what is to be written together; nothing at the end."""
        with self._news:
            self._is_writing = False
            self._news.notify_all()
            self._news.wait_for(lambda: self._waiting or self._is_over)
            taken = rows = 0
            while taken < len(self._waiting) and rows < AT_ONCE:
                rows += self._waiting[taken].rows.height
                taken += 1
            updates, self._waiting = self._waiting[:taken], self._waiting[taken:]
            self._rows -= rows
            self._is_writing = bool(updates)
            return updates

    def _finish(
        self, rows: pl.DataFrame, unseen: Collection[str], updates: list[WindowUpdate]
    ) -> None:
        """Bring a batch that the first store has to the others; then record the watermarks."""
        for store in self._others:
            self._apply(store, rows, unseen)
        for shard in dict.fromkeys(update.shard for update in updates):
            ours = [update for update in updates if update.shard == shard]
            marks = [update.watermark for update in ours if update.watermark is not None]
            reached = ours[-1].shards, max(marks, default=None)
            if self._recorded.get(shard) != reached:
                for store in (self._first, *self._others):
                    store.record_progress(self._entity, shard, *reached)
                self._recorded[shard] = reached

    def _apply(
        self, store: Store, rows: pl.DataFrame, unseen: Collection[str] = ()
    ) -> Collection[str]:
        """Bring a batch to a store; return the ids that it had never seen."""
        if rows.is_empty():
            return ()
        applied = store.apply(self._entity, rows, unseen)
        if applied.refused:
            _log.warning(
                "Redis refused %d windows of %s: they are older than its ledger reaches back",
                applied.refused,
                self._entity.name,
            )
        return applied.unseen
