"""Redis loses keys, is full, silent or away: nothing waits for it, and it gets what it lacks."""

import random
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from typing import Final

import pytest
import redis

from audit import stores
from audit.follower_lag import lagging_entities
from mobility.entities import BY_NAME
from mobility.keys import RedisKeys
from mobility.settings import Settings
from tests.chaos.conftest import ReportFigure, Rounds
from tests.chaos.exact import assert_exact
from tests.chaos.killable_services import KillableServices
from tests.chaos.steady_producer import SteadyProducer
from tests.chaos.tenant import Tenant, one_day_ago
from tests.chaos.trip_stream import TripMix, stream_messages
from tests.waiting import until

pytestmark = pytest.mark.chaos

_ROUNDS: Final[dict[Rounds, int]] = {"quick": 1, "full": 5}
_IDS: Final[dict[Rounds, int]] = {"quick": 5_000, "full": 100_000}
_MESSAGES: Final = 1_000
_OUTAGE: Final[dict[Rounds, float]] = {"quick": 5, "full": 60}


def test_lost_ids_are_restored(
    services_to_kill: KillableServices,
    tenant: Tenant,
    rounds: Rounds,
    rng: random.Random,
    report_figure: ReportFigure,
) -> None:
    """Lost under load: every id is restored while the flow goes on, and all is exact.

    Of half of the keys that are evicted, those of the ids come back with their next windows.
    """
    losses: dict[str, Callable[[], None]] = {
        "FLUSHALL": lambda: _flush(tenant.settings),
        "restart": lambda: _restart_empty(services_to_kill),
    }
    before = _many_ids(tenant.settings, _IDS[rounds], rng)
    tenant.flow.start()
    tenant.flow.wait_until_read(before)
    # While the flow is behind, it writes closed windows only.
    until(lambda: len(_names(tenant.settings)) > _IDS[rounds] // 2, "the ids in Postgres")
    with tenant.producer(rng.random()) as producer:
        for loss, lose in rng.sample(sorted(losses.items()), len(losses)):
            for _ in range(_ROUNDS[rounds]):
                tenant.flow.wait_until_read(before + producer.sent + _MESSAGES)
                names = _names(tenant.settings)
                lose()
                seconds = _until_filled(tenant.settings, names)
                report_figure(f"{loss}: {len(names)} ids restored in {seconds:.1f} s")
        _evict_half(tenant.settings, rng)
        tenant.flow.wait_until_read(before + producer.sent + _MESSAGES)
    tenant.flow.wait_until_read(before + producer.sent)
    # A stop waits for Redis for some seconds only.
    until(lambda: not lagging_entities(tenant.settings), "Redis to follow again")
    assert tenant.flow.stop()[0] == 0
    expected = assert_exact(tenant.settings)
    report_figure(f"{before + producer.sent} messages, {expected.windows.height} windows, 0 differ")


@pytest.mark.parametrize("fault", ["full", "silent", "away"])
def test_nothing_waits_for_redis(
    services_to_kill: KillableServices,
    tenant: Tenant,
    fault: str,
    rounds: Rounds,
    rng: random.Random,
    report_figure: ReportFigure,
) -> None:
    """Under load the flow goes on, Postgres has everything, and then Redis as well."""
    faults: dict[str, Callable[[], AbstractContextManager[None]]] = {
        "full": lambda: _full(tenant.settings),
        "silent": lambda: services_to_kill.frozen("redis"),
        "away": lambda: _away(services_to_kill),
    }
    with tenant.producer(rng.random()) as producer:
        tenant.flow.start()
        tenant.flow.wait_until_read(_MESSAGES)
        for _ in range(_ROUNDS[rounds]):
            with faults[fault]():
                read = tenant.flow.counters()["read"]
                time.sleep(_OUTAGE[rounds])
                tenant.flow.wait_until_read(read + _MESSAGES)
                lag = producer.sent - tenant.flow.counters()["read"]
                report_figure(f"{fault}: lag {lag} after {_OUTAGE[rounds]} s")
                begun = time.monotonic()
            until(lambda: not lagging_entities(tenant.settings), "Redis to follow again")
            report_figure(f"{fault}: Redis has all after {time.monotonic() - begun:.1f} s")
    tenant.flow.wait_until_read(producer.sent)
    assert tenant.flow.stop()[0] == 0
    expected = assert_exact(tenant.settings, producer)
    report_figure(f"{producer.sent} messages, {expected.windows.height} windows, 0 differ")


def test_expired_ids_are_restored(
    tenant: Tenant, rounds: Rounds, rng: random.Random, report_figure: ReportFigure
) -> None:
    """An id that expired is complete again after its next trip.

    The expiry, a day by default, is a second here.
    """
    start = one_day_ago()
    shape = TripMix(drivers=50, passengers=50)
    messages = stream_messages(rng.random(), tenant.settings.partitions, start, shape)
    for _ in range(_ROUNDS[rounds]):
        SteadyProducer(tenant.settings, islice(messages, 3_000)).send_all()
        tenant.flow.run_to_end(redis_expiry=1)
        until(lambda: stores.read_redis_totals(tenant.settings).is_empty(), "all ids to expire")
        SteadyProducer(tenant.settings, islice(messages, 3_000)).send_all()
        tenant.flow.run_to_end()
        expected = assert_exact(tenant.settings)
    report_figure(f"{_ROUNDS[rounds]} times {expected.totals.height} ids, 0 differ")


def _many_ids(settings: Settings, ids: int, rng: random.Random) -> int:
    """Send trips of so many ids within minutes; return the number of messages."""
    shape = TripMix(step=2, drivers=ids // 2, passengers=ids // 2)
    start = one_day_ago()
    producer = SteadyProducer(
        settings, islice(stream_messages(rng.random(), settings.partitions, start, shape), ids * 2)
    )
    producer.send_all()
    return producer.sent


@contextmanager
def _full(settings: Settings) -> Iterator[None]:
    """Let Redis refuse whatever needs memory."""
    with _client(settings) as client:
        client.config_set("maxmemory", 1)
        yield
        client.config_set("maxmemory", 0)


@contextmanager
def _away(services_to_kill: KillableServices) -> Iterator[None]:
    services_to_kill.kill("redis")
    yield
    services_to_kill.start("redis")


def _flush(settings: Settings) -> None:
    with _client(settings) as client:
        client.flushall()


def _client(settings: Settings) -> redis.Redis:
    """Return a client with a long timeout: FLUSHALL of 100,000 ids takes seconds under load."""
    return redis.Redis.from_url(settings.redis, socket_timeout=60)


def _restart_empty(services_to_kill: KillableServices) -> None:
    services_to_kill.kill("redis")
    shutil.rmtree(services_to_kill.folder / "redis")
    services_to_kill.start("redis")


def _evict_half(settings: Settings, rng: random.Random) -> None:
    """Remove a random half of the keys, as Redis does at its memory limit."""
    with _client(settings) as client:
        keys = sorted(client.scan_iter(f"{settings.redis_prefix}*", count=10_000))
        evicted = rng.sample(keys, len(keys) // 2)
        pipeline = client.pipeline(transaction=False)
        for key in evicted:
            pipeline.unlink(key)
        pipeline.execute()


def _names(settings: Settings) -> list[str]:
    """Return the keys of all ids in Postgres."""
    keys = RedisKeys.of(settings)
    ids = stores.read_postgres_totals(settings).select("entity", "id")
    return [keys.totals(BY_NAME[entity], entity_id) for entity, entity_id in ids.iter_rows()]


def _until_filled(settings: Settings, names: list[str]) -> float:
    """Return the seconds until Redis has all keys; their contents are compared in the end."""
    begun = time.monotonic()
    chunks = [names[at : at + 1_000] for at in range(0, len(names), 1_000)]
    with _client(settings) as client:
        until(lambda: all(client.exists(*c) == len(c) for c in chunks), "every id in Redis")
    return time.monotonic() - begun
