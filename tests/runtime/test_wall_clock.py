"""A wall clock that is set forward or back ends the flow; one that NTP adjusts does not."""

import os
from collections.abc import Iterator

import pytest

from runtime.wall_clock import WallClock, exit_when_clock_is_set


def clock(times: list[tuple[float, float]]) -> WallClock:
    """Return a clock that is read at these pairs of wall and monotonic time."""
    walls: Iterator[float] = iter([wall for wall, _ in times])
    steadies: Iterator[float] = iter([steady for _, steady in times])
    return WallClock(walls.__next__, steadies.__next__)


@pytest.mark.parametrize(
    ("wall", "expected"), [(1_001, 0), (4_601, 3_600), (1_001 - 3_600, -3_600), (1_000.5, -0.5)]
)
def test_the_difference_to_the_monotonic_clock(wall: float, expected: float) -> None:
    """A second has passed; the rest was set forward or back."""
    assert clock([(1_000, 50), (wall, 51)]).moved() == pytest.approx(expected)


def test_each_step_is_reported_once() -> None:
    """Later times are compared with the new time."""
    steps = clock([(1_000, 50), (901, 51), (902, 52)])
    assert [steps.moved(), steps.moved()] == pytest.approx([-100, 0])


@pytest.mark.parametrize(
    ("hour", "message"), [(3_600, "set forward by 3600 s"), (-3_600, "set back by 3600 s")]
)
def test_it_ends_the_process(hour: float, message: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Small steps are ignored; a step of an hour ends it, with a message."""
    steps = clock([(0, 0), (1, 1), (5, 2), (3, 3), (4 + hour, 4)])
    ends: list[int] = []
    pauses: list[float] = []
    exit_when_clock_is_set(steps, ends.append, pauses.append).join()
    assert ends == [os.EX_TEMPFAIL]
    assert len(pauses) == 3
    assert message in capfd.readouterr().err
