"""Watermark alignment: which partitions wait, and that at least one may be read."""

import pytest

from dataflows.alignment import WatermarkAlignment
from dataflows.items import WatermarkUpdate
from mobility.status import ReadStatus
from tests.strategies import MINUTE, NOON

HOUR = 60 * MINUTE

State = tuple[int | None, ReadStatus]


def aligned(*partitions: State) -> WatermarkAlignment:
    """Return the alignment of partitions with these watermarks and statuses."""
    alignment = WatermarkAlignment(HOUR)
    everybody = tuple(range(len(partitions)))
    for number in everybody:
        alignment.register(number)
    for number, (watermark, status) in enumerate(partitions):
        alignment.update(WatermarkUpdate(number, watermark, status, everybody))
    return alignment


@pytest.mark.parametrize(
    ("own", "other", "is_ahead"),
    [
        ((NOON + HOUR, "behind"), (NOON, "behind"), False),
        ((NOON + HOUR + 1, "behind"), (NOON, "behind"), True),
        ((None, "behind"), (None, "behind"), False),
        ((None, "behind"), (NOON, "behind"), False),
        ((NOON + 9 * HOUR, "behind"), (NOON, "caught_up"), False),
        ((NOON + 9 * HOUR, "behind"), (NOON, "idle"), False),
        ((NOON + 9 * HOUR, "behind"), (NOON, "finished"), False),
        ((NOON + 9 * HOUR, "caught_up"), (NOON, "behind"), False),
    ],
)
def test_a_partition_waits_for_slower_ones_that_are_behind(
    own: State, other: State, *, is_ahead: bool
) -> None:
    """More than the drift ahead is ahead; only partitions that are behind count."""
    assert aligned(own, other).is_ahead(0) == is_ahead


def test_other_partitions_wait_for_one_that_was_not_read_yet() -> None:
    """Until its first batch; a batch of dead letters only has no watermark to wait for."""
    alignment = WatermarkAlignment(HOUR)
    alignment.register(0)
    alignment.update(WatermarkUpdate(0, NOON, "behind", (0, 1)))
    alignment.register(1)
    assert alignment.is_ahead(0)
    alignment.update(WatermarkUpdate(1, None, "behind", (0, 1)))
    alignment._computed_at = float("-inf")
    assert not alignment.is_ahead(0)


def test_partitions_wait_for_those_of_other_processes() -> None:
    """Those are not registered here: their updates come through the dataflow."""
    alignment = WatermarkAlignment(HOUR)
    alignment.register(0)
    alignment.update(WatermarkUpdate(0, NOON + 2 * HOUR, "behind", (0, 7)))
    alignment.update(WatermarkUpdate(7, NOON, "behind", (0, 7)))
    assert alignment.is_ahead(0)


def test_the_slowest_partition_may_be_read() -> None:
    """The slowest partition that is behind is never ahead, so there is no deadlock."""
    alignment = aligned(*[(NOON + n * HOUR, "behind") for n in (5, 2, 9)])
    assert [alignment.is_ahead(number) for number in range(3)] == [True, False, True]


def test_the_minimum_is_computed_again_after_20_ms() -> None:
    """Many partitions compare with one minimum, which may be 20 ms old."""
    now = [0.0]
    alignment = WatermarkAlignment(HOUR, lambda: now[0])
    for number, hours in ((0, 0), (1, 2)):
        alignment.update(WatermarkUpdate(number, NOON + hours * HOUR, "behind", (0, 1)))
    assert alignment.is_ahead(1)
    alignment.update(WatermarkUpdate(0, NOON + 2 * HOUR, "behind", (0, 1)))
    assert alignment.is_ahead(1)
    now[0] = 0.1
    assert not alignment.is_ahead(1)
