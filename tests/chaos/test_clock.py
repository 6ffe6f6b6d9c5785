"""The flow's wall clock is set, and hours pass while it is down: no number depends on it."""

import random
from typing import Final

import pytest

from tests.chaos.clock import Clock
from tests.chaos.conftest import Figures, Rounds
from tests.chaos.exact import assert_exact
from tests.chaos.tenant import Tenant
from tests.waiting import until

pytestmark = pytest.mark.chaos

_HOUR: Final = 3_600
_NEWS: Final = 1_000


def test_downtime_of_an_hour(
    tenant: Tenant, clock: Clock, rounds: Rounds, draw: random.Random, figures: Figures
) -> None:
    """Down for an hour by its own clock, after a kill and after a stop."""
    ends = (tenant.flow.kill, tenant.flow.stop)[: {"quick": 1, "full": 2}[rounds]]
    with tenant.feed(draw.random()) as feed:
        for end in ends:
            tenant.flow.start()
            tenant.flow.wait_until_read(_NEWS)
            end()
            clock.step(_HOUR)
    tenant.flow.finish()
    expected = assert_exact(tenant.settings, feed)
    figures(f"{len(ends)} downtimes of 1 h, {expected.windows.height} windows, 0 differ")


def test_wall_clock_stepped(
    tenant: Tenant, clock: Clock, draw: random.Random, figures: Figures
) -> None:
    """Set forward or back it begins again, once each time, instead of standing still an hour."""
    flow = tenant.flow
    with tenant.feed(draw.random()) as feed:
        flow.start()
        for seconds in (_HOUR, -_HOUR):
            flow.wait_until_read(_NEWS)
            before = {each["pid"] for each in flow.told()}
            clock.step(seconds)
            until(lambda: before.isdisjoint(each["pid"] for each in flow.told()), "another start")  # noqa: B023 - called at once
        flow.wait_until_read(_NEWS)
    until(lambda: not any(each["lag"] for each in flow.told()), "the end of the log")
    assert flow.stop()[0] == 0
    told = flow.log.read_text()
    assert told.count("set forward by 3600 s") == 1
    assert told.count("set back by 3600 s") == 1
    assert told.count("launcher: the flow failed") == len((_HOUR, -_HOUR))
    flow.finish()
    expected = assert_exact(tenant.settings, feed)
    figures(f"+1 h and -1 h, 2 restarts, {expected.windows.height} windows, 0 differ")
