"""Signals that request a stop."""

import os
import signal

import pytest

from producer.signals import stop_requested_by_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_requests_a_stop(number: signal.Signals) -> None:
    """The first signal sets the flag and restores the handlers."""
    before = signal.getsignal(number)
    with stop_requested_by_signals() as is_stopping:
        assert not is_stopping()
        os.kill(os.getpid(), number)
        assert is_stopping()
        assert signal.getsignal(number) == before
    assert signal.getsignal(number) == before
