"""Event time as a function of the clock."""

import pytest

from mobility.records import MAX_EVENT_TIME
from producer.schedule import REAL_TIME, EventTimeSchedule


def test_event_time_runs_at_the_speed() -> None:
    """Sixty seconds of event time per second, from the start of the schedule."""
    schedule = EventTimeSchedule(speed=60.0, event=1_000_000, clock=50.0)
    assert schedule.event_time_at(50.0) == 1_000_000
    assert schedule.event_time_at(52.5) == 1_000_000 + 150_000
    assert schedule.seconds_until(1_000_000 + 150_000, now=51.0) == pytest.approx(1.5)


def test_in_real_time_event_time_is_the_time_on_the_clock() -> None:
    """As in a rebased replay."""
    assert REAL_TIME.event_time_at(1_748_865_600.25) == 1_748_865_600_250
    assert REAL_TIME.seconds_until(1_748_865_601_250, now=1_748_865_600.25) == pytest.approx(1.0)


def test_at_full_speed_everything_is_due() -> None:
    """No trip waits."""
    schedule = EventTimeSchedule(speed=None)
    assert schedule.event_time_at(0.0) == MAX_EVENT_TIME
    assert schedule.seconds_until(MAX_EVENT_TIME, now=0.0) == 0.0
