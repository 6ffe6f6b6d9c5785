"""Redis forgets all, half, or what had no news: it is filled again, and says what Postgres says."""

import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
import redis
from polars.testing import assert_frame_equal

from audit import stores
from mobility.settings import Settings
from tests.chaos.conftest import Figures, Rounds
from tests.chaos.exact import assert_exact
from tests.chaos.feed import Feed
from tests.chaos.machine import Machine
from tests.chaos.tenant import Tenant, new_tenant
from tests.chaos.trips import Shape
from tests.chaos.waiting import until

pytestmark = pytest.mark.chaos

_ROUNDS: Final[dict[Rounds, int]] = {"quick": 1, "full": 5}
_IDS: Final[dict[Rounds, int]] = {"quick": 5_000, "full": 100_000}
_REFILLED: Final = 60.0
_NEWS: Final = 1_000


@pytest.mark.parametrize("loss", ["flushall", "restart", "eviction"])
def test_what_redis_lost_comes_back(
    machine: Machine,
    tenant: Tenant,
    rounds: Rounds,
    draw: random.Random,
    figures: Figures,
    loss: str,
) -> None:
    """Lost under load: every id is there again while the flow goes on, and all is exact."""
    lose: dict[str, Callable[[], None]] = {
        "flushall": lambda: _flush(tenant.settings),
        "restart": lambda: _restart_empty(machine),
        "eviction": lambda: _evict_half(tenant.settings, draw),
    }
    half = _IDS[rounds] // 2
    shape = Shape(drivers=half, passengers=half)
    feed = tenant.feed(draw.random(), shape)
    feed.send(half * 3)
    with feed:
        tenant.flow.start()
        tenant.flow.wait_until_read(feed.sent)
        ids = stores.postgres_totals(tenant.settings).height
        for _ in range(_ROUNDS[rounds]):
            tenant.flow.wait_until_read(feed.sent + _NEWS)
            lose[loss]()
            seconds = _until_filled(tenant.settings)
            figures(f"{ids} ids back in {seconds:.1f} s")
    tenant.flow.wait_until_read(feed.sent)
    assert tenant.flow.stop()[0] == 0
    expected = assert_exact(tenant.settings, feed)
    figures(f"{feed.sent} messages, {expected.windows.height} windows, 0 differ")


def _flush(settings: Settings) -> None:
    with redis.Redis.from_url(settings.redis) as client:
        client.flushall()


def _restart_empty(machine: Machine) -> None:
    machine.kill("redis")
    shutil.rmtree(machine.folder / "redis")
    machine.start("redis")


def _evict_half(settings: Settings, draw: random.Random) -> None:
    """Remove half of the keys at random, as a Redis that is short of memory does."""
    with redis.Redis.from_url(settings.redis) as client:
        keys = sorted(client.scan_iter(f"{settings.redis_prefix}*", count=10_000))
        gone = draw.sample(keys, len(keys) // 2)
        pipeline = client.pipeline(transaction=False)
        for key in gone:
            pipeline.unlink(key)
        pipeline.execute()


def _until_filled(settings: Settings) -> float:
    """Return after how many seconds Redis holds every id that Postgres has, in an equal version."""
    begun = time.monotonic()

    def filled() -> bool:
        ids = stores.postgres_totals(settings).select("entity", "id")
        held = stores.redis_totals(settings).select("entity", "id")
        return ids.join(held, on=["entity", "id"], how="anti").is_empty()

    until(filled, "every id in Redis", _REFILLED)
    return time.monotonic() - begun
