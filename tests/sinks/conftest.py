"""The three stores, each empty, and frames of windows to put into them."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import polars as pl
import pytest
import redis

from mobility.records import WINDOW_SCHEMA
from mobility.settings import Settings
from sinks.memory import MemoryStore
from sinks.postgres import connect_postgres
from sinks.redis import connect_redis
from sinks.store import Store

Window = Callable[..., dict[str, Any]]
Frame = Callable[..., pl.DataFrame]

START = 1_735_689_600_000
"""2025-01-01T00:00:00Z."""


@pytest.fixture
def alone(settings: Settings) -> Settings:
    """Return settings with Redis as the only store, so that nothing fills it."""
    return msgspec.structs.replace(settings, stores=("redis",))


@pytest.fixture
def client(settings: Settings) -> Iterator[redis.Redis]:
    """Return a client of the Redis that the settings name."""
    with redis.Redis.from_url(settings.redis, decode_responses=True) as client:
        yield client


@pytest.fixture(
    params=[
        "memory",
        pytest.param("redis", marks=pytest.mark.services),
        pytest.param("postgres", marks=pytest.mark.services),
    ]
)
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """Return an empty store of each kind."""
    store: Store
    if request.param == "memory":
        store = MemoryStore()
    elif request.param == "redis":
        store = connect_redis(request.getfixturevalue("alone"), "main")
    else:
        store = connect_postgres(request.getfixturevalue("settings"), "main")
    yield store
    store.close()


@pytest.fixture
def window() -> Window:
    """Return a builder of one window as a row: an id, what differs, and plausible values."""

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
            "pane": "early",
            "generation": 0,
            **fields,
        }

    return build


@pytest.fixture
def frame() -> Frame:
    """Return a builder of frames (WINDOW_SCHEMA) from rows."""
    return lambda *rows: pl.DataFrame(list(rows), schema=WINDOW_SCHEMA)
