"""Who is quiet for long is given the others' event time, in the log."""

from dataflows.idle_punctuator import IdlePunctuator
from dataflows.items import Punctuation, WatermarkUpdate
from mobility.settings import Settings
from mobility.status import ReadStatus
from tests.dataflows.doubles import Clock
from tests.strategies import NOON


def heard(
    partition: int, watermark: int | None, status: ReadStatus, peers: tuple[int, ...] = (0, 1)
) -> WatermarkUpdate:
    """Return what a partition says."""
    return WatermarkUpdate(partition, watermark, status, peers)


def logic_of(clock: Clock, *words: WatermarkUpdate) -> IdlePunctuator:
    """Return the logic after these words."""
    logic = IdlePunctuator(Settings(punctuate_after=600), clock)
    assert logic.on_batch(list(words)) == ([], IdlePunctuator.RETAIN)
    return logic


def test_a_partition_idle_for_long_gets_the_speaking_ones_minimum() -> None:
    """Ten minutes after it fell idle, and each ten minutes from then on."""
    clock = Clock()
    logic = logic_of(clock, heard(0, NOON, "caught_up"), heard(1, 5, "idle"))
    begun = clock.now
    clock.go(599)
    assert logic.on_notify()[0] == []
    due = logic.notify_at()
    assert due is not None
    assert (due - begun).total_seconds() == 600
    clock.go(1)
    assert logic.on_notify()[0] == [Punctuation(1, NOON)]
    assert logic.on_notify()[0] == []
    clock.go(600)
    assert logic.on_notify()[0] == [Punctuation(1, NOON)]


def test_a_partition_that_never_had_a_trip_is_punctuated_too() -> None:
    """Without that, an empty partition would keep all state for ever."""
    clock = Clock()
    logic = logic_of(clock, heard(0, NOON, "behind"), heard(1, None, "idle"))
    clock.go(600)
    assert logic.on_notify()[0] == [Punctuation(1, NOON)]


def test_no_news_no_punctuation() -> None:
    """Where nobody speaks, or the partition knows as much, nothing is written."""
    clock = Clock()
    for words in (
        [heard(0, NOON, "idle"), heard(1, 5, "idle")],
        [heard(0, NOON, "caught_up"), heard(1, NOON, "idle")],
        [heard(0, None, "caught_up"), heard(1, 5, "idle")],
        [heard(0, NOON, "caught_up", (0, 1, 2)), heard(1, 5, "idle", (0, 1, 2))],
    ):
        logic = logic_of(clock, *words)
        clock.go(600)
        assert logic.on_notify()[0] == []


def test_who_speaks_is_not_quiet() -> None:
    """A word ends the silence; it is counted anew from the next time it falls idle."""
    clock = Clock()
    logic = logic_of(clock, heard(0, NOON, "caught_up"), heard(1, 5, "idle"))
    clock.go(300)
    logic.on_batch([heard(1, 6, "caught_up")])
    assert logic.notify_at() is None
    clock.go(300)
    logic.on_batch([heard(1, 6, "idle")])
    assert logic.on_notify()[0] == []
    clock.go(600)
    assert logic.on_notify()[0] == [Punctuation(1, NOON)]
    assert logic.snapshot() is None  # type: ignore[func-returns-value]  # that it is None is the claim
