"""Postgres stops during a write, or does not answer: the flow waits for it."""

import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
import pytest
import redis

from mobility.keys import RedisKeys
from mobility.status import FlowStatus, decode_status
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
_FROZEN: Final[dict[Rounds, float]] = {"quick": 3, "full": 90}
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


def test_a_failover(
    services_to_kill: KillableServices,
    tenant: Tenant,
    rng: random.Random,
    report_figure: ReportFigure,
) -> None:
    """The server is a standby for some time, and then the primary: the flow waits, and is exact."""
    data = services_to_kill.folder / "postgres" / "data"
    with tenant.producer(rng.random()) as producer:
        tenant.flow.start()
        _wait_for_snapshot(tenant)
        with _lag_measured(tenant.flow, producer, report_figure):
            services_to_kill.kill("postgres", signal.SIGQUIT)
            (data / "standby.signal").touch()
            services_to_kill.start("postgres")
            _wait_for_wait(tenant, "is a standby in recovery")
            with psycopg.connect(tenant.settings.postgres, autocommit=True) as connection:
                connection.execute("SELECT pg_promote()")
            _wait_for_wait(tenant, "")
    _assert_ends_exact(tenant, producer, report_figure)


def test_frozen(
    services_to_kill: KillableServices,
    tenant: Tenant,
    rounds: Rounds,
    rng: random.Random,
    report_figure: ReportFigure,
) -> None:
    """It takes requests and never answers: the flow says so, stops when asked to, and is exact."""
    with tenant.producer(rng.random()) as producer:
        tenant.flow.start()
        _wait_for_snapshot(tenant)
        with _lag_measured(tenant.flow, producer, report_figure):
            with services_to_kill.frozen("postgres"):
                _wait_for_wait(tenant, "has not answered a request")
                time.sleep(_FROZEN[rounds])
            _wait_for_wait(tenant, "")
        with services_to_kill.frozen("postgres"):
            _wait_for_wait(tenant, "has not answered a request")
            code, seconds = tenant.flow.stop()
        report_figure(f"stopped in {seconds:.1f} s with exit code {code}")
        assert "a stop was requested" in tenant.flow.log.read_text()
    tenant.flow.run_to_end()
    expected = assert_exact(tenant.settings, producer)
    report_figure(f"{producer.sent} messages, {expected.windows.height} windows, 0 differ")


def _wait_for_snapshot(tenant: Tenant) -> None:
    until(lambda: _status(tenant), "a snapshot", lambda seen: seen and seen.snapshot_at)


def _wait_for_wait(tenant: Tenant, reason: str) -> None:
    """Wait until the status says that Postgres is waited for, and why; "": that it is not."""

    def waits() -> str:
        assert tenant.flow.running, tenant.flow.log.read_text()
        status = _status(tenant)
        return "" if status is None else status.waits.get("postgres", "")

    until(
        waits, reason or "the end of the wait", lambda seen: reason in seen if reason else not seen
    )


def _status(tenant: Tenant) -> FlowStatus | None:
    """Return the status record in Redis."""
    with redis.Redis.from_url(tenant.settings.redis) as client:
        record = client.get(RedisKeys.of(tenant.settings).status("flow-0"))
    status = None if record is None else decode_status(record)
    assert status is None or isinstance(status, FlowStatus)
    return status


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
