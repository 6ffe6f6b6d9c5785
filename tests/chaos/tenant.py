"""A tenant of the services: its own topics, schema and keys, a flow and a producer."""

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
from tests.chaos.flow_process import FlowProcess
from tests.chaos.steady_producer import SteadyProducer
from tests.chaos.trip_stream import MINUTE, TripMix, stream_messages

_HOUR: Final = 60 * MINUTE
_DAY: Final = 24 * _HOUR

_RATE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Tenant:
    """The settings of a tenant, its folder and its flow."""

    settings: Settings
    folder: Path
    flow: FlowProcess

    def producer(
        self, seed: object, shape: TripMix | None = None, rate: int = _RATE
    ) -> SteadyProducer:
        """Return a producer whose event time starts a day ago."""
        messages = stream_messages(
            seed, self.settings.partitions, one_day_ago(), shape or TripMix()
        )
        return SteadyProducer(self.settings, messages, rate)


def one_day_ago() -> int:
    """Return a start of event time (epoch ms) that is far from the future.

    It is a whole hour, so that trips of the same seed are always in the same windows.
    """
    return round(time.time() * 1_000) // _HOUR * _HOUR - _DAY


@contextmanager
def new_tenant(services: Settings, folder: Path, **replaced: object) -> Iterator[Tenant]:
    """Create a tenant with both stores and snapshots every second; `replaced` are settings."""
    name = f"chaos_{uuid.uuid4().hex[:8]}"
    chosen: dict[str, object] = {
        "topic_prefix": f"{name}.",
        "stores": ("redis", "postgres"),
        "delta": str(folder / "lake"),
        "partitions": 3,
        "shards": 2,
        "batch_size": 500,
        "snapshot_interval": 1,
    }
    settings = msgspec.structs.replace(tenant_settings(services, name), **(chosen | replaced))
    with psycopg.connect(services.postgres, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
    ensure_topics(settings, topic_table(settings))
    flow = FlowProcess(settings, folder)
    try:
        yield Tenant(settings, folder, flow)
    finally:
        flow.ensure_stopped()
