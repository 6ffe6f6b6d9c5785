"""Keeps an entity up to date in Redis, which follows Postgres and is never waited for.

What a transaction in Postgres has touched is written to Redis as absolute totals, so that nothing
is read or compared there. Redis has a sequence number for each shard: everything that transactions
up to it have written of the ids of this shard is in Redis. Where Redis is behind (it was away, slow
or full, was emptied, or is an earlier copy of itself; or a backfill has written to Postgres), the
ids that have changed since are read from Postgres, and the number stays until they are written.
Readers compare the number with that of Postgres, and ask Postgres where Redis is too old.
"""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import polars as pl
import redis

from mobility.entities import ENTITIES, Entity
from mobility.keys import RedisKeys
from mobility.settings import Settings
from mobility.totals import shard_of
from redis_cluster.records import FollowerRecord
from sinks.authority import Authority, AuthorityState
from sinks.follower_connection import LostDataError, Position
from sinks.follower_queue import FollowerQueue
from sinks.follower_servers import Batch, FollowerServers, RecordMovedError
from sinks.live_changes import change_commands, gap_command
from sinks.store import StoreError, Touched

QUEUE_ROWS: Final = 100_000
"""Changed windows that wait for Redis: beyond, they are dropped, and read from Postgres later."""

REFILL_IDS: Final = 500
"""Ids that are read from Postgres at once."""

_BLOCK_IDS: Final = 1_000
"""Ids that a server is given at once: other clients wait some milliseconds for it."""

_CHECK_SECONDS: Final = 0.5
_MAX_DELAY: Final = 4.0
_MAX_REASONS: Final = 5
_CLOSE_SECONDS: Final = 10.0
_SILENT_SECONDS: Final = 2.0
_DELETE_SECONDS: Final = 60.0

_NOWHERE: Final = Position({}, {})

_log: Final = logging.getLogger(__name__)


class ClosingTime:
    """What the followers of a process have together to write what is queued, in a stop."""

    def __init__(self) -> None:
        """Begin when the first of them is closed."""
        self._ends: float | None = None

    def left(self) -> float:
        """Return the seconds that are left."""
        now = time.monotonic()
        if self._ends is None:
            self._ends = now + _CLOSE_SECONDS
        return max(self._ends - now, 0)


class Follower:
    """Writes what is `put`, in a thread of its own, to Redis; reads from Postgres what it missed.

    It writes the ids of the shards that it owns, which no other process writes. The only place
    where another process changes them is Postgres (a backfill), and this is noticed within a
    second.
    """

    def __init__(
        self,
        settings: Settings,
        entity: Entity,
        authority: Authority,
        servers: FollowerServers,
        closing_time: ClosingTime | None = None,
    ) -> None:
        """Start to follow; `close` closes the authority and the connections."""
        self._settings = settings
        self._entity = entity
        self._keys = RedisKeys.of(settings)
        self._authority = authority
        self._servers = servers
        self._closing_time = closing_time or ClosingTime()
        self._committing = threading.Lock()
        self._queue = FollowerQueue(QUEUE_ROWS)
        # What the thread knows: up to which number Redis is, or will be after the pending ids.
        self._owned: frozenset[int] = frozenset()
        self._number = 0
        self._progress: dict[int, int] = {}
        self._pending: list[str] = []
        self._read_at = 0
        self._instance_id = ""
        self._written = _NOWHERE
        self._next_check = self._next_deletion = 0.0
        self._answered_at = time.monotonic()
        self._failures: list[str] = []
        self._thread = threading.Thread(target=self._run, name=f"follow {entity.name}", daemon=True)
        self._thread.start()

    def own(self, shard: int) -> None:
        """Write the ids of a shard from now on, and what Redis lacks of them."""
        self._queue.own(shard)

    def synchronize(self) -> None:
        """Read from Postgres what Redis lacks: not all that was committed may have been `put`."""
        self._queue.mark_incomplete()

    @contextmanager
    def committing(self) -> Iterator[None]:
        """Hold this while a transaction commits and `put` is called.

        Else the check could find a commit that is not queued yet, and take it for another's.
        """
        with self._committing:
            yield

    def put(self, touched: Touched) -> None:
        """Queue what transactions have changed, and never block."""
        self._queue.put(touched)

    def put_progress(self, shard: int, watermark: int) -> None:
        """Queue the watermark (epoch ms) of a shard: all windows before it were `put`."""
        self._queue.put_progress(shard, watermark)

    def close(self) -> None:
        """Write what is queued, in the closing time and while Redis answers; then stop."""
        self._queue.close()
        while self._thread.is_alive() and self._closing_time.left() > 0:
            self._thread.join(0.1)
            if time.monotonic() - self._answered_at > _SILENT_SECONDS:
                break
        self._authority.close()

    def _run(self) -> None:
        delay = _CHECK_SECONDS
        while True:
            try:
                self._follow()
                break
            except Exception as error:  # noqa: BLE001 - nothing may end the thread: Redis would stay behind
                delay = _CHECK_SECONDS if not self._failures else min(2 * delay, _MAX_DELAY)
                self._report(_reason(error))
            if self._queue.pause(delay):
                break
        self._servers.close()

    def _follow(self) -> None:
        """Write until `close` is called and nothing is left."""
        while True:
            queue = self._queue.wait(0 if self._pending else _CHECK_SECONDS)
            self._delete_old_changes()
            if queue.must_be_read:
                self._synchronize()
            elif queue.is_closing and queue.is_empty and not self._pending:
                self._check()
                return
            else:
                self._write_queued()
                if not self._pending and time.monotonic() >= self._next_check:
                    self._check()
            self._refill()
            self._answered_at = time.monotonic()

    def _delete_old_changes(self) -> None:
        """Do so now and then, also while Redis is away; one process does it."""
        if 0 in self._queue.shards and time.monotonic() >= self._next_deletion:
            self._next_deletion = time.monotonic() + _DELETE_SECONDS
            self._authority.delete_old_changes()

    def _synchronize(self) -> None:
        """Connect, and find out what Redis lacks."""
        with self._committing:
            state = self._authority.state()
            # Shards that come later are marked after they were read.
            self._owned = self._queue.restart()
        follows = self._servers.open()
        if follows is not None and follows != state.instance_id:
            self._clear()
        self._servers.claim(state.instance_id)
        self._servers.prepare(self._entity)
        stored = self._servers.state(self._entity).sequence
        known = min((stored.get(shard, 0) for shard in self._owned), default=0)
        self._pending = []
        self._written = _NOWHERE
        self._add_pending(self._changed_ids(known, state.number))
        self._read_at = 0
        self._number = state.number
        self._instance_id = state.instance_id
        self._set_progress(state)
        if not self._failures and self._pending:
            _log.warning(
                "%s is given %d ids of %s that it lacks",
                *(self._servers.name, len(self._pending), self._entity.name),
            )
        if not self._pending:
            self._write([Batch(position=self._position())])
            self._report(None)

    def _clear(self) -> None:
        """Delete the data of another store. One process of the flow does it, the others wait."""
        if self._entity != ENTITIES[0] or 0 not in self._owned:
            msg = "it has data of another store or layout, which is being deleted"
            raise LostDataError(msg)
        _log.warning("%s has data of another store or layout: it is deleted", self._servers.name)
        self._servers.clear()
        self._servers.open()

    def _changed_ids(self, after: int, until: int) -> pl.Series:
        """Return the ids that have changed between two numbers, or all recent ones."""
        changed = self._authority.changed_ids(after, until) if 0 < after <= until else None
        return self._authority.recent_ids() if changed is None else changed

    def _add_pending(self, ids: pl.Series) -> None:
        """Let ids of own shards be read from Postgres.

        Which of their windows have changed is not known: that is a gap in the stream of changes.
        """
        owned = shard_of("id", self._settings.shards).is_in([*self._owned])
        added = ids.to_frame("id").filter(owned)["id"].to_list()
        if added:
            self._pending += added
            self._write([Batch(changes=gap_command(self._keys.live(self._entity)))])

    def _set_progress(self, state: AuthorityState) -> None:
        self._progress = {
            shard: state.progress.get(str(shard), state.lowest) for shard in self._owned
        }

    def _write_queued(self) -> None:
        """Write what is queued."""
        touched, progress = self._queue.take()
        for shard, watermark in progress.items():
            self._progress[shard] = max(watermark, self._progress.get(shard, watermark))
        if touched is None:
            if progress:
                self._write([Batch(position=self._position())])
            return
        if touched.reread > self._number:
            self._add_pending(self._changed_ids(self._number, touched.reread))
        self._number = max(self._number, touched.number)
        totals = touched.totals.unique("id", keep="last")
        changes = change_commands(self._keys.live(self._entity), touched.windows)
        if touched.first <= self._read_at:
            # These ids may have been read since, with later changes.
            self._write_ids(totals["id"].to_list())
            self._write([Batch(changes=changes, position=self._position())])
        else:
            last = Batch(changes=changes, position=self._position())
            self._write([*self._blocks(totals), last])

    def _refill(self) -> None:
        """Write the next ids that Redis lacks, if there are any."""
        if not self._pending:
            return
        ids, self._pending = self._pending[:REFILL_IDS], self._pending[REFILL_IDS:]
        self._write_ids(ids)
        if not self._pending:
            self._write([Batch(position=self._position())])
            self._report(None)

    def _write_ids(self, ids: list[str]) -> None:
        """Write ids as Postgres has them now."""
        for start in range(0, len(ids), REFILL_IDS):
            found = self._authority.totals(ids[start : start + REFILL_IDS])
            if not found.is_empty():
                self._read_at = max(self._read_at, int(found["number"][0] or 0))
                self._write(self._blocks(found, "left_seconds"))

    def _blocks(self, totals: pl.DataFrame, expiry: str | int = 0) -> list[Batch]:
        seconds = expiry or self._settings.redis_expiry
        size = _BLOCK_IDS * self._servers.count
        return [Batch(block, seconds) for block in totals.iter_slices(size)]

    def _write(self, batches: list[Batch]) -> None:
        """Write batches, each in a transaction where the server is no cluster."""
        for batch in batches:
            try:
                is_redirected = self._servers.write(self._entity, batch)
            except RecordMovedError:
                if not self._use_masters():
                    raise
                is_redirected = self._servers.write(self._entity, Batch(position=batch.position))
            self._written = batch.position or self._written
            if is_redirected:
                self._use_masters()
            # Each answer counts: what a busy machine takes long for is not silence of Redis.
            self._answered_at = time.monotonic()

    def _use_masters(self) -> bool:
        """Use the masters that a cluster has now; return whether they are others than before."""
        if not self._servers.refresh(self._entity, self._instance_id, self._written.numbers):
            return False
        self._servers.claim(self._instance_id)
        self._servers.prepare(self._entity)
        if self._written.numbers:
            self._servers.write(self._entity, Batch(position=self._written))
        return True

    def _position(self) -> Position | None:
        """Return how far Redis is; None while ids are pending."""
        if self._pending or not self._owned:
            return None
        return Position(dict.fromkeys(self._owned, self._number), dict(self._progress))

    def _check(self) -> None:
        """See whether Redis has lost data and what others have written, if nothing is queued."""
        if not self._owned:
            return
        with self._committing:
            if not self._queue.is_current:
                return
            state = self._authority.state()
        self._next_check = time.monotonic() + _CHECK_SECONDS
        self._use_masters()
        stored = self._servers.state(self._entity)
        self._check_positions(stored)
        if state.number < self._number:
            msg = "Postgres lacks transactions that Redis has"
            raise LostDataError(msg)
        if state.backfilled > self._number:
            self._add_pending(self._changed_ids(self._number, state.number))
        if state.number != self._number:
            self._number = state.number
            self._set_progress(state)
            self._write([Batch(position=self._position())])
        self._raise_others(stored.sequence, state.number)

    def _raise_others(self, sequence: Mapping[int, int], number: int) -> None:
        """Raise the numbers of other shards of which nothing has changed since.

        Their process may have ended before the last transactions of this one.
        """
        lower = {shard: n for shard, n in sequence.items() if n < number}
        for after in {n for shard, n in lower.items() if shard not in self._owned}:
            changed = self._authority.changed_ids(after, number)
            if changed is None:
                continue
            of_ids = changed.to_frame("id").select(shard_of("id", self._settings.shards))
            shards = {shard for shard, n in lower.items() if n == after} - self._owned
            current = shards - {*of_ids.to_series()}
            if current:
                self._servers.raise_numbers(self._entity, dict.fromkeys(current, after), number)

    def _check_positions(self, stored: FollowerRecord) -> None:
        if (
            stored.follows != self._instance_id
            or stored.shards != self._settings.shards
            or any(stored.sequence.get(shard, -1) < n for shard, n in self._written.numbers.items())
            or not self._progress.items() <= stored.progress.items()
        ):
            msg = f"{self._servers.name} has lost data"
            raise LostDataError(msg)

    def _report(self, failure: str | None) -> None:
        """Log that Redis falls behind, once for each reason, or follows again."""
        if failure is None:
            if self._failures:
                _log.warning("%s has all %s again", self._servers.name, self._entity.name)
            self._failures.clear()
        elif failure not in self._failures and len(self._failures) < _MAX_REASONS:
            self._failures.append(failure)
            _log.warning(
                "%s falls behind with %s, and Postgres answers meanwhile: %s",
                *(self._servers.name, self._entity.name, failure),
            )


def _reason(error: Exception) -> str:
    """Return why Redis is not written, in one line."""
    known = isinstance(
        error, redis.RedisError | OSError | StoreError | LostDataError | RecordMovedError
    )
    text = " ".join(str(error).split())
    return text if known and text else f"{type(error).__name__}: {text}"
