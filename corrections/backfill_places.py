"""Where a backfill writes: `aggregated.*` first, then the stores; each as often as it takes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, Final

import polars as pl
from confluent_kafka import KafkaError, Message, Producer

from mobility.entities import ENTITIES, Entity
from mobility.messages import encode_windows
from mobility.records import WINDOW_SCHEMA
from mobility.settings import Settings
from mobility.topics import PARTITIONER, aggregated_topic
from sinks.store import WindowStore
from sinks.store_pair import connect_stores
from sinks.versions import highest_versions

CHUNK: Final = 5_000
"""Windows at once: few enough that the flow doesn't wait long for the rows they lock."""

Say = Callable[[str], None]

_FLUSH_SECONDS: Final = 0.5


class DeliveryError(RuntimeError):
    """Windows that Kafka did not take; running the backfill again sends them again."""


@contextmanager
def open_store(settings: Settings) -> Iterator[WindowStore | None]:
    """Connect to the stores of the settings, as one; None where there is none.

    The flow goes on writing meanwhile; versions keep the two apart. Raises StoreError where a store
    can't be used, or another backfill has it.
    """
    if not settings.stores:
        yield None
        return
    with closing(connect_stores(settings, "backfill")) as store:
        yield store


def write(
    settings: Settings, store: WindowStore | None, after: pl.DataFrame, say: Say
) -> pl.DataFrame:
    """Write windows (HELD_SCHEMA) everywhere; return those that a store refused as too old.

    Durable on return, and harmless again. Raises DeliveryError or StoreError where a place doesn't
    take them.
    """
    shares = [
        (entity, highest_versions(rows.select(WINDOW_SCHEMA.names())))
        for entity in ENTITIES
        if (rows := after.filter(pl.col("entity") == entity.name)).height
    ]
    say("to aggregated topics")
    send(settings, shares)
    refused = [after.clear()]
    if store is not None:
        for entity, rows in shares:
            say(f"to the stores: {entity.name}")
            old = [_applied(store, entity, chunk) for chunk in rows.iter_slices(CHUNK)]
            refused += [each.select(pl.lit(entity.name).alias("entity"), pl.all()) for each in old]
    return pl.concat(refused)


def _applied(store: WindowStore, entity: Entity, rows: pl.DataFrame) -> pl.DataFrame:
    """Reconcile rows; return those that the store refused.

    A store only counts them. Doing it again is harmless, so halves are asked until each is told.
    """
    refused = store.apply(entity, rows).refused
    if refused in (0, rows.height):
        return rows if refused else rows.clear()
    half = rows.height // 2
    parts = rows[:half], rows[half:]
    return pl.concat([_applied(store, entity, part) for part in parts])


def send(settings: Settings, shares: Sequence[tuple[Entity, pl.DataFrame]]) -> None:
    """Append windows (WINDOW_SCHEMA) to `aggregated.<entity>` as the flow does; all are confirmed.

    Raises DeliveryError where one is not.
    """
    failures: list[str] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            failures.append(f"{message.topic()} partition {message.partition()}: {error.str()}")

    producer = Producer(_config(settings) | {"on_delivery": delivered})
    for entity, rows in shares:
        topic = aggregated_topic(settings, entity)
        values = encode_windows(rows, entity, settings.window_ms)
        for key, value in zip(rows["id"], values, strict=True):
            while not failures:
                try:
                    producer.produce(topic, value, key)
                except BufferError:
                    producer.poll(_FLUSH_SECONDS)
                else:
                    break
    while not failures and producer.flush(_FLUSH_SECONDS):
        continue
    if failures:
        msg = f"Kafka did not take {len(failures):,} windows; the first for {failures[0]}"
        raise DeliveryError(msg)


def _config(settings: Settings) -> dict[str, Any]:
    return {
        "bootstrap.servers": settings.kafka,
        "client.id": "mobility-backfill",
        "enable.idempotence": True,
        "partitioner": PARTITIONER,
        "compression.type": "lz4",
        "linger.ms": 20,
        "delivery.report.only.error": True,
        # What goes wrong is told once, in an error of ours.
        "log_level": 2,
    }
