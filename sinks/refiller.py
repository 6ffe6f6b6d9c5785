"""A background thread that refills Redis, from Postgres, with what it has lost.

Redis can be emptied, restart without its data, or lose single keys by eviction. An id would be
refilled at its next window, but that may be hours away.
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Final

from mobility.entities import Entity
from mobility.keys import RedisKeys
from mobility.records import MIN_EVENT_TIME
from mobility.settings import Settings
from sinks.history import PostgresHistory
from sinks.postgres import PostgresStore
from sinks.postgres_session import PostgresSession, open_postgres_session
from sinks.redis import RedisStore
from sinks.redis_session import RedisSession, redis_client
from sinks.store import StoreError, WriterRole

CHECK_SECONDS: Final = 1.0
"""Seconds between checks whether Redis was emptied, which takes the marker field with it."""

SWEEP_SECONDS: Final = 3.0
"""Least seconds between sweeps, which check every id: they find evicted and deleted keys."""

SWEEP_SHARE: Final = 0.1
"""The largest share of its time that the thread spends on sweeps while nothing is missing."""

CONNECTIONS: Final = 2
"""Connections to each store that a refill uses in parallel."""

_DELIVERY_SECONDS: Final = 3.0
"""Seconds after which what Postgres has committed is in Redis too, unless Redis lost it: the batch
writer lets Postgres take a batch or two ahead."""

_PART: Final = 1_000
"""Ids that one connection refills before it takes the next ids."""

_NO_RETRY: Final = 0.0

_log: Final = logging.getLogger(__name__)


class Refiller:
    """Keeps an entity complete in Redis: ids with windows in the last `redis_expiry` s, progress.

    An id is missing where one of its hashes or index entries is. It is refilled from Postgres, and
    expires when it would have expired before. sinks/store_pair.py says why a refill is never older
    than what Redis had, and loses no window that arrives meanwhile.
    """

    def __init__(
        self,
        settings: Settings,
        entity: Entity,
        writer: WriterRole,
        clock: Callable[[], float] = time.monotonic,
        *,
        postgres: PostgresSession | None = None,
    ) -> None:
        """Write as the flow `writer`; the first check connects.

        It reads over the session `postgres`, which is shared, or over sessions that it opens.
        """
        self._settings = settings
        self._entity = entity
        self._writer: WriterRole = writer
        self._clock = clock
        self._postgres = postgres
        self._connections: list[_Connection] = []
        self._next_sweep = clock()
        self._has_marked = False
        self._is_failing = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(
            target=self._check_repeatedly, name=f"refill {entity.name}", daemon=True
        )

    def start(self) -> None:
        """Check every CHECK_SECONDS, in a thread, until `close`."""
        self._thread.start()

    def close(self) -> None:
        """Stop the thread, if it was started, and close the connections."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        while self._connections:
            self._connections.pop().redis_store.close()

    def check(self) -> int:
        """Sweep if one is due or Redis was emptied; return how many ids were refilled.

        Raises StoreError where a store does not answer: there are no retries.
        """
        while len(self._connections) < CONNECTIONS:
            self._connections.append(_connect(self._settings, self._writer, self._postgres))
        connection, entity = self._connections[0], self._entity
        session, redis_store = connection.session, connection.redis_store
        marker = RedisKeys.of(self._settings).meta, f"swept:{entity.name}"
        started = self._clock()
        is_marked = session.call(lambda: session.client.hexists(*marker))
        if started < self._next_sweep and is_marked:
            return 0
        # Set before the sweep: whatever empties Redis from now on removes the marker.
        session.call(lambda: session.client.hset(*marker, "1"))
        recent = connection.history.recent_ids(entity)["id"].to_list()
        missing = redis_store.missing_ids(entity, recent)
        swept = self._clock()
        was_emptied = self._has_marked and not is_marked
        self._has_marked = True
        lost = missing if was_emptied else self._still_missing(connection, missing)
        refilled = self._refill(lost)
        self._refill_progress(connection)
        self._next_sweep = self._clock() + max(SWEEP_SECONDS, (swept - started) / SWEEP_SHARE)
        return refilled

    def _still_missing(self, connection: "_Connection", ids: list[str]) -> list[str]:
        """Return the ids that are missing for longer than the way from Postgres to Redis takes."""
        if not ids or self._stopped.wait(_DELIVERY_SECONDS):
            return []
        return connection.redis_store.missing_ids(self._entity, ids)

    def _refill(self, ids: list[str]) -> int:
        """Refill ids over all connections: Postgres reads for one while Redis writes for another.

        Returns how many were refilled, which is fewer than given only where `close` was called.
        """
        idle = SimpleQueue[_Connection]()
        for connection in self._connections:
            idle.put(connection)

        def refill(start: int) -> int:
            part = ids[start : start + _PART]
            if self._stopped.is_set():
                return 0
            connection = idle.get()
            try:
                connection.redis_store.refill(self._entity, part)
            finally:
                idle.put(connection)
            return len(part)

        with ThreadPoolExecutor(CONNECTIONS, f"refill {self._entity.name}") as pool:
            return sum(pool.map(refill, range(0, len(ids), _PART)))

    def _refill_progress(self, connection: "_Connection") -> None:
        stored = connection.redis_store.progress(self._entity)
        known = connection.postgres_store.progress(self._entity)
        if len(known) != self._settings.shards:
            return  # the flow has not recorded its number of shards yet
        for shard, watermark in known.items():
            if stored.get(shard, MIN_EVENT_TIME) == MIN_EVENT_TIME < watermark:
                connection.redis_store.record_progress(self._entity, shard, len(known), watermark)

    def _check_repeatedly(self) -> None:
        while not self._stopped.wait(CHECK_SECONDS):
            try:
                refilled = self.check()
            except StoreError as error:
                if not self._is_failing:
                    _log.warning("Redis can't be checked for lost ids for now: %s", error)
                self._is_failing = True
            else:
                self._is_failing = False
                if refilled:
                    _log.warning(
                        "Redis had lost %d ids of %s: they were refilled from Postgres",
                        refilled,
                        self._entity.name,
                    )


@dataclass(frozen=True, slots=True)
class _Connection:
    """One connection to each store, and the readers and writers over them."""

    postgres_store: PostgresStore
    history: PostgresHistory
    redis_store: RedisStore
    session: RedisSession


def _connect(
    settings: Settings, writer: WriterRole, postgres: PostgresSession | None
) -> _Connection:
    if postgres is None:
        postgres_session = open_postgres_session(settings, retry_seconds=_NO_RETRY)
    else:
        postgres_session = postgres.share()
    history = PostgresHistory(postgres_session, settings, _NO_RETRY)
    session = RedisSession(redis_client(settings), settings, writer, retry_seconds=_NO_RETRY)
    redis_store = RedisStore(session, settings, history)
    return _Connection(PostgresStore(postgres_session), history, redis_store, session)
