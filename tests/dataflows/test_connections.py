"""How many connections to Postgres a process of a flow has."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import psycopg
import pytest
import redis

from mobility.entities import BY_NAME
from mobility.keys import RedisKeys
from mobility.settings import Settings
from tests.databases import new_database
from tests.dataflows.conftest import PARTITIONS, Hub
from tests.strategies import MINUTE, NOON, Entry
from tests.waiting import until

pytestmark = pytest.mark.services

MOST = 4
IDS = 2_500
"""Drivers a partition: their windows are written in two halves (sinks/postgres.py, SPLIT_ROWS)."""

DRIVER = BY_NAME["driver"]


@contextmanager
def counted(url: str) -> Iterator[set[int]]:
    """Yield the numbers of connections to a database that are seen, but for this one."""
    # Not the autovacuum, which works in this database as well.
    query = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND backend_type = 'client backend'"
    )
    seen: set[int] = set()
    done = threading.Event()

    def count() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            while not done.wait(0.01):
                ((number,),) = connection.execute(query).fetchall()
                seen.add(number - 1)

    counting = threading.Thread(target=count)
    counting.start()
    try:
        yield seen
    finally:
        done.set()
        counting.join()


def trips(start: int) -> list[list[Entry]]:
    """Return trips of IDS drivers in each partition, and what closes their windows."""
    return [
        [
            *(Entry(start, f"{start}-{p}-{n}", f"d{p}-{n}", "car", 1) for n in range(IDS)),
            Entry(start + 20 * MINUTE, punctuation=True),
        ]
        for p in range(PARTITIONS)
    ]


def stored(settings: Settings, ids: int) -> None:
    """Wait until Redis has so many drivers."""
    with redis.Redis.from_url(settings.redis) as client:
        pattern = RedisKeys.of(settings).totals(DRIVER, "*")
        until(
            lambda: sum(1 for _ in client.scan_iter(pattern, count=1_000)),
            f"{ids} drivers in Redis",
            lambda n: n == ids,
        )


@pytest.mark.parametrize("flow", ["main", "serving"])
def test_they_are_at_most_four(hub: Hub, services: Settings, flow: str) -> None:
    """With all shards of all entities, large batches, a refill of Redis and commits of offsets."""
    assert hub.settings.consumer_group
    hub.make_topics()
    with new_database(services) as url:
        stores = msgspec.structs.replace(hub.settings, stores=("redis", "postgres"), postgres=url)
        chosen = {"stores": stores.stores, "postgres": url, "shards": 8, "batch_size": 10_000}
        if flow == "serving":
            hub.write(trips(NOON))
            assert hub.run(stores=(), shards=8).returncode == 0
            hub.recovery = hub.recovery.with_name("serving")
        with counted(url) as seen:
            process = hub.start("--flow", flow, **chosen)
            if flow == "main":
                hub.write(trips(NOON))
            stored(stores, PARTITIONS * IDS)
            with redis.Redis.from_url(stores.redis) as client:
                client.delete(*client.scan_iter(f"{stores.redis_prefix}*"))
            stored(stores, PARTITIONS * IDS)
            assert process.poll() is None
            process.terminate()
            assert process.wait() == 0
    assert max(seen) <= MOST, seen
    assert max(seen) >= 3, "were they counted?"
