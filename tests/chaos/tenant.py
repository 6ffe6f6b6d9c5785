"""One tenant of the services: topics, a schema and keys of its own, a flow and a feed."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import psycopg
from psycopg import sql

from benchmarks.tenant import tenant_settings
from broker.topic_setup import ensure_topics
from mobility.settings import Settings
from mobility.topics import topic_table
from tests.chaos.feed import Feed
from tests.chaos.flow import Flow
from tests.chaos.trips import MINUTE, Shape, stream

_HOUR: Final = 60 * MINUTE
_DAY: Final = 24 * _HOUR

_RATE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Tenant:
    """What a test works with. `settings` are those that the flow runs under."""

    settings: Settings
    folder: Path
    flow: Flow

    def feed(self, seed: object, shape: Shape | None = None, rate: int = _RATE) -> Feed:
        """Return a feed that begins a day ago in event time."""
        messages = stream(seed, self.settings.partitions, a_day_ago(), shape or Shape())
        return Feed(self.settings, messages, rate)


def a_day_ago() -> int:
    """Return a start of event time (epoch ms) from which nothing gets into the future.

    A whole hour, so that a seed's trips fall into the same windows each time.
    """
    return round(time.time() * 1_000) // _HOUR * _HOUR - _DAY


@contextmanager
def new_tenant(services: Settings, folder: Path, **replaced: object) -> Iterator[Tenant]:
    """Make a tenant with both stores and snapshots every second; `replaced` are other settings."""
    name = f"chaos_{uuid.uuid4().hex[:8]}"
    chosen: dict[str, object] = {
        "topic_prefix": f"{name}.",
        "stores": ("redis", "postgres"),
        "partitions": 3,
        "shards": 2,
        "batch_size": 500,
        "snapshot_interval": 1,
    }
    settings = msgspec.structs.replace(tenant_settings(services, name), **(chosen | replaced))
    with psycopg.connect(services.postgres, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
    ensure_topics(settings, topic_table(settings))
    flow = Flow(settings, folder)
    try:
        yield Tenant(settings, folder, flow)
    finally:
        flow.end()
