"""The stores as a Bytewax sink: one partition per shard."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from mobility.entities import Entity
from mobility.records import WindowUpdate
from mobility.settings import Settings, Store
from sinks.batch_writer import BatchWriter, OnAmountTooLarge
from sinks.connecting import connect_authority, follow
from sinks.follower import ClosingTime, Follower
from sinks.postgres import open_session
from sinks.postgres_session import PostgresSession
from sinks.registry import store_kind
from sinks.retry import StopRequested, no_stop
from sinks.store import StoreError, WindowStore, WriterRole

SinkState = dict[Store, dict[str, str | int]]
"""The sequence number of the authority, as plain values; None in states of earlier releases."""


@dataclass(slots=True)
class SinkContext:
    """What the store sinks of a process share with the flow that they are part of.

    `on_queued` is called with the number of windows that a sink has queued, `on_snapshot` when all
    of them are committed, `on_amount_too_large` as by a BatchWriter. Every call of a store runs in
    a context of `translate_errors`, which may raise another exception in place of a StoreError.
    Once `stop_requested` returns True, an unavailable store is not retried any longer. `has_failed`
    is set by the first error. The sinks share one session on Postgres, for a process has few, and
    the time in which Redis is waited for at a stop.
    """

    stop_requested: StopRequested = no_stop
    on_queued: Callable[[int], object] = lambda _: None
    on_snapshot: Callable[[], object] = lambda: None
    on_amount_too_large: OnAmountTooLarge = lambda _entity, _reason: None
    translate_errors: Callable[[], AbstractContextManager[None]] = nullcontext
    has_failed: bool = False
    closing_time: ClosingTime = field(default_factory=ClosingTime)
    _session: PostgresSession | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def acquire_session(self, settings: Settings, writer: WriterRole) -> PostgresSession | None:
        """Return the session on Postgres, to be closed by each who acquires it; None without one.

        Raises StoreError where it can't be opened.
        """
        if "postgres" not in settings.stores:
            return None
        with self._lock:
            if self._session is not None and not self._session.is_closed:
                return self._session.share()
            self._session = open_session(settings, writer, stop_requested=self.stop_requested)
            return self._session

    def waits(self) -> dict[str, str]:
        """Return why the flow waits for a store, by the name of the store."""
        reason = None if self._session is None else self._session.waits_for()
        return {} if reason is None else {"postgres": reason}

    @contextmanager
    def handle_errors(self) -> Iterator[None]:
        """Translate the errors of the stores, and set `has_failed`."""
        try:
            with self.translate_errors():
                yield
        except Exception:
            self.has_failed = True
            raise


def store_sinks(
    settings: Settings, entity: Entity, writer: WriterRole, context: SinkContext | None = None
) -> list[tuple[str, "StoreSink"]]:
    """Return a sink for each authority of the settings, with its name; none without stores.

    There is one sink for Postgres and Redis, because Redis follows. Nothing is connected yet.
    """
    return [
        ("_".join(sorted(each.stores)), StoreSink(each, entity, writer, context))
        for each in settings.by_authority
    ]


class StoreSink(FixedPartitionedSink[WindowUpdate, SinkState]):
    """Writes the windows of an entity to an authority; items are `(shard number, update)`.

    Effectively once: delivery is at least once, and a repeated window changes nothing. Everything
    that a partition was given is committed in the authority before its snapshot, which holds the
    sequence number there: a start compares them (sinks/sequence_numbers.py).
    """

    def __init__(
        self,
        settings: Settings,
        entity: Entity,
        writer: WriterRole,
        context: SinkContext | None = None,
    ) -> None:
        self._settings = settings
        self._entity = entity
        self._writer_role: WriterRole = writer
        self._context = context or SinkContext()
        self._lock = threading.Lock()
        self._batch_writer: BatchWriter | None = None
        self._postgres: PostgresSession | None = None
        self._follower: Follower | None = None
        self._partitions = 0

    def list_parts(self) -> list[str]:
        """Return the shards as text, padded with zeros so that they sort by number."""
        width = len(str(self._settings.shards - 1))
        return [f"{shard:0{width}}" for shard in range(self._settings.shards)]

    def part_fn(self, item_key: str) -> int:
        """Return the index of a key's shard in the sorted list of partitions.

        Raises ValueError for a shard that the settings don't have.
        """
        shard = int(item_key)
        shards = self._settings.shards
        if not 0 <= shard < shards:
            msg = f"A window came with shard {item_key!r}, but MOBILITY_SHARDS={shards}"
            raise ValueError(msg)
        return shard

    def build_part(
        self,
        step_id: str,  # noqa: ARG002 - Bytewax passes it by name
        for_part: str,
        resume_state: SinkState | None,  # noqa: ARG002 - checked before the flow starts
    ) -> "StorePartition":
        """Connect to the stores. Raises StoreError where the authority can't be used."""
        with self._context.handle_errors():
            batch_writer = self._acquire_batch_writer()
            if self._follower is not None:
                self._follower.own(int(for_part))
        return StorePartition(batch_writer, self._release_batch_writer, self._context)

    def _acquire_batch_writer(self) -> BatchWriter:
        """Return the batch writer that all partitions in this process share."""
        with self._lock:
            if self._batch_writer is None:
                self._batch_writer = BatchWriter(
                    self._connect(),
                    self._entity,
                    linger=store_kind(self._settings.authorities[0]).linger,
                    stop_requested=self._context.stop_requested,
                    on_amount_too_large=self._context.on_amount_too_large,
                )
            self._partitions += 1
            return self._batch_writer

    def _connect(self) -> WindowStore:
        settings, entity = self._settings, self._entity
        session = self._context.acquire_session(settings, self._writer_role)
        try:
            store = connect_authority(
                settings,
                self._writer_role,
                postgres=session,
                stop_requested=self._context.stop_requested,
            )
        except StoreError:
            if session is not None:
                session.close()
            raise
        self._postgres = session
        if session is None or not settings.is_followed:
            return store
        followed, self._follower = follow(
            store, session, settings, entity, self._context.closing_time
        )
        return followed

    def _release_batch_writer(self) -> None:
        """Close the batch writer after the last partition."""
        with self._lock:
            self._partitions -= 1
            if self._partitions == 0 and self._batch_writer is not None:
                self._batch_writer.close()
                self._batch_writer = self._follower = None
                if self._postgres is not None:
                    self._postgres.close()


class StorePartition(StatefulSinkPartition[WindowUpdate, SinkState]):
    """Queues the updates of one shard; they are committed when its snapshot returns."""

    def __init__(
        self,
        batch_writer: BatchWriter,
        release: Callable[[], None],
        context: SinkContext,
    ) -> None:
        """Write with `batch_writer`; `close` calls `release`."""
        self._batch_writer = batch_writer
        self._release = release
        self._context = context

    def write_batch(self, values: list[WindowUpdate]) -> None:
        """Queue the updates. Raises the error of an earlier write."""
        with self._context.handle_errors():
            self._batch_writer.put(values)
        self._context.on_queued(sum(update.rows.height for update in values))

    def snapshot(self) -> SinkState:
        """Block until everything queued is committed; return the sequence number after it."""
        with self._context.handle_errors():
            self._batch_writer.flush()
            numbers = self._batch_writer.sequence_numbers()
        self._context.on_snapshot()
        return {
            store: {"instance_id": known.instance_id, "number": known.number}
            for store, known in numbers.items()
        }

    def close(self) -> None:
        """Release the batch writer; the last partition closes the stores.

        Bytewax closes the partitions while it unwinds from an error, and a second error would abort
        the process. So once a store of the process has failed, no error is raised here.
        """
        with suppress(Exception) if self._context.has_failed else self._context.handle_errors():
            self._release()
