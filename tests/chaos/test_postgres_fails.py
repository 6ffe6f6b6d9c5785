"""Postgres stops during a write, or does not answer: the flow waits for it."""

import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
import pytest

from tests.chaos.conftest import ReportFigure, Rounds
from tests.chaos.exact import assert_exact
from tests.chaos.flow_process import FlowProcess
from tests.chaos.killable_services import KillableServices
from tests.chaos.steady_producer import SteadyProducer
from tests.chaos.tenant import Tenant
from tests.waiting import until

pytestmark = pytest.mark.chaos

_STOPS: Final[dict[Rounds, int]] = {"quick": 1, "full": 10}
_LOCKED: Final[dict[Rounds, float]] = {"quick": 3, "full": 60}
_MESSAGES: Final = 1_000
_LAG: Final = 1_000


def test_stopped_immediate_mid_write(
    services_to_kill: KillableServices,
    tenant: Tenant,
    rounds: Rounds,
    rng: random.Random,
    report_figure: ReportFigure,
) -> None:
    """Stopped without a checkpoint and started again: the lag rises and falls, and all is exact."""
    with tenant.producer(rng.random()) as producer:
        tenant.flow.start()
        for _ in range(_STOPS[rounds]):
            tenant.flow.wait_until_read(producer.sent + _MESSAGES)
            time.sleep(rng.uniform(0, 1))
            with _lag_measured(tenant.flow, producer, report_figure):
                services_to_kill.kill("postgres", signal.SIGQUIT)
                _wait_until_behind(tenant.flow, producer)
                services_to_kill.start("postgres")
    _assert_ends_exact(tenant, producer, report_figure)


def test_a_lock_held(
    tenant: Tenant, rounds: Rounds, rng: random.Random, report_figure: ReportFigure
) -> None:
    """A table is locked for some time: the lag rises and falls, and all is exact."""
    with tenant.producer(rng.random()) as producer:
        tenant.flow.start()
        tenant.flow.wait_until_read(_MESSAGES)
        with (
            _lag_measured(tenant.flow, producer, report_figure),
            psycopg.connect(tenant.settings.postgres) as connection,
        ):
            connection.execute("LOCK TABLE driver_totals IN ACCESS EXCLUSIVE MODE")
            begun = time.monotonic()
            _wait_until_behind(tenant.flow, producer)
            time.sleep(max(0, begun + _LOCKED[rounds] - time.monotonic()))
            connection.commit()
            report_figure(f"a lock held {time.monotonic() - begun:.0f} s")
    _assert_ends_exact(tenant, producer, report_figure)


@contextmanager
def _lag_measured(
    flow: FlowProcess, producer: SteadyProducer, report_figure: ReportFigure
) -> Iterator[None]:
    """Report the lag of the flow, and the seconds until it has caught up."""
    yield
    lag, sent, since = _lag(flow, producer), producer.sent, time.monotonic()
    flow.wait_until_read(sent)
    report_figure(f"lag {lag} drained in {time.monotonic() - since:.1f} s")


def _lag(flow: FlowProcess, producer: SteadyProducer) -> int:
    return producer.sent - flow.counters()["read"]


def _wait_until_behind(flow: FlowProcess, producer: SteadyProducer) -> None:
    until(lambda: _lag(flow, producer) > _LAG, "the lag to rise")


def _assert_ends_exact(
    tenant: Tenant, producer: SteadyProducer, report_figure: ReportFigure
) -> None:
    tenant.flow.wait_until_read(producer.sent)
    assert tenant.flow.stop()[0] == 0
    expected = assert_exact(tenant.settings, producer)
    report_figure(f"{producer.sent} messages, {expected.windows.height} windows, 0 differ")
