"""The sinks in a Bytewax flow, on real stores."""

from typing import Any

import msgspec
import polars as pl
import pytest
from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSource, cluster_main, run_main
from polars.testing import assert_frame_equal

from mobility.entities import BY_NAME, Entity
from mobility.records import WINDOW_SCHEMA, WindowUpdate
from mobility.settings import Settings
from sinks import SinkContext, StoreSink, store_sinks
from sinks.batch_writer import BatchWriter
from sinks.postgres import connect_postgres
from sinks.redis import connect_redis
from sinks.store import TOTALS_SCHEMA, ApplyResult
from sinks.store_sink import StorePartition
from tests.sinks.following import redis_totals
from tests.sinks.memory_store import MemoryStore

DRIVER = BY_NAME["driver"]
SHARDS = 12

Build = Any
Items = list[tuple[str, WindowUpdate]]


def flow_of(settings: Settings, items: Items) -> Dataflow:
    """Return a flow that writes the items to the stores of the settings."""
    flow = Dataflow("sinks")
    updates = op.input("updates", flow, TestingSource(items))
    for name, sink in store_sinks(settings, DRIVER, "main"):
        op.output(name, updates, sink)
    return flow


def items_of(window: Build, frame: Build) -> Items:
    """Return windows of twelve ids in twelve shards, as early panes and then on time."""
    return [
        (
            f"{shard:02}",
            WindowUpdate(
                DRIVER,
                shard,
                SHARDS,
                1_000 * count + shard,
                frame(
                    window(f"d{shard}", trip_count=count, total_duration=count * 10**6, pane=pane)
                ),
            ),
        )
        for count, pane in ((1, "early"), (2, "early"), (2, "on_time"))
        for shard in range(SHARDS)
    ]


@pytest.mark.services
def test_a_flow_fills_both_stores(settings: Settings, window: Build, frame: Build) -> None:
    """Two workers and a replay of the whole input: both stores count each window once."""
    settings = msgspec.structs.replace(settings, shards=SHARDS, stores=("redis", "postgres"))
    items = items_of(window, frame)
    cluster_main(flow_of(settings, items), [], 0, worker_count_per_proc=2)  # type: ignore[no-untyped-call] # Bytewax has no annotations there
    run_main(flow_of(settings, items))  # type: ignore[no-untyped-call] # as above
    expected = MemoryStore()
    expected.apply(DRIVER, pl.concat([update.rows for _, update in items[-SHARDS:]]))
    store = connect_postgres(settings, "main")
    assert_frame_equal(store.totals(DRIVER), expected.totals(DRIVER))
    assert_frame_equal(store.windows(DRIVER), expected.windows(DRIVER))
    assert store.progress(DRIVER) == {shard: 2_000 + shard for shard in range(SHARDS)}
    store.close()
    in_redis = redis_totals(settings, DRIVER).select(TOTALS_SCHEMA.names())
    assert_frame_equal(in_redis, expected.totals(DRIVER))


@pytest.mark.parametrize("shards", [1, 4, 10, 11, 101])
def test_a_key_maps_to_its_partition(shards: int) -> None:
    """A shard's number, padded or not, is its index in the sorted list of partitions."""
    sink = StoreSink(msgspec.structs.replace(Settings(), shards=shards), DRIVER, "main")
    parts = sink.list_parts()
    assert parts == sorted(parts)
    for shard, part in enumerate(parts):
        assert parts[sink.part_fn(part)] == part
        assert sink.part_fn(f"{shard:02}") == shard
    with pytest.raises(ValueError, match="MOBILITY_SHARDS"):
        sink.part_fn(str(shards))


def test_there_is_one_sink_for_both_stores() -> None:
    """Its name has the names of the stores; without stores there is no sink."""
    both = msgspec.structs.replace(Settings(), stores=("redis", "postgres"))
    assert [name for name, _ in store_sinks(both, DRIVER, "main")] == ["postgres_redis"]
    one = msgspec.structs.replace(Settings(), stores=("redis",))
    assert [name for name, _ in store_sinks(one, DRIVER, "main")] == ["redis"]
    assert store_sinks(Settings(), DRIVER, "main") == []


def test_progress_is_recorded_after_the_rows(window: Build, frame: Build) -> None:
    """A watermark is recorded after the rows before it, also where there are none."""
    calls: list[str] = []

    class RecordingStore(MemoryStore):
        def apply(self, entity: Entity, rows: pl.DataFrame) -> ApplyResult:
            calls.append("apply")
            return super().apply(entity, rows)

        def record_progress(
            self, entity: Entity, shard: int, shards: int, watermark: int | None
        ) -> None:
            calls.append("progress")
            super().record_progress(entity, shard, shards, watermark)

    store = RecordingStore()
    writer = BatchWriter(store, DRIVER)
    partition = StorePartition(writer, writer.close, SinkContext())
    empty = pl.DataFrame(schema=WINDOW_SCHEMA)
    partition.write_batch(
        [
            WindowUpdate(DRIVER, 0, 1, 5_000, frame(window(trip_count=2))),
            WindowUpdate(DRIVER, 0, 1, None, frame(window(trip_count=1))),
        ]
    )
    partition.snapshot()
    partition.write_batch([WindowUpdate(DRIVER, 0, 1, 6_000, empty)])
    partition.snapshot()
    assert calls == ["apply", "progress", "progress"]
    assert store.progress(DRIVER) == {0: 6_000}
    assert store.totals(DRIVER)["trip_count"].to_list() == [2]


@pytest.mark.services
def test_windows_that_are_too_old_are_reported(
    redis_only: Settings, window: Build, frame: Build, caplog: pytest.LogCaptureFixture
) -> None:
    """A window that is too old for the ledger of Redis is counted in a log message."""
    writer = BatchWriter(connect_redis(redis_only, "main"), DRIVER)
    partition = StorePartition(writer, writer.close, SinkContext())
    for at in (9_999, 0):
        partition.write_batch([WindowUpdate(DRIVER, 0, 1, None, frame(window(at=at)))])
        partition.snapshot()
    partition.close()
    assert "redis has not counted 1 windows of driver" in caplog.text
