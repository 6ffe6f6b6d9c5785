"""Empty stores of each kind, and builders of windows."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
import redis

from mobility.records import WINDOW_SCHEMA
from mobility.settings import Settings
from sinks.delta import connect_delta
from sinks.postgres import connect_postgres
from sinks.redis import connect_redis
from sinks.store import WindowStore
from tests.redis_servers import Server
from tests.sinks.memory_store import MemoryStore

Window = Callable[..., dict[str, Any]]
Frame = Callable[..., pl.DataFrame]

START = 1_735_689_600_000
"""2025-01-01T00:00:00Z."""


@pytest.fixture
def redis_only(settings: Settings) -> Settings:
    """Return settings with Redis as the only store, which is then filled from nowhere."""
    return msgspec.structs.replace(settings, stores=("redis",))


@pytest.fixture
def delta_only(tmp_path: Path) -> Settings:
    """Return settings with Delta Lake as the only store, in an empty folder."""
    return Settings(delta=str(tmp_path / "lake"), stores=("delta",))


@pytest.fixture(scope="session")
def redis_program() -> Path:
    """Return the Redis of the machine's own packages: the stack has Valkey."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no redis-server: install it with `apt-get install redis-server`")
    return Path(program)


@pytest.fixture(scope="session")
def redis_server(redis_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of such a server."""
    server = Server(tmp_path_factory.mktemp("redis") / "server", redis_program)
    server.start()
    yield server.url
    server.stop()


@pytest.fixture
def both(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    """Return settings with both stores and two shards.

    With the parameter `redis_server` Redis is that of the machine's packages.
    """
    both = msgspec.structs.replace(settings, stores=("redis", "postgres"), shards=2)
    if getattr(request, "param", "valkey") == "valkey":
        return both
    return msgspec.structs.replace(both, redis=request.getfixturevalue(request.param))


@pytest.fixture
def client(settings: Settings) -> Iterator[redis.Redis]:
    """Return a client of the Redis that the settings name."""
    with redis.Redis.from_url(settings.redis, decode_responses=True) as client:
        yield client


@pytest.fixture(
    params=[
        "memory",
        "delta",
        pytest.param("redis", marks=pytest.mark.services),
        pytest.param("redis_server", marks=pytest.mark.services),
        pytest.param("postgres", marks=pytest.mark.services),
    ]
)
def store(request: pytest.FixtureRequest) -> Iterator[WindowStore]:
    """Return an empty store of each kind."""
    store: WindowStore
    if request.param == "memory":
        store = MemoryStore()
    elif request.param == "delta":
        store = connect_delta(request.getfixturevalue("delta_only"), "main")
    elif request.param == "redis":
        store = connect_redis(request.getfixturevalue("redis_only"), "main")
    elif request.param == "redis_server":
        alone = request.getfixturevalue("redis_only")
        url = request.getfixturevalue("redis_server")
        store = connect_redis(msgspec.structs.replace(alone, redis=url), "main")
    else:
        store = connect_postgres(request.getfixturevalue("settings"), "main")
    yield store
    store.close()


@pytest.fixture
def window() -> Window:
    """Return a builder of a window as a row: `at` windows after START, other fields as given."""

    def build(entity_id: str = "d1", at: int = 0, **fields: object) -> dict[str, Any]:
        window_start = START + at * 300_000
        return {
            "id": entity_id,
            "window_start": window_start,
            "trip_count": 1,
            "total_duration": 12_500_000,
            "total_distance": 3_250_000,
            "total_revenue": 9_990_000,
            "start_time": window_start + 5_000,
            "last_start_time": window_start + 65_000,
            "distance_count": fields.get("trip_count", 1),
            "revenue_count": fields.get("trip_count", 1),
            "pane": "early",
            "generation": 0,
            **fields,
        }

    return build


@pytest.fixture
def frame() -> Frame:
    """Return a builder of frames (WINDOW_SCHEMA) from rows."""
    return lambda *rows: pl.DataFrame(list(rows), schema=WINDOW_SCHEMA)
