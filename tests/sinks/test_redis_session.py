"""The connection of a writer to Redis, and its lease."""

from typing import Any

import msgspec
import pytest
import redis

from mobility.entities import BY_NAME
from mobility.keys import RedisKeys
from mobility.settings import Settings
from sinks.redis import connect_redis
from sinks.store import ApplyResult, StoreError

pytestmark = pytest.mark.services

DRIVER = BY_NAME["driver"]
Build = Any


def test_the_lease_is_checked_at_every_call(
    redis_only: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """After the lease expired another flow may write, and the first is refused from then on."""
    main = connect_redis(redis_only, "main")
    client.delete(RedisKeys.of(redis_only).lease("flow"))
    serving = connect_redis(redis_only, "serving")
    serving.apply(DRIVER, frame(window()))
    with pytest.raises(StoreError, match="by the flow `serving`, so `main` may not"):
        main.apply(DRIVER, frame(window(at=1)))
    with pytest.raises(StoreError, match="`serving`"):
        main.record_progress(DRIVER, 0, 1, 1)
    assert serving.totals(DRIVER)["trip_count"].to_list() == [1]
    for store in (main, serving):
        store.close()


def test_every_write_extends_the_lease(
    redis_only: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """Windows and progress: the lease ends 30 s after the last call."""
    store, lease = connect_redis(redis_only, "main"), RedisKeys.of(redis_only).lease("flow")
    for call in (
        lambda: store.apply(DRIVER, frame(window())),
        lambda: store.record_progress(DRIVER, 0, 1, 1),
    ):
        client.pexpire(lease, 5_000)
        call()
        assert client.get(lease) == "main"
        assert 20 < client.ttl(lease) <= 30
    store.close()


def test_a_lost_connection_is_replaced(
    redis_only: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """After the server closed the connection the next batch is written."""
    store = connect_redis(redis_only, "main")
    # Only its own connection: other tests use the same server.
    assert client.client_kill_filter(_id=str(store._client.client_id())) == 1
    assert store.apply(DRIVER, frame(window())) == ApplyResult(applied=1)
    store.close()


def test_an_unreachable_redis_is_named(redis_only: Settings) -> None:
    """The message names the store without its password; retries are bounded."""
    sleeps: list[float] = []
    nowhere = msgspec.structs.replace(redis_only, redis="redis://:secret@127.0.0.1:1/0")
    with pytest.raises(StoreError, match=r"Redis at redis://:\*\*\*@127\.0\.0\.1:1") as error:
        connect_redis(nowhere, "main", sleep=sleeps.append)
    assert "secret" not in str(error.value)
    assert "MOBILITY_REDIS" in str(error.value)
    assert sum(sleeps) < 20
