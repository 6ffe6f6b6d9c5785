"""Steps of the wall clock and hours of downtime change no number."""

import random
from functools import partial
from typing import Final

import pytest

from tests.chaos.clock import Clock
from tests.chaos.conftest import ReportFigure, Rounds
from tests.chaos.exact import assert_exact
from tests.chaos.flow_process import FlowProcess
from tests.chaos.tenant import Tenant
from tests.waiting import until

pytestmark = pytest.mark.chaos

_HOUR: Final = 3_600
_MESSAGES: Final = 1_000


def test_downtime_of_an_hour(
    tenant: Tenant, clock: Clock, rounds: Rounds, rng: random.Random, report_figure: ReportFigure
) -> None:
    """An hour by its clock, after a kill and after a stop."""
    ends = (tenant.flow.kill, tenant.flow.stop)[: {"quick": 1, "full": 2}[rounds]]
    with tenant.producer(rng.random()) as producer:
        for end in ends:
            tenant.flow.start()
            tenant.flow.wait_until_read(_MESSAGES)
            end()
            clock.step(_HOUR)
    tenant.flow.run_to_end()
    expected = assert_exact(tenant.settings, producer)
    report_figure(f"{len(ends)} downtimes of 1 h, {expected.windows.height} windows, 0 differ")


def test_wall_clock_stepped(
    tenant: Tenant, clock: Clock, rng: random.Random, report_figure: ReportFigure
) -> None:
    """After a step forward or back it restarts once, instead of waiting an hour."""
    flow = tenant.flow
    with tenant.producer(rng.random()) as producer:
        flow.start()
        for seconds in (_HOUR, -_HOUR):
            flow.wait_until_read(_MESSAGES)
            before = {each["pid"] for each in flow.statuses()}
            clock.step(seconds)
            until(partial(_are_replaced, flow, before), "another start")
        flow.wait_until_read(_MESSAGES)
    until(lambda: not any(each["lag"] for each in flow.statuses()), "the end of the log")
    assert flow.stop()[0] == 0
    output = flow.log.read_text()
    assert output.count("set forward by 3600 s") == 1
    assert output.count("set back by 3600 s") == 1
    assert output.count("launcher: the flow failed") == len((_HOUR, -_HOUR))
    flow.run_to_end()
    expected = assert_exact(tenant.settings, producer)
    report_figure(f"+1 h and -1 h, 2 restarts, {expected.windows.height} windows, 0 differ")


def _are_replaced(flow: FlowProcess, before: set[int]) -> bool:
    """Return whether other processes than these have written a status."""
    return before.isdisjoint(each["pid"] for each in flow.statuses())
