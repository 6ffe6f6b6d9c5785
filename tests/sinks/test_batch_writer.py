"""The thread that writes what an entity's partitions are given."""

import threading
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from mobility.entities import BY_NAME, Entity
from mobility.records import WINDOW_SCHEMA, WindowUpdate
from sinks import batch_writer as feeds
from sinks.batch_writer import Feed
from sinks.memory import MemoryStore
from sinks.store import Applied, StoreError
from tests.dataflows.conftest import until

DRIVER = BY_NAME["driver"]
EMPTY = pl.DataFrame(schema=WINDOW_SCHEMA)
Build = Any


class Held(MemoryStore):
    """A store that begins its first write and goes on when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[int | tuple[int, int | None]] = []
        self.has_begun = threading.Event()
        self.may_go_on = threading.Event()
        self.is_closed = False

    def apply(self, entity: Entity, rows: pl.DataFrame, unseen: Collection[str] = ()) -> Applied:
        """Apply rows; note how many."""
        self.has_begun.set()
        assert self.may_go_on.wait(30)
        self.calls.append(rows.height)
        return super().apply(entity, rows, unseen)

    def record_progress(
        self, entity: Entity, shard: int, shards: int, watermark: int | None
    ) -> None:
        """Record; note the shard and watermark."""
        self.calls.append((shard, watermark))
        super().record_progress(entity, shard, shards, watermark)

    def close(self) -> None:
        """Note it."""
        self.is_closed = True


class Broken(MemoryStore):
    """A store that refuses everything."""

    def apply(self, entity: Entity, rows: pl.DataFrame, unseen: Collection[str] = ()) -> Applied:
        """Refuse."""
        del entity, rows, unseen
        msg = "no"
        raise StoreError(msg)


def test_what_waits_is_written_together(window: Build, frame: Build) -> None:
    """Of a window that changed again while the store was busy the last pane alone is written."""
    store = Held()
    feed = Feed([store], DRIVER)
    feed.put([WindowUpdate(DRIVER, 0, 3, 1_000, frame(window("a")))])
    assert store.has_begun.wait(30)
    for count in range(2, 5):
        feed.put([WindowUpdate(DRIVER, 0, 3, 1_000 * count, frame(window("a", trip_count=count)))])
        feed.put([WindowUpdate(DRIVER, 2, 3, None, frame(window("c", trip_count=count)))])
    store.may_go_on.set()
    feed.flush()
    assert store.calls == [1, (0, 1_000), 2, (0, 4_000), (2, None)]
    assert store.totals(DRIVER)["trip_count"].to_list() == [4, 4]
    feed.close()
    assert store.is_closed


def test_a_watermark_is_recorded_once() -> None:
    """The same again is not written, a new layout of the shards is."""
    store = Held()
    store.may_go_on.set()
    feed = Feed([store], DRIVER)
    for shards in (1, 1, 2):
        feed.put([WindowUpdate(DRIVER, 0, shards, 5, EMPTY)])
        feed.flush()
    feed.close()
    assert store.calls == [(0, 5), (0, 5)]
    assert len(store.progress(DRIVER)) == 2


def test_flush_waits_for_the_commit(window: Build, frame: Build) -> None:
    """A snapshot is not over before everything that was put is in the store."""
    store = Held()
    feed = Feed([store], DRIVER)
    feed.put([WindowUpdate(DRIVER, 0, 1, 1, frame(window()))])
    flushing = threading.Thread(target=feed.flush)
    flushing.start()
    flushing.join(0.2)
    assert flushing.is_alive()
    store.may_go_on.set()
    flushing.join(30)
    assert not flushing.is_alive()
    assert store.calls == [1, (0, 1)]
    feed.close()


def test_who_brings_too_much_waits(
    window: Build, frame: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no room the flow stands still until the store has taken something."""
    monkeypatch.setattr(feeds, "ROOM", 2)
    store = Held()
    feed = Feed([store], DRIVER)

    def put_all() -> None:
        for at in range(6):
            feed.put([WindowUpdate(DRIVER, 0, 1, at, frame(window(at=at)))])

    putting = threading.Thread(target=put_all)
    putting.start()
    assert store.has_begun.wait(30)
    putting.join(0.2)
    assert putting.is_alive()
    store.may_go_on.set()
    putting.join(30)
    feed.flush()
    assert store.windows(DRIVER).height == 6
    feed.close()


def test_close_writes_what_waits(window: Build, frame: Build) -> None:
    """Nothing that was put is lost without a snapshot."""
    store = Held()
    store.may_go_on.set()
    feed = Feed([store], DRIVER)
    feed.put([WindowUpdate(DRIVER, 0, 1, 1, frame(window()))])
    feed.close()
    assert store.calls == [1, (0, 1)]


def test_a_failure_is_told(window: Build, frame: Build) -> None:
    """It ends each later call, and a close that nobody was told before; nothing is recorded."""
    update = WindowUpdate(DRIVER, 0, 1, 1, frame(window()))
    store = Broken()
    feed = Feed([store], DRIVER)
    feed.put([update])
    for call in (feed.flush, feed.flush, lambda: feed.put([update])):
        with pytest.raises(StoreError, match="no"):
            call()
    feed.close()
    assert store.progress(DRIVER) == {}

    feed = Feed([Broken()], DRIVER)
    feed.put([update])
    with pytest.raises(StoreError, match="no"):
        feed.close()


def test_the_first_store_takes_the_next_batch_meanwhile(
    window: Build, frame: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second has batches in the same order, and progress comes after both have the rows."""
    monkeypatch.setattr(feeds, "AT_ONCE", 1)
    first, second = Held(), Held()
    feed = Feed([first, second], DRIVER)
    for at in range(3):
        feed.put([WindowUpdate(DRIVER, 0, 1, at, frame(window(at=at)))])
    first.may_go_on.set()
    assert second.has_begun.wait(30)
    until(lambda: first.calls == [1, 1])
    assert second.calls == []
    flushing = threading.Thread(target=feed.flush)
    flushing.start()
    flushing.join(0.2)
    assert flushing.is_alive()
    second.may_go_on.set()
    flushing.join(30)
    assert not flushing.is_alive()
    assert second.calls == [1, (0, 0), 1, (0, 1), 1, (0, 2)]
    assert [call for call in first.calls if call != 1] == [(0, 0), (0, 1), (0, 2)]
    assert first.windows(DRIVER).equals(second.windows(DRIVER))
    feed.close()
    assert first.is_closed
    assert second.is_closed


def test_the_second_store_is_told_what_the_first_had_never_seen(
    window: Build, frame: Build
) -> None:
    """So that it need not ask for what there can't be."""

    class Watched(Held):
        def apply(
            self, entity: Entity, rows: pl.DataFrame, unseen: Collection[str] = ()
        ) -> Applied:
            told.append([*unseen])
            return replace(super().apply(entity, rows), unseen=("d2",))

    told: list[list[str]] = []
    first, second = Watched(), Watched()
    for store in (first, second):
        store.may_go_on.set()
    feed = Feed([first, second], DRIVER)
    feed.put([WindowUpdate(DRIVER, 0, 1, 5, frame(window("d1"), window("d2")))])
    feed.flush()
    assert told == [[], ["d2"]]
    feed.close()


def test_what_the_second_store_raises_reaches_the_flow(window: Build, frame: Build) -> None:
    """No watermark is recorded for rows that it lacks."""
    first = Held()
    first.may_go_on.set()
    feed = Feed([first, Broken()], DRIVER)
    feed.put([WindowUpdate(DRIVER, 0, 1, 5, frame(window()))])
    with pytest.raises(StoreError, match="no"):
        feed.flush()
    assert first.calls == [1]
    feed.close()
