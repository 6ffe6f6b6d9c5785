"""Partitions that are idle for long get the watermark of the active ones, as a punctuation."""

from dataflows.idle_punctuator import IdlePunctuator
from dataflows.items import Punctuation, WatermarkUpdate
from mobility.settings import Settings
from mobility.status import ReadStatus
from tests.dataflows.doubles import Clock
from tests.strategies import NOON


def update(
    partition: int, watermark: int | None, status: ReadStatus, partitions: tuple[int, ...] = (0, 1)
) -> WatermarkUpdate:
    """Return a watermark update of a partition."""
    return WatermarkUpdate(partition, watermark, status, partitions)


def logic_of(clock: Clock, *updates: WatermarkUpdate) -> IdlePunctuator:
    """Return the logic after these updates."""
    logic = IdlePunctuator(Settings(punctuate_after=600), clock)
    assert logic.on_batch(list(updates)) == ([], IdlePunctuator.RETAIN)
    return logic


def test_a_long_idle_partition_gets_the_minimum_of_the_active_ones() -> None:
    """Ten minutes after it became idle, and every ten minutes from then on."""
    clock = Clock()
    logic = logic_of(clock, update(0, NOON, "caught_up"), update(1, 5, "idle"))
    start = clock.now
    clock.advance(599)
    assert logic.on_notify()[0] == []
    due = logic.notify_at()
    assert due is not None
    assert (due - start).total_seconds() == 600
    clock.advance(1)
    assert logic.on_notify()[0] == [Punctuation(1, NOON)]
    assert logic.on_notify()[0] == []
    clock.advance(600)
    assert logic.on_notify()[0] == [Punctuation(1, NOON)]


def test_a_partition_without_trips_is_punctuated() -> None:
    """Otherwise an empty partition would keep all window state for ever."""
    clock = Clock()
    logic = logic_of(clock, update(0, NOON, "behind"), update(1, None, "idle"))
    clock.advance(600)
    assert logic.on_notify()[0] == [Punctuation(1, NOON)]


def test_no_punctuation_is_written_without_a_higher_watermark() -> None:
    """No active partition, one without a watermark or not yet reported, or nothing higher."""
    clock = Clock()
    for updates in (
        [update(0, NOON, "idle"), update(1, 5, "idle")],
        [update(0, NOON, "caught_up"), update(1, NOON, "idle")],
        [update(0, None, "caught_up"), update(1, 5, "idle")],
        [update(0, NOON, "caught_up", (0, 1, 2)), update(1, 5, "idle", (0, 1, 2))],
    ):
        logic = logic_of(clock, *updates)
        clock.advance(600)
        assert logic.on_notify()[0] == []


def test_a_partition_with_messages_is_not_idle() -> None:
    """A message ends the idle time; it starts again when the partition becomes idle again."""
    clock = Clock()
    logic = logic_of(clock, update(0, NOON, "caught_up"), update(1, 5, "idle"))
    clock.advance(300)
    logic.on_batch([update(1, 6, "caught_up")])
    assert logic.notify_at() is None
    clock.advance(300)
    logic.on_batch([update(1, 6, "idle")])
    assert logic.on_notify()[0] == []
    clock.advance(600)
    assert logic.on_notify()[0] == [Punctuation(1, NOON)]
    assert logic.snapshot() is None  # type: ignore[func-returns-value]  # that it is None is the claim
