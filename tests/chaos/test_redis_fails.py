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
from mobility.entities import BY_NAME
from mobility.keys import RedisKeys
from mobility.settings import Settings
from tests.chaos.conftest import Figures, Rounds
from tests.chaos.exact import assert_exact
from tests.chaos.feed import Feed
from tests.chaos.machine import Machine
from tests.chaos.tenant import Tenant, a_day_ago
from tests.chaos.trips import Shape, stream
from tests.waiting import until

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
    tenant.flow.wait_until_read(before)
    # While the flow is behind, what it has read goes out only as windows close.
    until(lambda: len(_names(tenant.settings)) > _IDS[rounds] // 2, "the ids in Postgres")
    with tenant.feed(draw.random()) as feed:
        for loss, lose in draw.sample(sorted(losses.items()), len(losses)):
            for _ in range(_ROUNDS[rounds]):
                tenant.flow.wait_until_read(before + feed.sent + _NEWS)
                names = _names(tenant.settings)
                lose()
                seconds = _until_filled(tenant.settings, names)
                figures(f"{loss}: {len(names)} ids back in {seconds:.1f} s")
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
        until(lambda: stores.read_redis_totals(tenant.settings).is_empty(), "all ids to expire")
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
    with _client(settings) as client:
        client.flushall()


def _client(settings: Settings) -> redis.Redis:
    """Return a client with time: to forget 100,000 ids Redis takes seconds on a busy machine."""
    return redis.Redis.from_url(settings.redis, socket_timeout=60)


def _restart_empty(machine: Machine) -> None:
    machine.kill("redis")
    shutil.rmtree(machine.folder / "redis")
    machine.start("redis")


def _evict_half(settings: Settings, draw: random.Random) -> None:
    """Remove half of the keys at random, as a Redis that is short of memory does."""
    with _client(settings) as client:
        keys = sorted(client.scan_iter(f"{settings.redis_prefix}*", count=10_000))
        gone = draw.sample(keys, len(keys) // 2)
        pipeline = client.pipeline(transaction=False)
        for key in gone:
            pipeline.unlink(key)
        pipeline.execute()


def _names(settings: Settings) -> list[str]:
    """Return the keys of all ids that Postgres has now."""
    keys = RedisKeys.of(settings)
    ids = stores.read_postgres_totals(settings).select("entity", "id")
    return [keys.totals(BY_NAME[entity], entity_id) for entity, entity_id in ids.iter_rows()]


def _until_filled(settings: Settings, names: list[str]) -> float:
    """Return after how many seconds Redis has them all; what they say is compared in the end."""
    begun = time.monotonic()
    chunks = [names[at : at + 1_000] for at in range(0, len(names), 1_000)]
    with _client(settings) as client:
        until(lambda: all(client.exists(*c) == len(c) for c in chunks), "every id in Redis")
    return time.monotonic() - begun
