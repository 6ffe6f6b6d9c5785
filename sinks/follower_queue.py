"""What waits to be written to a follower, and whether that is all that it lacks."""

import threading
from dataclasses import dataclass

from sinks.store import Touched


@dataclass(frozen=True, slots=True)
class QueueState:
    """What the thread that empties the queue has to do.

    If something `must_be_read`, the follower lacks more than is queued. If it `is_closing`, nothing
    is put any more.
    """

    must_be_read: bool
    is_empty: bool
    is_closing: bool


class FollowerQueue:
    """Touched ids and watermarks of the shards that a follower owns, from the flow to its thread.

    Whoever puts something is never blocked: what does not fit, or comes while the follower is away,
    is dropped. From then on the queue is incomplete and takes nothing, until `restart`: what
    was dropped must be read from the authority.
    """

    def __init__(self, most_rows: int) -> None:
        """Hold up to `most_rows` changed windows."""
        self._changed = threading.Condition()
        self._most_rows = most_rows
        self._shards: frozenset[int] = frozenset()
        self._is_incomplete = False
        self._is_closing = False
        self._empty()

    @property
    def shards(self) -> frozenset[int]:
        """The shards whose ids are to be followed."""
        return self._shards

    @property
    def is_current(self) -> bool:
        """Whether nothing is queued and nothing was dropped."""
        with self._changed:
            return not self._is_incomplete and not self._has_items()

    def own(self, shard: int) -> None:
        """Follow the ids of a shard too, of which everything must be read."""
        with self._changed:
            self._shards |= {shard}
        self.mark_incomplete()

    def mark_incomplete(self) -> None:
        """Record that something was not put."""
        with self._changed:
            self._is_incomplete = True
            self._changed.notify_all()

    def put(self, touched: Touched) -> None:
        """Queue what transactions have changed."""
        with self._changed:
            if self._is_incomplete:
                return
            self._touched.append(touched)
            self._rows += touched.windows.height
            if self._rows > self._most_rows:
                self._empty()
                self._is_incomplete = True
            self._changed.notify_all()

    def put_progress(self, shard: int, watermark: int) -> None:
        """Queue the watermark (epoch ms) of a shard."""
        with self._changed:
            self._progress[shard] = watermark
            self._changed.notify_all()

    def close(self) -> None:
        """Record that nothing is put any more."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()

    def wait(self, seconds: float) -> QueueState:
        """Wait for something to do, up to some seconds; return what it is."""
        with self._changed:
            self._changed.wait_for(self._has_work, seconds)
            return QueueState(self._must_be_read(), not self._has_items(), self._is_closing)

    def pause(self, seconds: float) -> bool:
        """Drop everything and wait some seconds; return at once, with True, if it is closing."""
        with self._changed:
            self._empty()
            self._is_incomplete = True
            return self._changed.wait_for(lambda: self._is_closing, seconds)

    def restart(self) -> frozenset[int]:
        """Drop everything, and be complete from now on; return the shards."""
        with self._changed:
            self._empty()
            self._is_incomplete = False
            return self._shards

    def take(self) -> tuple[Touched | None, dict[int, int]]:
        """Take what was touched and the watermarks by shard: nothing from an incomplete queue."""
        with self._changed:
            if self._is_incomplete:
                return None, {}
            touched, progress = self._touched, self._progress
            self._empty()
        return Touched.joined(touched) if touched else None, progress

    def _empty(self) -> None:
        self._touched: list[Touched] = []
        self._progress: dict[int, int] = {}
        self._rows = 0

    def _has_work(self) -> bool:
        return self._is_closing or self._has_items() or self._must_be_read()

    def _must_be_read(self) -> bool:
        return self._is_incomplete and bool(self._shards)

    def _has_items(self) -> bool:
        return not self._is_incomplete and bool(self._touched or self._progress)
