"""Only a wall clock that is set back ends the flow; one that is set forward does not."""

import os
from collections.abc import Iterator

import pytest

from dataflows.wall_clock import WallClock, end_when_set_back


def clock(times: list[tuple[float, float]]) -> WallClock:
    """Return a clock that is looked at these times: wall and steady."""
    walls: Iterator[float] = iter([wall for wall, _ in times])
    steadies: Iterator[float] = iter([steady for _, steady in times])
    return WallClock(walls.__next__, steadies.__next__)


@pytest.mark.parametrize(
    ("wall", "expected"), [(1_001, 0), (4_601, 0), (1_001 - 3_600, 3_600), (1_000.5, 0.5)]
)
def test_how_far_it_was_set_back(wall: float, expected: float) -> None:
    """A second has passed; what is missing of it was taken back."""
    assert clock([(1_000, 50), (wall, 51)]).set_back() == pytest.approx(expected)


def test_each_step_is_told_once() -> None:
    """After a step the new time is the time."""
    steps = clock([(1_000, 50), (901, 51), (902, 52)])
    assert [steps.set_back(), steps.set_back()] == pytest.approx([100, 0])


def test_it_ends_the_process(capfd: pytest.CaptureFixture[str]) -> None:
    """Forward by an hour, back by a moment: nothing. Back by an hour: the end, and why."""
    steps = clock([(0, 0), (1, 1), (3_602, 2), (3_600, 3), (1, 4)])
    ends: list[int] = []
    pauses: list[float] = []
    end_when_set_back(steps, ends.append, pauses.append).join()
    assert ends == [os.EX_TEMPFAIL]
    assert len(pauses) == 3
    assert "set back by 3600 s" in capfd.readouterr().err
