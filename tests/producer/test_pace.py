"""Event time by the clock, and signals."""

import os
import signal

import pytest

from mobility.records import MAX_EVENT_TIME
from producer.pace import LIVE, Pace, stop_on_signals


def test_event_time_runs_at_the_speed() -> None:
    """Sixty event seconds a second from where the clock stood."""
    pace = Pace(speed=60.0, event=1_000_000, clock=50.0)
    assert pace.reached(50.0) == 1_000_000
    assert pace.reached(52.5) == 1_000_000 + 150_000
    assert pace.seconds_until(1_000_000 + 150_000, now=51.0) == pytest.approx(1.5)


def test_live_event_time_is_the_clocks() -> None:
    """A rebased replay lives in the present."""
    assert LIVE.reached(1_748_865_600.25) == 1_748_865_600_250
    assert LIVE.seconds_until(1_748_865_601_250, now=1_748_865_600.25) == pytest.approx(1.0)


def test_at_full_speed_everything_is_due() -> None:
    """No trip waits."""
    pace = Pace(speed=None)
    assert pace.reached(0.0) == MAX_EVENT_TIME
    assert pace.seconds_until(MAX_EVENT_TIME, now=0.0) == 0.0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_asks_to_stop(number: signal.Signals) -> None:
    """The first signal sets the flag and gives the handlers back."""
    before = signal.getsignal(number)
    with stop_on_signals() as stopping:
        assert not stopping()
        os.kill(os.getpid(), number)
        assert stopping()
        assert signal.getsignal(number) == before
    assert signal.getsignal(number) == before
