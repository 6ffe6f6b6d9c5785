"""Writing the windows of a backfill: to `aggregated.*` first, then to the stores.

Writing them again changes nothing.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Final

import polars as pl

from backfill.callbacks import OnStatus
from broker.producer import CheckedProducer
from mobility.entities import ENTITIES, Entity
from mobility.messages import encode_windows
from mobility.records import window_schema
from mobility.settings import Settings
from mobility.sketched_measures import sketches_of
from mobility.topics import aggregated_topic
from mobility.totals import highest_versions
from sinks.connecting import connect_authorities
from sinks.store import WindowStore

MAX_ROWS: Final = 5_000
"""Windows in one call of a store: few enough that the flow does not wait long for their locks."""


_CLIENT_ID: Final = "mobility-backfill"


def open_stores(settings: Settings) -> AbstractContextManager[list[WindowStore]]:
    """Connect to the stores that are written on their own, until the end of the context.

    The flow may write meanwhile: versions decide. Redis beside Postgres gets from the flow what is
    written. Raises StoreError where a store can't be used, or another backfill writes to it.
    """
    return connect_authorities(settings, "backfill")


def write_windows(
    settings: Settings, stores: Sequence[WindowStore], windows: pl.DataFrame, on_status: OnStatus
) -> pl.DataFrame:
    """Write windows (ENTITY_WINDOW_SCHEMA); return those that are too old for a store.

    Durable on return. Raises DeliveryError or StoreError where they can't be written.
    """
    by_entity = [
        (entity, highest_versions(rows.select(_columns_of(entity, rows))))
        for entity in ENTITIES
        if (rows := windows.filter(pl.col("entity") == entity.name)).height
    ]
    on_status("to aggregated topics")
    send_windows(settings, by_entity)
    too_old = [windows.clear()]
    for store in stores:
        for entity, rows in by_entity:
            on_status(f"to {store.kind}: {entity.name}")
            old = [_apply(store, entity, chunk) for chunk in rows.iter_slices(MAX_ROWS)]
            too_old += [each.select(pl.lit(entity.name).alias("entity"), pl.all()) for each in old]
    return pl.concat(too_old, how="diagonal")


def _columns_of(entity: Entity, windows: pl.DataFrame) -> list[str]:
    """Return the columns of windows of one entity."""
    return window_schema(sketches_of(entity, windows.columns)).names()


def _apply(store: WindowStore, entity: Entity, rows: pl.DataFrame) -> pl.DataFrame:
    """Apply rows to a store; return those that are too old for it.

    A store only counts them, so halves are applied again until each of those rows is known.
    """
    too_old = store.apply(entity, rows).too_old
    if too_old in (0, rows.height):
        return rows if too_old else rows.clear()
    half = rows.height // 2
    parts = rows[:half], rows[half:]
    return pl.concat([_apply(store, entity, part) for part in parts])


def send_windows(settings: Settings, by_entity: Sequence[tuple[Entity, pl.DataFrame]]) -> None:
    """Append windows (WINDOW_SCHEMA) to `aggregated.<entity>` as the flow does.

    All are acknowledged on return. Raises DeliveryError where one is not.
    """
    producer = CheckedProducer(settings, _CLIENT_ID)
    for entity, rows in by_entity:
        values = encode_windows(rows, entity, settings.window_ms)
        producer.send_columns(aggregated_topic(settings, entity), rows["id"], values)
    producer.flush()
