"""Who may write to a store, and with which settings."""

from collections.abc import Callable

import msgspec
import pytest

from mobility.settings import Settings
from sinks.postgres import connect_postgres
from sinks.redis import connect_redis
from sinks.store import Store, StoreError, Writer

pytestmark = pytest.mark.services

Connect = Callable[[Settings, Writer], Store]


@pytest.fixture(params=["redis", "postgres"])
def connect(request: pytest.FixtureRequest, alone: Settings) -> Connect:
    """Return what connects to each store, `alone` having made it anew."""
    assert alone.redis_prefix
    return connect_redis if request.param == "redis" else connect_postgres


def test_other_settings_are_refused(connect: Connect, alone: Settings) -> None:
    """A store filled under other settings names both and what to do, and shows no password."""
    connect(alone, "main").close()
    with pytest.raises(StoreError) as refusal:
        connect(msgspec.structs.replace(alone, window=60), "main")
    message = str(refusal.value)
    assert alone.fingerprint in message
    assert "MOBILITY_WINDOW=60" in message
    assert "MOBILITY_WINDOW=300" in message
    assert "empty store" in message
    connect(alone, "main").close()


def test_a_second_flow_is_refused_by_name(connect: Connect, alone: Settings) -> None:
    """While main writes serving may not, and partitions of main don't disturb each other."""
    partitions = [connect(alone, "main"), connect(alone, "main")]
    with pytest.raises(StoreError, match="written to by the flow `main`, so `serving` may not"):
        connect(alone, "serving")
    partitions.pop().close()
    with pytest.raises(StoreError, match="Stop `main`"):
        connect(alone, "serving")
    partitions.pop().close()


def test_an_unreachable_store_is_named(services: Settings) -> None:
    """The message names the store, without its password, after a bounded number of attempts."""
    waits: list[float] = []
    nowhere = msgspec.structs.replace(
        services, postgres="postgresql://mobility:secret@127.0.0.1:1/mobility"
    )
    with pytest.raises(StoreError, match=r"Postgres at postgresql://mobility:\*\*\*@127") as error:
        connect_postgres(nowhere, "main", wait=waits.append)
    assert "secret" not in str(error.value)
    assert "MOBILITY_POSTGRES" in str(error.value)
    assert sum(waits) < 20
    assert sorted(waits) == waits
