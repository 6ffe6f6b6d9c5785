"""Postgres goes away in the middle of a write, or answers nobody: the flow waits for it."""

import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
import pytest

from tests.chaos.conftest import Figures, Rounds
from tests.chaos.exact import assert_exact
from tests.chaos.feed import Feed
from tests.chaos.flow import Flow
from tests.chaos.machine import Machine
from tests.chaos.tenant import Tenant
from tests.waiting import until

pytestmark = pytest.mark.chaos

_STOPS: Final[dict[Rounds, int]] = {"quick": 1, "full": 10}
_LOCKED: Final[dict[Rounds, float]] = {"quick": 3, "full": 60}
_NEWS: Final = 1_000
_BEHIND: Final = 1_000


def test_stopped_immediate_mid_write(
    machine: Machine, tenant: Tenant, rounds: Rounds, draw: random.Random, figures: Figures
) -> None:
    """Stopped without a checkpoint and started again: the lag rises, drains, and all is exact."""
    with tenant.feed(draw.random()) as feed:
        tenant.flow.start()
        for _ in range(_STOPS[rounds]):
            tenant.flow.wait_until_read(feed.sent + _NEWS)
            time.sleep(draw.uniform(0, 1))
            with _lag_measured(tenant.flow, feed, figures):
                machine.kill("postgres", signal.SIGQUIT)
                _wait_until_behind(tenant.flow, feed)
                machine.start("postgres")
    _assert_ends_exact(tenant, feed, figures)


def test_a_lock_held(tenant: Tenant, rounds: Rounds, draw: random.Random, figures: Figures) -> None:
    """A table that nobody may touch for a while: the lag rises, drains, and all is exact."""
    with tenant.feed(draw.random()) as feed:
        tenant.flow.start()
        tenant.flow.wait_until_read(_NEWS)
        with (
            _lag_measured(tenant.flow, feed, figures),
            psycopg.connect(tenant.settings.postgres) as connection,
        ):
            connection.execute("LOCK TABLE driver_totals IN ACCESS EXCLUSIVE MODE")
            begun = time.monotonic()
            _wait_until_behind(tenant.flow, feed)
            time.sleep(max(0, begun + _LOCKED[rounds] - time.monotonic()))
            connection.commit()
            figures(f"a lock held {time.monotonic() - begun:.0f} s")
    _assert_ends_exact(tenant, feed, figures)


@contextmanager
def _lag_measured(flow: Flow, feed: Feed, figures: Figures) -> Iterator[None]:
    """Note how far the flow fell behind, and how soon it had caught up again."""
    yield
    lag, sent, since = _lag(flow, feed), feed.sent, time.monotonic()
    flow.wait_until_read(sent)
    figures(f"lag {lag} drained in {time.monotonic() - since:.1f} s")


def _lag(flow: Flow, feed: Feed) -> int:
    return feed.sent - flow.counters()["read"]


def _wait_until_behind(flow: Flow, feed: Feed) -> None:
    until(lambda: _lag(flow, feed) > _BEHIND, "the lag to rise")


def _assert_ends_exact(tenant: Tenant, feed: Feed, figures: Figures) -> None:
    tenant.flow.wait_until_read(feed.sent)
    assert tenant.flow.stop()[0] == 0
    expected = assert_exact(tenant.settings, feed)
    figures(f"{feed.sent} messages, {expected.windows.height} windows, 0 differ")
