"""Redis forgets all, half, or what had no news: it is filled again, and says what Postgres says."""

import random
import shutil
import time
from collections.abc import Callable
from itertools import islice
from typing import Final

import pytest
import redis

from audit import stores
from mobility.settings import Settings
from tests.chaos.conftest import Figures, Rounds
from tests.chaos.exact import assert_exact
from tests.chaos.feed import Feed
from tests.chaos.machine import Machine
from tests.chaos.tenant import Tenant, a_day_ago
from tests.chaos.trips import Shape, stream
from tests.chaos.waiting import until

pytestmark = pytest.mark.chaos

_ROUNDS: Final[dict[Rounds, int]] = {"quick": 1, "full": 5}
_IDS: Final[dict[Rounds, int]] = {"quick": 5_000, "full": 100_000}
_NEWS: Final = 1_000


def test_what_redis_lost_comes_back(
    machine: Machine, tenant: Tenant, rounds: Rounds, draw: random.Random, figures: Figures
) -> None:
    """Lost under load: every id is there again while the flow goes on, and all is exact."""
    losses: dict[str, Callable[[], None]] = {
        "FLUSHALL": lambda: _flush(tenant.settings),
        "restart": lambda: _restart_empty(machine),
        "eviction of half": lambda: _evict_half(tenant.settings, draw),
    }
    before = _many_ids(tenant.settings, _IDS[rounds], draw)
    tenant.flow.start()
    with tenant.feed(draw.random()) as feed:
        for loss, lose in draw.sample(sorted(losses.items()), len(losses)):
            for _ in range(_ROUNDS[rounds]):
                tenant.flow.wait_until_read(before + feed.sent + _NEWS)
                ids = stores.postgres_totals(tenant.settings).height
                lose()
                seconds = _until_filled(tenant.settings)
                figures(f"{loss}: {ids} ids back in {seconds:.1f} s")
    tenant.flow.wait_until_read(before + feed.sent)
    assert tenant.flow.stop()[0] == 0
    expected = assert_exact(tenant.settings)
    figures(f"{before + feed.sent} messages, {expected.windows.height} windows, 0 differ")


def test_ids_come_back_after_their_day(
    tenant: Tenant, rounds: Rounds, draw: random.Random, figures: Figures
) -> None:
    """Expired for want of news, an id is whole again with its next trip.

    A day is a second here: the expiry is a setting, and Redis counts the same way.
    """
    start = a_day_ago()
    shape = Shape(drivers=50, passengers=50)
    messages = stream(draw.random(), tenant.settings.partitions, start, shape)
    for _ in range(_ROUNDS[rounds]):
        Feed(tenant.settings, islice(messages, 3_000)).send_all()
        tenant.flow.finish(redis_expiry=1)
        until(lambda: stores.redis_totals(tenant.settings).is_empty(), "all ids to expire")
        Feed(tenant.settings, islice(messages, 3_000)).send_all()
        tenant.flow.finish()
        expected = assert_exact(tenant.settings)
    figures(f"{_ROUNDS[rounds]} times {expected.totals.height} ids, 0 differ")


def _many_ids(settings: Settings, ids: int, draw: random.Random) -> int:
    """Write trips of so many ids, few minutes apart; return how many messages that took."""
    shape = Shape(step=2, drivers=ids // 2, passengers=ids // 2)
    start = a_day_ago()
    feed = Feed(settings, islice(stream(draw.random(), settings.partitions, start, shape), ids * 2))
    feed.send_all()
    return feed.sent


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

    until(filled, "every id in Redis")
    return time.monotonic() - begun
