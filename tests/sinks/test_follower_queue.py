"""The queue of a follower: it never blocks, and knows when something is missing in it."""

import threading

import polars as pl
import pytest

from mobility.records import WINDOW_SCHEMA
from sinks.follower_queue import FollowerQueue, QueueState
from sinks.store import TOUCHED_SCHEMA, Touched

MOST_ROWS = 3
IDLE = QueueState(must_be_read=False, is_empty=True, is_closing=False)


def touched(number: int, rows: int = 1) -> Touched:
    """Return what a transaction has touched: one id, so many windows."""
    totals = pl.DataFrame({"id": [f"d{number}"]}).match_to_schema(
        TOUCHED_SCHEMA, missing_columns="insert"
    )
    return Touched(totals, pl.DataFrame(schema=WINDOW_SCHEMA).clear(rows), number, number, 0)


@pytest.fixture
def queue() -> FollowerQueue:
    """Return a queue of one shard, of which everything was read."""
    queue = FollowerQueue(MOST_ROWS)
    queue.own(7)
    assert queue.wait(0).must_be_read
    assert queue.restart() == {7}
    return queue


def test_what_was_put_is_taken_at_once(queue: FollowerQueue) -> None:
    """Transactions are joined; of the watermarks of a shard the last one counts."""
    queue.put(touched(1))
    queue.put(touched(2))
    queue.put_progress(7, 10)
    queue.put_progress(7, 20)
    assert not queue.is_current
    taken, progress = queue.take()
    assert taken is not None
    assert (taken.first, taken.number, taken.totals["id"].to_list()) == (1, 2, ["d1", "d2"])
    assert progress == {7: 20}
    assert queue.take() == (None, {})
    assert (queue.is_current, queue.wait(0)) == (True, IDLE)


def test_a_queue_that_overflows_has_a_gap(queue: FollowerQueue) -> None:
    """It is emptied, and takes nothing until it is restarted; watermarks alone would be wrong."""
    queue.put(touched(1, MOST_ROWS))
    assert not queue.wait(0).must_be_read
    queue.put(touched(2))
    assert queue.wait(0) == QueueState(must_be_read=True, is_empty=True, is_closing=False)
    queue.put(touched(3))
    queue.put_progress(7, 10)
    assert (queue.take(), queue.is_current) == ((None, {}), False)
    queue.restart()
    assert (queue.take(), queue.wait(0)) == ((None, {}), IDLE)


def test_a_failure_drops_what_is_queued(queue: FollowerQueue) -> None:
    """After the pause everything must be read; a stop ends the pause."""
    queue.put(touched(1))
    assert not queue.pause(0)
    assert (queue.take(), queue.wait(0).must_be_read) == ((None, {}), True)
    threading.Timer(0.05, queue.close).start()
    assert queue.pause(60)
    assert queue.wait(60).is_closing


def test_without_shards_nothing_must_be_read() -> None:
    """A gap matters to what is followed only."""
    queue = FollowerQueue(MOST_ROWS)
    queue.mark_incomplete()
    assert queue.wait(0) == IDLE
    assert queue.shards == frozenset()


def test_a_waiting_thread_is_woken(queue: FollowerQueue) -> None:
    """By what was touched, by a watermark, and by the end."""
    for change in (lambda: queue.put(touched(1)), lambda: queue.put_progress(7, 1), queue.close):
        threading.Timer(0.05, change).start()
        assert queue.wait(60) != IDLE
        queue.restart()
