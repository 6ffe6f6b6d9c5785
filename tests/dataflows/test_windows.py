"""When a window's panes go out, and what they carry."""

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
OVER = NEXT + 10 * MINUTE  # once the watermark is beyond this, the window of NOON is dropped

Pane = tuple[str, int, int, str]


def build(clock: Clock, state: dict[str, Any] | None = None) -> WindowLogic:
    """Return the logic of one shard."""
    return WindowLogic(BY_NAME["driver"], SETTINGS, state, clock)


def panes(updates: list[WindowUpdate]) -> list[Pane]:
    """Return (id, minutes after noon, trip count, pane) of what goes out."""
    rows = pl.concat([pl.DataFrame(schema=WINDOW_SCHEMA), *(update.rows for update in updates)])
    minute = (pl.col("window_start") - NOON) // MINUTE
    return rows.select("id", minute, "trip_count", "pane").sort("window_start", "id").rows()


def emitted(logic: WindowLogic, *items: ShardPartial) -> list[Pane]:
    """Return the panes that go out at once."""
    updates, discard = logic.on_batch(list(items))
    assert discard == WindowLogic.RETAIN
    return panes(updates)


def ring(logic: WindowLogic, clock: Clock) -> list[Pane]:
    """Let a second pass; return the panes that go out by the clock."""
    clock.go(1)
    return panes(logic.on_notify()[0])


def kept(logic: WindowLogic) -> list[int]:
    """Return the starts of the windows in the state."""
    return sorted(
        {start for run in serialized(logic) for start in pl.read_ipc(run)["window_start"]}
    )


def serialized(logic: WindowLogic) -> list[bytes]:
    """Return the runs of the state, as a snapshot has them."""
    state = logic.snapshot()
    return [*state["totals"], *state["pending"]]


def test_a_window_goes_out_when_the_watermark_passes_its_end() -> None:
    """On time is once, whole, at a watermark of exactly the end, and not a millisecond before."""
    logic = build(Clock())
    assert emitted(logic, shard_item(partial(("a", NOON), ("b", NOON)), NOON)) == []
    assert emitted(logic, shard_item(partial(("a", NOON)), NEXT - 1)) == []
    assert emitted(logic, shard_item(None, NEXT)) == [
        ("a", 0, 2, "on_time"),
        ("b", 0, 1, "on_time"),
    ]
    assert emitted(logic, shard_item(None, NEXT + 1)) == []


def test_what_comes_after_closing_goes_out_as_a_late_pane_with_the_full_totals() -> None:
    """A late pane is sent by the clock, only for the ids that grew, with everything so far."""
    clock = Clock()
    logic = build(clock)
    emitted(logic, shard_item(partial(("a", NOON), ("b", NOON)), NEXT))
    assert emitted(logic, shard_item(partial(("a", NOON)), NEXT)) == []
    assert ring(logic, clock) == [("a", 0, 2, "late")]
    assert ring(logic, clock) == []


def test_early_panes_go_out_each_second_while_caught_up() -> None:
    """What changed goes out once a second, not before, and not again."""
    clock = Clock()
    logic = build(clock)
    assert emitted(logic, shard_item(partial(("a", NOON)), NOON, "caught_up")) == []
    assert logic.notify_at() == clock.now.replace(second=1)
    assert ring(logic, clock) == [("a", 0, 1, "early")]
    assert logic.notify_at() is None
    clock.go(0.5)
    assert emitted(logic, shard_item(partial(("b", NOON)), NOON, "caught_up")) == []
    clock.go(0.5)
    assert emitted(logic, shard_item(partial(("c", NOON)), NOON, "caught_up")) == [
        ("b", 0, 1, "early"),
        ("c", 0, 1, "early"),
    ]


def test_while_a_partition_is_behind_only_closed_windows_go_out() -> None:
    """One partition behind is enough to hold early panes back; a late one isn't early."""
    clock = Clock()
    logic = build(clock)
    both = (0, 1)
    emitted(logic, shard_item(partial(("a", NOON)), NEXT, "caught_up", partitions=both))
    emitted(logic, shard_item(partial(("b", NEXT)), NEXT, "behind", partition=1, partitions=both))
    assert ring(logic, clock) == []
    emitted(logic, shard_item(partial(("a", NOON)), NEXT, "behind", partition=1, partitions=both))
    assert ring(logic, clock) == [("a", 0, 2, "late")]
    emitted(logic, shard_item(None, NEXT, "caught_up", partition=1, partitions=both))
    assert ring(logic, clock) == [("b", 5, 1, "early")]


def test_nothing_goes_out_before_every_partition_has_spoken() -> None:
    """Also the end of input and the clock are silent until then."""
    clock = Clock()
    logic = build(clock)
    rows = partial(("a", NOON))
    assert emitted(logic, shard_item(rows, OVER + 1, "caught_up", partitions=(0, 1))) == []
    assert logic.notify_at() is None
    assert ring(logic, clock) == []
    assert panes(logic.on_eof()[0]) == []
    spoken = shard_item(None, None, "caught_up", partition=1, partitions=(0, 1))
    assert emitted(logic, spoken) == [("a", 0, 1, "early")]


def test_a_partition_without_a_watermark_moves_nothing() -> None:
    """Unheard means minus infinity, not zero."""
    logic = build(Clock())
    emitted(logic, shard_item(partial(("a", NOON)), OVER + 1, partitions=(0, 1)))
    assert emitted(logic, shard_item(None, None, partition=1, partitions=(0, 1))) == []


@pytest.mark.parametrize("status", ["idle", "finished"])
def test_who_has_nothing_to_say_holds_up_dropping_but_no_closing(status: ReadStatus) -> None:
    """Closing costs at most a late pane; dropping too early would cost numbers."""
    clock = Clock()
    logic = build(clock)
    both = (0, 1)
    silent = shard_item(partial(("a", NOON)), NOON, status, partition=1, partitions=both)
    assert emitted(logic, silent, shard_item(None, OVER + 1, partitions=both)) == [
        ("a", 0, 1, "on_time")
    ]
    again = shard_item(partial(("a", NOON)), NOON + 1, "caught_up", partition=1, partitions=both)
    assert emitted(logic, again) == []
    assert ring(logic, clock) == [("a", 0, 2, "late")]


def test_state_is_dropped_once_all_partitions_are_past_the_allowed_lateness() -> None:
    """Dropping is exactly where intake calls a trip late, and sends first what is unsent."""
    logic = build(Clock())
    emitted(logic, shard_item(partial(("a", NOON)), NEXT))
    emitted(logic, shard_item(partial(("a", NOON)), OVER))
    assert kept(logic) == [NOON]
    assert emitted(logic, shard_item(None, OVER + 1)) == [("a", 0, 2, "late")]
    assert kept(logic) == []


def test_a_window_that_comes_and_goes_in_one_batch_is_sent() -> None:
    """A leap of event time over a whole window loses none of it."""
    logic = build(Clock())
    rows = partial(("a", NOON), ("a", OVER + 20 * MINUTE))
    assert emitted(logic, shard_item(rows, OVER + 20 * MINUTE)) == [("a", 0, 1, "on_time")]
    assert kept(logic) == [OVER + 20 * MINUTE]


def test_the_end_of_input_sends_what_is_unsent_and_closes_nothing() -> None:
    """An open window goes out as early, a closed one as late; state stays for the next run."""
    logic = build(Clock())
    emitted(logic, shard_item(partial(("a", NOON), ("b", NEXT)), NEXT))
    emitted(logic, shard_item(partial(("a", NOON)), NEXT, "finished"))
    assert panes(logic.on_eof()[0]) == [("a", 0, 2, "late"), ("b", 5, 1, "early")]
    assert panes(logic.on_eof()[0]) == []
    assert kept(logic) == [NOON, NEXT]


def test_a_stop_while_behind_leaves_open_windows_to_the_snapshot() -> None:
    """An hour of open windows would make the stop last; the next run sends them in its turn."""
    clock = Clock()
    logic = build(clock)
    emitted(logic, shard_item(partial(("a", NOON), ("b", NEXT)), NEXT))
    emitted(logic, shard_item(partial(("a", NOON)), NEXT, "behind"))
    assert panes(logic.on_eof()[0]) == [("a", 0, 2, "late")]
    resumed = build(clock, logic.snapshot())
    emitted(resumed, shard_item(None, NEXT, "caught_up"))
    assert ring(resumed, clock) == [("b", 5, 1, "early")]


def test_what_is_changed_but_unsent_survives_a_snapshot() -> None:
    """After a resume it goes out as if nothing had happened, and what was sent does not."""
    clock = Clock()
    logic = build(clock)
    emitted(logic, shard_item(partial(("sent", NOON)), NOON, "caught_up"))
    ring(logic, clock)
    emitted(logic, shard_item(partial(("unsent", NOON)), NOON, "caught_up"))
    resumed = build(clock, logic.snapshot())
    assert ring(resumed, clock) == []
    assert emitted(resumed, shard_item(None, NOON, "caught_up")) == [("unsent", 0, 1, "early")]


def test_a_resumed_window_stays_closed() -> None:
    """On time is said once, also over a restart."""
    clock = Clock()
    logic = build(clock)
    emitted(logic, shard_item(partial(("a", NOON)), NEXT))
    resumed = build(clock, logic.snapshot())
    assert emitted(resumed, shard_item(partial(("a", NOON)), NEXT)) == []
    assert ring(resumed, clock) == [("a", 0, 2, "late")]


def test_an_unchanged_state_is_not_serialised_again() -> None:
    """WatermarkTracker come all the time; only what grew or was sent is written anew."""
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


def test_the_watermark_travels_also_without_rows() -> None:
    """Stores learn at most a second late how far the shard has got; repeats are not sent."""
    clock = Clock()
    logic = build(clock)
    assert logic.on_batch([ShardPartial(1, shard_item(None, NOON).updates, None)])[0] == []
    clock.go(1)
    (update,) = logic.on_notify()[0]
    assert (update.watermark, update.shard, update.shards) == (NOON, 1, 2)
    assert update.rows.is_empty()
    assert logic.notify_at() is None
    clock.go(1)
    assert logic.on_notify()[0] == []
    clock.go(1)
    (last,) = logic.on_batch([shard_item(None, NOON + 1)])[0]
    assert last.watermark == NOON + 1


def test_many_pending_rows_are_merged_before_anybody_asks() -> None:
    """Memory is bound by the number of ids, not by the number of batches."""
    logic = build(Clock())
    names = [(f"d{number}", NOON) for number in range(15_000)]
    for _ in range(6):
        emitted(logic, shard_item(partial(*names), NOON))
    assert logic._state._unmerged_rows <= 20_000
    assert sum(run.height for run in logic._state.pending) <= 35_000
    assert {pane[2] for pane in emitted(logic, shard_item(None, NEXT))} == {6}
