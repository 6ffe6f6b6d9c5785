"""Who may write to a store, and with which settings."""

from collections.abc import Callable

import msgspec
import pytest

from mobility.settings import Settings
from sinks.postgres import connect_postgres
from sinks.redis import connect_redis
from sinks.store import StoreError, WindowStore, WriterRole

pytestmark = pytest.mark.services

Connect = Callable[[Settings, WriterRole], WindowStore]


@pytest.fixture(params=["redis", "postgres"])
def connect(request: pytest.FixtureRequest, redis_only: Settings) -> Connect:
    """Return what connects to each store; `redis_only` has emptied it."""
    assert redis_only.redis_prefix
    return connect_redis if request.param == "redis" else connect_postgres


def test_other_settings_are_refused(connect: Connect, redis_only: Settings) -> None:
    """The message names both settings and the remedy."""
    connect(redis_only, "main").close()
    with pytest.raises(StoreError) as refusal:
        connect(msgspec.structs.replace(redis_only, window=60), "main")
    message = str(refusal.value)
    assert redis_only.fingerprint in message
    assert "MOBILITY_WINDOW=60" in message
    assert "MOBILITY_WINDOW=300" in message
    assert "empty store" in message
    connect(redis_only, "main").close()


def test_a_second_flow_is_refused(connect: Connect, redis_only: Settings) -> None:
    """While main writes, serving may not; several partitions of main may."""
    partitions = [connect(redis_only, "main"), connect(redis_only, "main")]
    with pytest.raises(StoreError, match="written to by the flow `main`, so `serving` may not"):
        connect(redis_only, "serving")
    partitions.pop().close()
    with pytest.raises(StoreError, match="Stop `main`"):
        connect(redis_only, "serving")
    partitions.pop().close()


def test_an_unreachable_store_is_named(services: Settings) -> None:
    """The message names the store without its password; retries are bounded."""
    sleeps: list[float] = []
    nowhere = msgspec.structs.replace(
        services, postgres="postgresql://mobility:secret@127.0.0.1:1/mobility"
    )
    with pytest.raises(StoreError, match=r"Postgres at postgresql://mobility:\*\*\*@127") as error:
        connect_postgres(nowhere, "main", sleep=sleeps.append)
    assert "secret" not in str(error.value)
    assert "MOBILITY_POSTGRES" in str(error.value)
    assert sum(sleeps) < 20
    assert sorted(sleeps) == sleeps
