"""Brings back what Redis has lost, from Postgres, while the flow goes on writing.

Redis can be emptied, restarted without its data, or lose keys one by one. The next news of an id
fills it again, but an id may have none for hours. So one thread an entity looks after all of them.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from mobility.entities import Entity
from mobility.keys import RedisKeys
from mobility.records import MIN_EVENT_TIME
from mobility.settings import Settings
from sinks.history import PostgresHistory
from sinks.link import Link, redis_client
from sinks.postgres import PostgresStore
from sinks.redis import RedisStore
from sinks.session import open_session
from sinks.store import StoreError, Writer

LOOK_SECONDS: Final = 1.0
"""How often it looks whether Redis was emptied, which one lost mark shows."""

SWEEP_SECONDS: Final = 3.0
"""How often it looks for each id, which finds keys that were evicted or deleted."""

SHARE: Final = 0.1
"""The most of its time that it spends on looking where nothing is missing."""

_PART: Final = 1_000
_AT_ONCE: Final = 0.0

_log: Final = logging.getLogger(__name__)


class Refiller:
    """Keeps an entity in Redis whole: ids with news in the last `redis_expiry` seconds, progress.

    An id is missing where a hash of it or its place in the index is. It is filled with what
    Postgres holds, to stay for what is left of its time; that this is never older than what Redis
    had, and loses nothing that comes meanwhile, is told in sinks/pair.py.
    """

    def __init__(
        self,
        settings: Settings,
        entity: Entity,
        writer: Writer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Fill as a part of the flow `writer`; nothing is connected before the first look."""
        self._settings = settings
        self._entity = entity
        self._writer: Writer = writer
        self._clock = clock
        self._stores: tuple[PostgresStore, PostgresHistory, RedisStore, Link] | None = None
        self._sweep_at = clock()
        self._failing = False
        self._over = threading.Event()
        self._thread = threading.Thread(
            target=self._keep_looking, name=f"refill {entity.name}", daemon=True
        )

    def start(self) -> None:
        """Look again and again, in a thread, until `close`."""
        self._thread.start()

    def close(self) -> None:
        """End the thread, if there is one, and close the connections."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        self._disconnect()

    def look(self) -> int:
        """Fill what is missing, if it is time to look for it; return how many ids were filled.

        Raises StoreError where a store does not answer at once.
        """
        lasting, history, fast, link = self._connected()
        mark = RedisKeys.of(self._settings).meta, f"swept:{self._entity.name}"
        began = self._clock()
        if began < self._sweep_at and link.ask(lambda: link.client.hexists(*mark)):
            return 0
        # Before the sweep: whatever empties Redis from now on takes the mark with it.
        link.ask(lambda: link.client.hset(*mark, "1"))
        absent = fast.absent(self._entity, history.recent(self._entity)["id"].to_list())
        looked = self._clock()
        filled = self._refill(fast, absent)
        self._restore_progress(lasting, fast)
        self._sweep_at = self._clock() + max(SWEEP_SECONDS, (looked - began) / SHARE)
        return filled

    def _refill(self, fast: RedisStore, ids: list[str]) -> int:
        for at in range(0, len(ids), _PART):
            if self._over.is_set():
                return at
            fast.refill(self._entity, ids[at : at + _PART])
        return len(ids)

    def _restore_progress(self, lasting: PostgresStore, fast: RedisStore) -> None:
        held, known = fast.progress(self._entity), lasting.progress(self._entity)
        if len(known) != self._settings.shards:
            return  # the flow is about to lay out its shards
        for shard, watermark in known.items():
            if held.get(shard, MIN_EVENT_TIME) == MIN_EVENT_TIME < watermark:
                fast.record_progress(self._entity, shard, len(known), watermark)

    def _keep_looking(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            try:
                filled = self.look()
            except StoreError as error:
                if not self._failing:
                    _log.warning("Redis is not looked after for now: %s", error)
                self._failing = True
            else:
                self._failing = False
                if filled:
                    _log.warning(
                        "Redis had lost %d ids of %s: they are back, from Postgres",
                        filled,
                        self._entity.name,
                    )

    def _connected(self) -> tuple[PostgresStore, PostgresHistory, RedisStore, Link]:
        if self._stores is None:
            session = open_session(self._settings, patience=_AT_ONCE)
            history = PostgresHistory(session, self._settings, _AT_ONCE)
            link = Link(
                redis_client(self._settings), self._settings, self._writer, patience=_AT_ONCE
            )
            fast = RedisStore(link, self._settings, history)
            self._stores = PostgresStore(session), history, fast, link
        return self._stores

    def _disconnect(self) -> None:
        if self._stores is not None:
            _, _, fast, _ = self._stores
            fast.close()
            self._stores = None
