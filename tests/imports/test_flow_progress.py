"""How far the flow has read, and that a long silence is noticed."""

import pytest

from imports.errors import ImportRefusedError
from imports.flow_progress import Silence, count_left, require_group
from mobility.settings import Settings


def test_what_is_left_is_between_stored_and_wanted_offsets() -> None:
    """A partition that is read further has nothing left; one that was never read has all."""
    wanted = {("t", 0): 10, ("t", 1): 10, ("t", 2): 10}
    assert count_left(wanted, {("t", 0): 7, ("t", 1): 12}) == 13


def test_a_silence_is_told_once_until_the_flow_reads_on() -> None:
    """A number that has not changed for a minute."""
    times = iter([0.0, 1.0, 50.0, 62.0, 200.0, 201.0, 262.0])
    silence = Silence(lambda: next(times))
    assert [silence.is_long(left) for left in (5, 5, 5, 5, 4, 4)] == [
        False,
        False,
        True,
        False,
        False,
        True,
    ]


def test_a_flow_without_a_group_is_refused() -> None:
    """Nothing says what it has read."""
    assert require_group(Settings(topic_prefix="city.")) == "city.mobility_main"
    with pytest.raises(ImportRefusedError, match="MOBILITY_CONSUMER_GROUP is empty"):
        require_group(Settings(consumer_group=""))
