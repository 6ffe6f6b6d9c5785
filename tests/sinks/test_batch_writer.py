"""The thread that writes the updates of an entity to its stores."""

import threading
from typing import Any

import polars as pl
import pytest

from mobility.entities import BY_NAME, Entity
from mobility.records import WINDOW_SCHEMA, WindowUpdate
from sinks import batch_writer
from sinks.batch_writer import BatchWriter
from sinks.store import AmountTooLargeError, ApplyResult, StoreError
from tests.sinks.memory_store import MemoryStore
from tests.waiting import DEADLINE, until

DRIVER = BY_NAME["driver"]
EMPTY = pl.DataFrame(schema=WINDOW_SCHEMA)
Build = Any


class BlockingStore(MemoryStore):
    """A store whose first write blocks until `may_continue` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[int | tuple[int, int | None]] = []
        self.has_started = threading.Event()
        self.may_continue = threading.Event()
        self.is_closed = False

    def apply(self, entity: Entity, rows: pl.DataFrame) -> ApplyResult:
        """Apply rows; record how many."""
        self.has_started.set()
        assert self.may_continue.wait(DEADLINE)
        self.calls.append(rows.height)
        return super().apply(entity, rows)

    def record_progress(
        self, entity: Entity, shard: int, shards: int, watermark: int | None
    ) -> None:
        """Record progress, and that it was recorded."""
        self.calls.append((shard, watermark))
        super().record_progress(entity, shard, shards, watermark)

    def close(self) -> None:
        """Record the call."""
        self.is_closed = True


class FailingStore(MemoryStore):
    """A store whose every write fails."""

    def apply(self, entity: Entity, rows: pl.DataFrame) -> ApplyResult:
        """Fail."""
        del entity, rows
        msg = "no"
        raise StoreError(msg)


def test_queued_updates_are_written_as_one_batch(window: Build, frame: Build) -> None:
    """Of a window that changed again while the store was busy, only the last pane is written."""
    store = BlockingStore()
    writer = BatchWriter(store, DRIVER)
    writer.put([WindowUpdate(DRIVER, 0, 3, 1_000, frame(window("a")))])
    assert store.has_started.wait(DEADLINE)
    for count in range(2, 5):
        writer.put(
            [WindowUpdate(DRIVER, 0, 3, 1_000 * count, frame(window("a", trip_count=count)))]
        )
        writer.put([WindowUpdate(DRIVER, 2, 3, None, frame(window("c", trip_count=count)))])
    store.may_continue.set()
    writer.flush()
    assert store.calls == [1, (0, 1_000), 2, (0, 4_000), (2, None)]
    assert store.totals(DRIVER)["trip_count"].to_list() == [4, 4]
    writer.close()
    assert store.is_closed


def test_a_batch_lingers_until_it_is_waited_for(window: Build, frame: Build) -> None:
    """What is put meanwhile is in it; a snapshot and the end do not wait for the time to pass."""
    store = BlockingStore()
    store.may_continue.set()
    writer = BatchWriter(store, DRIVER, linger=DEADLINE)
    for at in range(3):
        writer.put([WindowUpdate(DRIVER, 0, 1, 1_000 * at, frame(window(at=at)))])
    assert not store.has_started.wait(0.2)
    writer.flush()
    assert store.calls == [3, (0, 2_000)]
    writer.put([WindowUpdate(DRIVER, 0, 1, 2_000, frame(window(at=3)))])
    writer.close()
    assert store.calls == [3, (0, 2_000), 1]


def test_a_full_batch_does_not_linger(
    window: Build, frame: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does any for longer than that."""
    monkeypatch.setattr(batch_writer, "BATCH_ROWS", 2)
    store = BlockingStore()
    store.may_continue.set()
    writer = BatchWriter(store, DRIVER, linger=DEADLINE)
    writer.put([WindowUpdate(DRIVER, 0, 1, None, frame(window(), window(at=1)))])
    until(lambda: store.calls == [2, (0, None)], "the full batch")
    writer.close()
    quick = BatchWriter(store, DRIVER, linger=0.05)
    quick.put([WindowUpdate(DRIVER, 0, 1, None, frame(window(at=2)))])
    until(lambda: store.calls == [2, (0, None), 1, (0, None)], "the batch after its time")
    quick.close()


def test_a_watermark_is_recorded_once() -> None:
    """An equal watermark is not recorded again, unless the number of shards changes."""
    store = BlockingStore()
    store.may_continue.set()
    writer = BatchWriter(store, DRIVER)
    for shards in (1, 1, 2):
        writer.put([WindowUpdate(DRIVER, 0, shards, 5, EMPTY)])
        writer.flush()
    writer.close()
    assert store.calls == [(0, 5), (0, 5)]
    assert len(store.progress(DRIVER)) == 2


def test_flush_waits_for_the_commit(window: Build, frame: Build) -> None:
    """`flush` returns when everything that was put is in the store."""
    store = BlockingStore()
    writer = BatchWriter(store, DRIVER)
    writer.put([WindowUpdate(DRIVER, 0, 1, 1, frame(window()))])
    flushing = threading.Thread(target=writer.flush)
    flushing.start()
    flushing.join(0.2)
    assert flushing.is_alive()
    store.may_continue.set()
    flushing.join(DEADLINE)
    assert not flushing.is_alive()
    assert store.calls == [1, (0, 1)]
    writer.close()


def test_put_blocks_while_the_queue_is_full(
    window: Build, frame: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the flow waits until the store has taken a batch."""
    monkeypatch.setattr(batch_writer, "QUEUE_ROWS", 2)
    store = BlockingStore()
    writer = BatchWriter(store, DRIVER)

    def put_all() -> None:
        for at in range(6):
            writer.put([WindowUpdate(DRIVER, 0, 1, at, frame(window(at=at)))])

    putting = threading.Thread(target=put_all)
    putting.start()
    assert store.has_started.wait(DEADLINE)
    putting.join(0.2)
    assert putting.is_alive()
    store.may_continue.set()
    putting.join(DEADLINE)
    assert not putting.is_alive()
    writer.flush()
    assert store.windows(DRIVER).height == 6
    writer.close()


def test_close_writes_the_queue(window: Build, frame: Build) -> None:
    """What was put is written, also where no snapshot follows."""
    store = BlockingStore()
    store.may_continue.set()
    writer = BatchWriter(store, DRIVER)
    writer.put([WindowUpdate(DRIVER, 0, 1, 1, frame(window()))])
    writer.close()
    assert store.calls == [1, (0, 1)]


def test_a_failure_is_raised(window: Build, frame: Build) -> None:
    """Every later call raises it, `close` only where none has before; no progress is recorded."""
    update = WindowUpdate(DRIVER, 0, 1, 1, frame(window()))
    store = FailingStore()
    writer = BatchWriter(store, DRIVER)
    writer.put([update])
    for call in (writer.flush, writer.flush, lambda: writer.put([update])):
        with pytest.raises(StoreError, match="no"):
            call()
    writer.close()
    assert store.progress(DRIVER) == {}

    writer = BatchWriter(FailingStore(), DRIVER)
    writer.put([update])
    with pytest.raises(StoreError, match="no"):
        writer.close()


class FullStore(MemoryStore):
    """A store in which amounts fit once `has_room` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.has_room = threading.Event()

    def apply(self, entity: Entity, rows: pl.DataFrame) -> ApplyResult:
        """Refuse the rows, or apply them."""
        if not self.has_room.is_set():
            msg = "the store can't hold total_revenue of driver 'd1'"
            raise AmountTooLargeError(msg)
        return super().apply(entity, rows)


@pytest.fixture
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a store be asked again at once."""
    monkeypatch.setattr(batch_writer, "_RETRY_SECONDS", 0.01)


@pytest.mark.usefixtures("in_a_hurry")
def test_an_amount_that_does_not_fit_is_waited_for(
    window: Build, frame: Build, caplog: pytest.LogCaptureFixture
) -> None:
    """The flow says so, does not go on, and goes on once there is room."""
    refusals: list[str | None] = []
    full = FullStore()
    writer = BatchWriter(
        full, DRIVER, on_amount_too_large=lambda _, reason: refusals.append(reason)
    )
    writer.put([WindowUpdate(DRIVER, 0, 1, 5, frame(window()))])
    until(lambda: len(refusals) > 2, "retries")
    assert full.progress(DRIVER) == {}
    full.has_room.set()
    writer.flush()
    assert full.windows(DRIVER).height == 1
    assert full.progress(DRIVER) == {0: 5}
    assert refusals[-1] is None
    assert set(refusals[:-1]) == {"the store can't hold total_revenue of driver 'd1'"}
    begun, ended = (record.getMessage() for record in caplog.records)
    assert begun == f"{refusals[0]}. The flow waits until it fits"
    assert ended == "All amounts of driver fit now"
    writer.close()


@pytest.mark.usefixtures("in_a_hurry")
@pytest.mark.parametrize("is_stop", [True, False])
def test_a_stop_ends_the_wait_for_an_amount(window: Build, frame: Build, *, is_stop: bool) -> None:
    """A requested stop, or `close`, raises what the store said; no progress is recorded."""
    stop, refused = threading.Event(), threading.Event()
    store = FullStore()
    writer = BatchWriter(
        store,
        DRIVER,
        stop_requested=stop.is_set,
        on_amount_too_large=lambda *_: refused.set(),
    )
    writer.put([WindowUpdate(DRIVER, 0, 1, 5, frame(window()))])
    assert refused.wait(DEADLINE)
    if is_stop:
        stop.set()
    with pytest.raises(AmountTooLargeError, match="total_revenue"):
        (writer.flush if is_stop else writer.close)()
    assert store.progress(DRIVER) == {}
    if is_stop:
        writer.close()
