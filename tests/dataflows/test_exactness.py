"""The last pane of every window equals the batch answer over the log.

For any batches, order in which partitions are read, statuses, number of shards and clock, and
wherever the flow is ended and resumed.
"""

from typing import Any, Final

import msgspec
import polars as pl
import pytest
from confluent_kafka import Message
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from dataflows.ingest import PartitionIngest
from dataflows.items import ShardPartial
from dataflows.windows import WindowLogic
from mobility.entities import BY_NAME, Entity
from mobility.records import PARTIAL_SCHEMA, WINDOW_SCHEMA, WindowUpdate
from mobility.settings import Settings
from mobility.status import ReadStatus
from mobility.totals import merge_totals, partial_totals, split_by_shard
from tests.dataflows.doubles import Clock, FakeMessage, as_messages, batch_answer, ingest, log_of
from tests.strategies import MINUTE, NOON, Entry, batches, interleaved, logs, shard_counts

DRIVER: Final = BY_NAME["driver"]

State = tuple[list[dict[str, Any]], list[dict[str, Any]]]


class Run:
    """One run of the flow, step by step: batches, partial sums, one window logic a shard."""

    def __init__(
        self, partitions: int, entity: Entity, settings: Settings, clock: Clock, state: State | None
    ) -> None:
        self._all = tuple(range(partitions))
        self._entity = entity
        self._settings = settings
        self.ingests = [PartitionIngest(number, settings) for number in self._all]
        states: list[dict[str, Any] | None] = [None] * settings.shards
        if state is not None:
            for each, stored in zip(self.ingests, state[0], strict=True):
                each.resume(stored)
            states = list(state[1])
        self.shards = [WindowLogic(entity, settings, each, clock) for each in states]

    def take(
        self, partition: int, messages: list[Message], status: ReadStatus
    ) -> list[WindowUpdate]:
        """Process one batch of a partition up to the windows."""
        batch = ingest(self.ingests[partition], messages, status, self._all)
        parts = split_by_shard(partial_totals(batch.trips, self._entity), self._settings.shards)
        return [
            update
            for shard, logic in enumerate(self.shards)
            for update in self._apply(logic, ShardPartial(shard, (batch.update,), parts.get(shard)))
        ]

    def _apply(self, logic: WindowLogic, item: ShardPartial) -> list[WindowUpdate]:
        updates, discard = logic.on_batch([item])
        assert not discard
        return list(updates)

    def notify(self) -> list[WindowUpdate]:
        """Notify each shard that asked for it."""
        due = [logic for logic in self.shards if logic.notify_at() is not None]
        return [update for logic in due for update in logic.on_notify()[0]]

    def end(self) -> list[WindowUpdate]:
        """End the input."""
        return [update for logic in self.shards for update in logic.on_eof()[0]]

    def snapshot(self) -> State:
        """Return the state of all steps, as at the end of an epoch."""
        ingests = [each.snapshot() for each in self.ingests]
        return ingests, [logic.snapshot() for logic in self.shards]


def last_panes(updates: list[WindowUpdate]) -> pl.DataFrame:
    """Return the last pane of each id and window."""
    rows = pl.concat([pl.DataFrame(schema=WINDOW_SCHEMA), *(update.rows for update in updates)])
    last = rows.unique(["id", "window_start"], keep="last", maintain_order=True)
    return last.select(*PARTIAL_SCHEMA).sort("id", "window_start")


def assert_complete_windows_are_final(updates: list[WindowUpdate], settings: Settings) -> None:
    """Assert that a window which is complete by the watermark of an update never changes again."""
    horizon = settings.window_ms + settings.allowed_lateness * 1_000
    for number, update in enumerate(updates):
        if update.watermark is None:
            continue
        over = pl.col("window_start") + horizon < update.watermark
        later = [u.rows.filter(over) for u in updates[number + 1 :] if u.shard == update.shard]
        assert sum(rows.height for rows in later) == 0


statuses: st.SearchStrategy[ReadStatus] = st.sampled_from(("behind", "caught_up", "idle"))


CENTURY: Final = 3_155_760_000
GREATEST: Final = Settings(
    window=2_678_400,
    out_of_orderness=CENTURY,
    allowed_lateness=CENTURY,
    future_tolerance=CENTURY,
    early_every=CENTURY,
)


@pytest.mark.parametrize("settings", [Settings(), GREATEST], ids=["default", "greatest"])
@given(st.data(), logs(), shard_counts, st.sampled_from(("driver", "vehicle_type")))
def test_the_last_panes_are_the_batch_answer(
    settings: Settings, data: st.DataObject, log: list[list[Entry]], shards: int, name: str
) -> None:
    """For any batches, order, statuses, shards and clock; also with the greatest settings."""
    settings = msgspec.structs.replace(settings, shards=shards)
    entity, clock = BY_NAME[name], Clock()
    lanes = [data.draw(batches(log_of(entries))) for entries in log]
    run = Run(len(log), entity, settings, clock, None)
    updates: list[WindowUpdate] = []
    for partition, messages in data.draw(interleaved(lanes)):
        clock.advance(data.draw(st.sampled_from((0, 0.4, 1, 90))))
        updates += run.take(partition, messages, data.draw(statuses))
        updates += run.notify() if data.draw(st.booleans()) else []
    for partition in range(len(log)):
        updates += run.take(partition, [], "finished")
    updates += run.end()
    assert_frame_equal(last_panes(updates), batch_answer(log, entity, settings))
    assert_complete_windows_are_final(updates, settings)


LATE: Final = Entry(NOON, "t1", "d1", "car", 5)
FAR_ON: Final = Entry(NOON + 600 * MINUTE, punctuation=True)
REJECTED: Final = [FakeMessage(b"{}", 0), FakeMessage(None, 1), FakeMessage(b"x", 2)]
DEGENERATE: Final = {
    "nothing": ([], []),
    "rejected messages": ([], REJECTED),
    "punctuations": ([FAR_ON, FAR_ON], []),
    "late trips": ([FAR_ON, LATE, LATE], []),
    "trips without an id": ([Entry(NOON, "t1", None, "car", 5)], []),
}


@pytest.mark.parametrize("name", DEGENERATE)
@pytest.mark.parametrize("partitions", [1, 3])
def test_logs_without_a_counted_trip_have_no_windows(name: str, partitions: int) -> None:
    """Each frame has its schema, also with a snapshot after every batch."""
    entries, rejected = DEGENERATE[name]
    settings, clock = Settings(shards=2), Clock()
    state, updates = None, list[WindowUpdate]()
    statuses_in_turn: tuple[ReadStatus, ...] = ("behind", "idle", "finished")
    for status in statuses_in_turn:
        for partition in range(partitions):
            run = Run(partitions, DRIVER, settings, clock, state)
            messages = as_messages(rejected) if rejected else log_of(entries)
            updates += run.take(partition, messages if status == "behind" else [], status)
            clock.advance(2)
            updates += run.notify() + run.end()
            state = run.snapshot()
    assert all(update.rows.schema == WINDOW_SCHEMA for update in updates)
    answer = batch_answer([entries] * partitions, DRIVER, settings)
    assert answer.schema == PARTIAL_SCHEMA
    assert_frame_equal(last_panes(updates), answer)
    nothing = partial_totals(ingested_nothing(settings), DRIVER)
    assert merge_totals([nothing]).schema == merge_totals([]).schema == PARTIAL_SCHEMA


def ingested_nothing(settings: Settings) -> pl.DataFrame:
    """Return the trips of a batch without messages."""
    return ingest(PartitionIngest(0, settings), [], "behind", (0,)).trips


@given(st.data(), logs(most=3), shard_counts)
def test_crashes_and_resumes_change_no_total(
    data: st.DataObject, log: list[list[Entry]], shards: int
) -> None:
    """After a crash the flow resumes at the last snapshot, and the last panes are the same."""
    settings, entity, clock = Settings(shards=shards), BY_NAME["driver"], Clock()
    streams = [log_of(entries) for entries in log]
    run = Run(len(log), entity, settings, clock, None)
    state, updates = run.snapshot(), list[WindowUpdate]()
    for _ in range(data.draw(st.integers(0, 12))):
        partition = data.draw(st.integers(0, len(log) - 1))
        start = run.ingests[partition].next_offset or 0
        clock.advance(data.draw(st.sampled_from((0, 1))))
        batch = streams[partition][start : start + data.draw(st.integers(0, 9))]
        updates += run.take(partition, batch, data.draw(statuses))
        match data.draw(st.sampled_from(("go on", "go on", "snapshot", "crash", "stop"))):
            case "snapshot":
                state = run.snapshot()
            case "crash":
                run = Run(len(log), entity, settings, clock, state)
            case "stop":
                updates += run.end()
                state = run.snapshot()
                run = Run(len(log), entity, settings, clock, state)
            case _:
                pass
    for partition, stream in enumerate(streams):
        rest = stream[run.ingests[partition].next_offset or 0 :]
        updates += run.take(partition, rest, "finished")
    updates += run.end()
    newest = pl.concat([pl.DataFrame(schema=WINDOW_SCHEMA), *(u.rows for u in updates)])
    newest = newest.sort("trip_count", maintain_order=True)
    best = newest.unique(["id", "window_start"], keep="last", maintain_order=True)
    best = best.select(*PARTIAL_SCHEMA).sort("id", "window_start")
    assert_frame_equal(best, batch_answer(log, entity, settings))
