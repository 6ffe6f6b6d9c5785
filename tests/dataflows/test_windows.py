"""When the panes of a window are emitted, and what they contain."""

from typing import Any

import polars as pl
import pytest

from dataflows.items import ShardPartial
from dataflows.windows import WindowLogic
from mobility.entities import BY_NAME
from mobility.records import WINDOW_SCHEMA, WindowUpdate
from mobility.settings import Settings
from mobility.status import ReadStatus
from tests.dataflows.doubles import Clock, partial, shard_item
from tests.strategies import MINUTE, NOON

SETTINGS = Settings(shards=2)
NEXT = NOON + 5 * MINUTE
OVER = NEXT + 10 * MINUTE  # once the watermark is after this, the window of NOON is dropped

Pane = tuple[str, int, int, str]


def build(clock: Clock, state: dict[str, Any] | None = None) -> WindowLogic:
    """Return the logic of one shard."""
    return WindowLogic(BY_NAME["driver"], SETTINGS, state, clock)


def panes(updates: list[WindowUpdate]) -> list[Pane]:
    """Return the id, minutes after noon, trip count and pane of each emitted row."""
    rows = pl.concat([pl.DataFrame(schema=WINDOW_SCHEMA), *(update.rows for update in updates)])
    minute = (pl.col("window_start") - NOON) // MINUTE
    return rows.select("id", minute, "trip_count", "pane").sort("window_start", "id").rows()


def emitted(logic: WindowLogic, *items: ShardPartial) -> list[Pane]:
    """Return the panes that are emitted for these items."""
    updates, discard = logic.on_batch(list(items))
    assert discard == WindowLogic.RETAIN
    return panes(updates)


def emitted_after_a_second(logic: WindowLogic, clock: Clock) -> list[Pane]:
    """Advance the clock by a second; return the panes that are emitted then."""
    clock.advance(1)
    return panes(logic.on_notify()[0])


def kept(logic: WindowLogic) -> list[int]:
    """Return the window starts in the state."""
    return sorted(
        {start for run in serialized(logic) for start in pl.read_ipc(run)["window_start"]}
    )


def serialized(logic: WindowLogic) -> list[bytes]:
    """Return the runs of the state, as a snapshot has them."""
    state = logic.snapshot()
    return [*state["totals"], *state["pending"]]


def test_a_window_closes_when_the_watermark_reaches_its_end() -> None:
    """The `on_time` pane is emitted once, with the full totals, when the watermark is the end."""
    logic = build(Clock())
    assert emitted(logic, shard_item(partial(("a", NOON), ("b", NOON)), NOON)) == []
    assert emitted(logic, shard_item(partial(("a", NOON)), NEXT - 1)) == []
    assert emitted(logic, shard_item(None, NEXT)) == [
        ("a", 0, 2, "on_time"),
        ("b", 0, 1, "on_time"),
    ]
    assert emitted(logic, shard_item(None, NEXT + 1)) == []


def test_a_late_pane_has_the_full_totals() -> None:
    """It is emitted within a second, for the ids that have grown only."""
    clock = Clock()
    logic = build(clock)
    emitted(logic, shard_item(partial(("a", NOON), ("b", NOON)), NEXT))
    assert emitted(logic, shard_item(partial(("a", NOON)), NEXT)) == []
    assert emitted_after_a_second(logic, clock) == [("a", 0, 2, "late")]
    assert emitted_after_a_second(logic, clock) == []


def test_early_panes_are_emitted_each_second_while_caught_up() -> None:
    """Changes are emitted once a second, not earlier, and not twice."""
    clock = Clock()
    logic = build(clock)
    assert emitted(logic, shard_item(partial(("a", NOON)), NOON, "caught_up")) == []
    assert logic.notify_at() == clock.now.replace(second=1)
    assert emitted_after_a_second(logic, clock) == [("a", 0, 1, "early")]
    assert logic.notify_at() is None
    clock.advance(0.5)
    assert emitted(logic, shard_item(partial(("b", NOON)), NOON, "caught_up")) == []
    clock.advance(0.5)
    assert emitted(logic, shard_item(partial(("c", NOON)), NOON, "caught_up")) == [
        ("b", 0, 1, "early"),
        ("c", 0, 1, "early"),
    ]


def test_while_a_partition_is_behind_only_closed_windows_are_emitted() -> None:
    """One partition that is behind suppresses early panes, but not late ones."""
    clock = Clock()
    logic = build(clock)
    both = (0, 1)
    emitted(logic, shard_item(partial(("a", NOON)), NEXT, "caught_up", partitions=both))
    emitted(logic, shard_item(partial(("b", NEXT)), NEXT, "behind", partition=1, partitions=both))
    assert emitted_after_a_second(logic, clock) == []
    emitted(logic, shard_item(partial(("a", NOON)), NEXT, "behind", partition=1, partitions=both))
    assert emitted_after_a_second(logic, clock) == [("a", 0, 2, "late")]
    emitted(logic, shard_item(None, NEXT, "caught_up", partition=1, partitions=both))
    assert emitted_after_a_second(logic, clock) == [("b", 5, 1, "early")]


def test_nothing_is_emitted_before_every_partition_has_reported() -> None:
    """Neither at the end of input nor after a second."""
    clock = Clock()
    logic = build(clock)
    rows = partial(("a", NOON))
    assert emitted(logic, shard_item(rows, OVER + 1, "caught_up", partitions=(0, 1))) == []
    assert logic.notify_at() is None
    assert emitted_after_a_second(logic, clock) == []
    assert panes(logic.on_eof()[0]) == []
    reported = shard_item(None, None, "caught_up", partition=1, partitions=(0, 1))
    assert emitted(logic, reported) == [("a", 0, 1, "early")]


def test_without_the_watermark_of_a_partition_no_window_closes() -> None:
    """A missing watermark is minus infinity, not zero."""
    logic = build(Clock())
    emitted(logic, shard_item(partial(("a", NOON)), OVER + 1, partitions=(0, 1)))
    assert emitted(logic, shard_item(None, None, partition=1, partitions=(0, 1))) == []


@pytest.mark.parametrize("status", ["idle", "finished"])
def test_an_idle_partition_delays_the_cleanup_but_no_closing(status: ReadStatus) -> None:
    """Closing too early costs a late pane; dropping state too early would make totals wrong."""
    clock = Clock()
    logic = build(clock)
    both = (0, 1)
    inactive = shard_item(partial(("a", NOON)), NOON, status, partition=1, partitions=both)
    assert emitted(logic, inactive, shard_item(None, OVER + 1, partitions=both)) == [
        ("a", 0, 1, "on_time")
    ]
    again = shard_item(partial(("a", NOON)), NOON + 1, "caught_up", partition=1, partitions=both)
    assert emitted(logic, again) == []
    assert emitted_after_a_second(logic, clock) == [("a", 0, 2, "late")]


def test_state_is_dropped_after_the_allowed_lateness() -> None:
    """Exactly when ingest would classify its trips as late; changes are emitted first."""
    logic = build(Clock())
    emitted(logic, shard_item(partial(("a", NOON)), NEXT))
    emitted(logic, shard_item(partial(("a", NOON)), OVER))
    assert kept(logic) == [NOON]
    assert emitted(logic, shard_item(None, OVER + 1)) == [("a", 0, 2, "late")]
    assert kept(logic) == []


def test_a_window_that_opens_and_closes_in_one_batch_is_emitted() -> None:
    """Event time can advance by more than a window in one batch."""
    logic = build(Clock())
    rows = partial(("a", NOON), ("a", OVER + 20 * MINUTE))
    assert emitted(logic, shard_item(rows, OVER + 20 * MINUTE)) == [("a", 0, 1, "on_time")]
    assert kept(logic) == [OVER + 20 * MINUTE]


def test_the_end_of_input_emits_changes_and_closes_nothing() -> None:
    """An open window is emitted as `early`, a closed one as `late`; the state is kept."""
    logic = build(Clock())
    emitted(logic, shard_item(partial(("a", NOON), ("b", NEXT)), NEXT))
    emitted(logic, shard_item(partial(("a", NOON)), NEXT, "finished"))
    assert panes(logic.on_eof()[0]) == [("a", 0, 2, "late"), ("b", 5, 1, "early")]
    assert panes(logic.on_eof()[0]) == []
    assert kept(logic) == [NOON, NEXT]


def test_a_stop_while_behind_does_not_emit_open_windows() -> None:
    """Otherwise a stop with an hour of open windows would take long; the next run emits them."""
    clock = Clock()
    logic = build(clock)
    emitted(logic, shard_item(partial(("a", NOON), ("b", NEXT)), NEXT))
    emitted(logic, shard_item(partial(("a", NOON)), NEXT, "behind"))
    assert panes(logic.on_eof()[0]) == [("a", 0, 2, "late")]
    resumed = build(clock, logic.snapshot())
    emitted(resumed, shard_item(None, NEXT, "caught_up"))
    assert emitted_after_a_second(resumed, clock) == [("b", 5, 1, "early")]


def test_changes_that_are_not_emitted_are_in_the_snapshot() -> None:
    """They are emitted after a resume; what was emitted before is not emitted again."""
    clock = Clock()
    logic = build(clock)
    emitted(logic, shard_item(partial(("emitted", NOON)), NOON, "caught_up"))
    emitted_after_a_second(logic, clock)
    emitted(logic, shard_item(partial(("changed", NOON)), NOON, "caught_up"))
    resumed = build(clock, logic.snapshot())
    assert emitted_after_a_second(resumed, clock) == []
    assert emitted(resumed, shard_item(None, NOON, "caught_up")) == [("changed", 0, 1, "early")]


def test_a_resumed_window_stays_closed() -> None:
    """The `on_time` pane is emitted once, also over a restart."""
    clock = Clock()
    logic = build(clock)
    emitted(logic, shard_item(partial(("a", NOON)), NEXT))
    resumed = build(clock, logic.snapshot())
    assert emitted(resumed, shard_item(partial(("a", NOON)), NEXT)) == []
    assert emitted_after_a_second(resumed, clock) == [("a", 0, 2, "late")]


def test_an_unchanged_run_is_not_serialised_again() -> None:
    """Watermarks arrive all the time; only runs that changed are serialised again."""
    logic = build(Clock())
    emitted(logic, shard_item(partial(("a", NOON)), NOON))
    (before,) = serialized(logic)
    emitted(logic, shard_item(None, NOON + 1))
    (after,) = serialized(logic)
    assert after is before
    resumed = build(Clock(), logic.snapshot())
    emitted(resumed, shard_item(None, NOON + 2))
    (after,) = serialized(resumed)
    assert after is before
    emitted(resumed, shard_item(partial(("a", NOON)), NOON + 2))
    (after,) = serialized(resumed)
    assert after != before


def test_the_watermark_is_emitted_also_without_rows() -> None:
    """Stores get the watermark of a shard within a second; an unchanged one is not emitted."""
    clock = Clock()
    logic = build(clock)
    assert logic.on_batch([ShardPartial(1, shard_item(None, NOON).updates, None)])[0] == []
    clock.advance(1)
    (update,) = logic.on_notify()[0]
    assert (update.watermark, update.shard, update.shards) == (NOON, 1, 2)
    assert update.rows.is_empty()
    assert logic.notify_at() is None
    clock.advance(1)
    assert logic.on_notify()[0] == []
    clock.advance(1)
    (last,) = logic.on_batch([shard_item(None, NOON + 1)])[0]
    assert last.watermark == NOON + 1


def test_many_pending_rows_are_merged() -> None:
    """Memory is bounded by the number of ids, not by the number of batches."""
    logic = build(Clock())
    names = [(f"d{number}", NOON) for number in range(15_000)]
    for _ in range(6):
        emitted(logic, shard_item(partial(*names), NOON))
    assert logic._state._unmerged_rows <= 20_000
    assert sum(run.height for run in logic._state.pending) <= 35_000
    assert {pane[2] for pane in emitted(logic, shard_item(None, NEXT))} == {6}
