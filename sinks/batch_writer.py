"""Writes the updates of an entity to a store, in a thread beside the flow.

The flow goes on while a store commits. What arrives meanwhile is queued and written as one batch:
many shards in one transaction, and of a window that changed again only its highest version. So the
busier a store is, the less it is asked to write.
"""

import logging
import threading
from collections.abc import Callable
from typing import Final

import polars as pl

from mobility.entities import Entity
from mobility.records import WindowUpdate
from mobility.settings import Store
from mobility.totals import highest_versions
from sinks.retry import StopRequested, no_stop
from sinks.store import AmountTooLargeError, ApplyResult, SequenceNumber, WindowStore

QUEUE_ROWS: Final = 20_000
"""Rows that the queue holds: beyond, `put` blocks and with it the flow (backpressure). A graceful
stop has seconds to write the queue."""

BATCH_ROWS: Final = 10_000
"""Rows from which a batch takes no further update."""

_RETRY_SECONDS: Final = 1.0
"""How often a store is asked again whether an amount that was too large fits now."""

OnAmountTooLarge = Callable[[Entity, str | None], object]
"""Called with what a store can't hold of an entity, and with None once it can."""

_log: Final = logging.getLogger(__name__)


class BatchWriter:
    """Writes updates in the order in which they were put, in batches of some updates.

    A batch is in the store before the watermarks of its updates are recorded. An amount that is too
    large for the store is waited for, until it fits, a stop is requested or `close` is called: no
    restart would make it fit, and to leave it out would make the store wrong.

    A batch waits up to `linger` seconds for further updates, for stores that rather write many
    windows at once; not where it is full already, or `flush` waits for it.
    """

    def __init__(
        self,
        store: WindowStore,
        entity: Entity,
        *,
        linger: float = 0,
        stop_requested: StopRequested = no_stop,
        on_amount_too_large: OnAmountTooLarge = lambda _entity, _reason: None,
    ) -> None:
        """Start to write to a store, which `close` closes."""
        self._store = store
        self._entity = entity
        self._linger = linger
        self._stop_requested = stop_requested
        self._on_refusal = on_amount_too_large
        self._changed = threading.Condition()
        self._queue: list[WindowUpdate] = []
        self._queued_rows = 0
        self._flushing = 0
        self._is_writing = False
        self._is_closing = False
        self._failure: BaseException | None = None
        self._is_failure_raised = False
        self._recorded: dict[int, tuple[int, int | None]] = {}
        # Asked for here: later this would use the connections of the thread.
        self.sequence_numbers()
        self._thread = threading.Thread(target=self._run, name=f"write {entity.name}", daemon=True)
        self._thread.start()

    def put(self, updates: list[WindowUpdate]) -> None:
        """Queue updates; block while the queue is full. Raises the error of an earlier write."""
        with self._changed:
            self._changed.wait_for(lambda: self._queued_rows < QUEUE_ROWS or self._failure)
            self._raise_failure()
            self._queue += updates
            self._queued_rows += sum(update.rows.height for update in updates)
            self._changed.notify_all()

    def flush(self) -> None:
        """Block until everything that was put is committed. Raises the error of a write."""
        with self._changed:
            self._flushing += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._failure or not (self._queue or self._is_writing))
            self._flushing -= 1
            self._raise_failure()

    def sequence_numbers(self) -> dict[Store, SequenceNumber]:
        """Return that of the store, by its name; after `flush`, it is behind all that was put."""
        return {self._store.kind: self._store.sequence_number(self._entity)}

    def close(self) -> None:
        """Write the queue, unless a write has failed; stop the thread and close the store.

        Raises the error of a write, unless `put` or `flush` has raised it before.
        """
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join()
        self._store.close()
        if not self._is_failure_raised:
            self._raise_failure()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            self._is_failure_raised = True
            raise self._failure

    def _run(self) -> None:
        try:
            while updates := self._next_batch():
                self._write_batch(updates)
        except BaseException as error:  # noqa: BLE001 - `put`, `flush` or `close` raises it
            with self._changed:
                self._failure = error
                self._changed.notify_all()

    def _next_batch(self) -> list[WindowUpdate]:
        """Return the updates of the next batch; block until there are any, or `close` is called."""
        with self._changed:
            self._is_writing = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._queue or self._is_closing)
            self._changed.wait_for(self._is_due, self._linger)
            taken = rows = 0
            while taken < len(self._queue) and rows < BATCH_ROWS:
                rows += self._queue[taken].rows.height
                taken += 1
            updates, self._queue = self._queue[:taken], self._queue[taken:]
            self._queued_rows -= rows
            self._is_writing = bool(updates)
            return updates

    def _is_due(self) -> bool:
        """Return whether what is queued should be written now."""
        return self._is_closing or self._flushing > 0 or self._queued_rows >= BATCH_ROWS

    def _write_batch(self, updates: list[WindowUpdate]) -> None:
        """Write a batch, then the watermarks."""
        rows = highest_versions(pl.concat([update.rows for update in updates]))
        if not rows.is_empty():
            self._apply(rows)
        for shard in dict.fromkeys(update.shard for update in updates):
            of_shard = [update for update in updates if update.shard == shard]
            watermarks = [update.watermark for update in of_shard if update.watermark is not None]
            progress = of_shard[-1].shards, max(watermarks, default=None)
            if self._recorded.get(shard) != progress:
                self._store.record_progress(self._entity, shard, *progress)
                self._recorded[shard] = progress

    def _apply(self, rows: pl.DataFrame) -> None:
        result = self._apply_until_it_fits(rows)
        if result.too_old:
            _log.warning(
                "%s has not counted %d windows of %s: they are older than the oldest window in its "
                "ledger",
                self._store.kind,
                result.too_old,
                self._entity.name,
            )

    def _apply_until_it_fits(self, rows: pl.DataFrame) -> ApplyResult:
        is_waiting = False
        while True:
            try:
                result = self._store.apply(self._entity, rows)
            except AmountTooLargeError as error:
                if not is_waiting:
                    _log.warning("%s. The flow waits until it fits", error)
                is_waiting = True
                self._on_refusal(self._entity, str(error))
                if self._must_end():
                    raise
            else:
                if is_waiting:
                    _log.warning("All amounts of %s fit now", self._entity.name)
                    self._on_refusal(self._entity, None)
                return result

    def _must_end(self) -> bool:
        """Return whether to give up waiting; block for a moment where not."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._is_closing or self._stop_requested(), _RETRY_SECONDS
            )
