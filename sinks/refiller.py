"""Brings back what Redis has lost, from Postgres, while the flow goes on writing.

Redis can be emptied, restarted without its data, or lose keys one by one. The next news of an id
fills it again, but an id may have none for hours. So one thread an entity looks after all of them.
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
from sinks.postgres_session import open_session
from sinks.redis import RedisStore
from sinks.redis_session import Link, redis_client
from sinks.store import StoreError, Writer

LOOK_SECONDS: Final = 1.0
"""How often it looks whether Redis was emptied, which one lost mark shows."""

SWEEP_SECONDS: Final = 3.0
"""How often it looks for each id, which finds keys that were evicted or deleted."""

SHARE: Final = 0.1
"""The most of its time that it spends on looking where nothing is missing."""

LINES: Final = 2
"""Connections to each store that a filling uses at once."""

_ON_ITS_WAY: Final = 3.0
"""Seconds after which what Postgres has been given is in Redis too, where nothing was lost: a feed
has Postgres take a batch or two ahead."""

_PART: Final = 1_000
_AT_ONCE: Final = 0.0

_log: Final = logging.getLogger(__name__)


class Refiller:
    """Keeps an entity in Redis whole: ids with news in the last `redis_expiry` seconds, progress.

    An id is missing where a hash of it or its place in the index is. It is filled with what
    Postgres holds, to stay for what is left of its time; that this is never older than what Redis
    had, and loses nothing that comes meanwhile, is told in sinks/store_pair.py.
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
        self._lines: list[_Line] = []
        self._sweep_at = clock()
        self._has_marked = False
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
        while self._lines:
            self._lines.pop().fast.close()

    def look(self) -> int:
        """Fill what is missing, if it is time to look for it; return how many ids were filled.

        Raises StoreError where a store does not answer at once.
        """
        while len(self._lines) < LINES:
            self._lines.append(_connected(self._settings, self._writer))
        line, entity = self._lines[0], self._entity
        mark = RedisKeys.of(self._settings).meta, f"swept:{entity.name}"
        began = self._clock()
        is_marked = line.link.ask(lambda: line.link.client.hexists(*mark))
        if began < self._sweep_at and is_marked:
            return 0
        # Before the sweep: whatever empties Redis from now on takes the mark with it.
        line.link.ask(lambda: line.link.client.hset(*mark, "1"))
        absent = line.fast.absent(entity, line.history.recent(entity)["id"].to_list())
        looked = self._clock()
        was_emptied = self._has_marked and not is_marked
        self._has_marked = True
        filled = self._refill(absent if was_emptied else self._still_absent(line, absent))
        self._restore_progress(line)
        self._sweep_at = self._clock() + max(SWEEP_SECONDS, (looked - began) / SHARE)
        return filled

    def _still_absent(self, line: "_Line", ids: list[str]) -> list[str]:
        """Return the ids that are missing for long: Postgres is written to first."""
        if not ids or self._over.wait(_ON_ITS_WAY):
            return []
        return line.fast.absent(self._entity, ids)

    def _refill(self, ids: list[str]) -> int:
        """Fill ids, over all lines at once: Postgres reads for one while Redis writes for another.

        Returns how many were filled, which is fewer only where the end came first.
        """
        idle = SimpleQueue[_Line]()
        for line in self._lines:
            idle.put(line)

        def fill(at: int) -> int:
            part = ids[at : at + _PART]
            if self._over.is_set():
                return 0
            line = idle.get()
            try:
                line.fast.refill(self._entity, part)
            finally:
                idle.put(line)
            return len(part)

        with ThreadPoolExecutor(LINES, f"refill {self._entity.name}") as pool:
            return sum(pool.map(fill, range(0, len(ids), _PART)))

    def _restore_progress(self, line: "_Line") -> None:
        held, known = line.fast.progress(self._entity), line.lasting.progress(self._entity)
        if len(known) != self._settings.shards:
            return  # the flow is about to lay out its shards
        for shard, watermark in known.items():
            if held.get(shard, MIN_EVENT_TIME) == MIN_EVENT_TIME < watermark:
                line.fast.record_progress(self._entity, shard, len(known), watermark)

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


@dataclass(frozen=True, slots=True)
class _Line:
    """One connection to each store, and what goes over them."""

    lasting: PostgresStore
    history: PostgresHistory
    fast: RedisStore
    link: Link


def _connected(settings: Settings, writer: Writer) -> _Line:
    session = open_session(settings, patience=_AT_ONCE)
    history = PostgresHistory(session, settings, _AT_ONCE)
    link = Link(redis_client(settings), settings, writer, patience=_AT_ONCE)
    return _Line(PostgresStore(session), history, RedisStore(link, settings, history), link)
