"""Postgres and a Redis that follows it, and what Redis holds."""

from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing, contextmanager
from decimal import Decimal

import msgspec
import polars as pl

from mobility.entities import ENTITIES, Entity
from mobility.keys import LAST_WINDOW, RedisKeys
from mobility.measures import AMOUNTS, COUNTS
from mobility.records import MICRO
from mobility.settings import Settings
from mobility.times import epoch_ms
from redis_cluster.connection import connect
from redis_cluster.records import read_record
from sinks.connecting import follow
from sinks.fencing import take_fencing_token
from sinks.followed_store import FollowedStore
from sinks.postgres import PostgresStore, open_session
from sinks.store import TOUCHED_SCHEMA
from tests.waiting import until


@contextmanager
def followed_store(
    settings: Settings, entity: Entity, shards: Collection[int] = ()
) -> Iterator[FollowedStore]:
    """Yield Postgres with a Redis that follows it, for some shards; by default for all."""
    session = open_session(settings, "main")
    store = PostgresStore(session, "main", is_followed=True)
    followed, follower = follow(store, session, settings, entity)
    for shard in shards or range(settings.shards):
        follower.own(shard)
    try:
        yield followed
    finally:
        followed.close()


def redis_totals(settings: Settings, entity: Entity) -> pl.DataFrame:
    """Return the totals in Redis (TOUCHED_SCHEMA), sorted by id."""
    prefix = RedisKeys.of(settings).totals(entity, "")
    with closing(connect(settings.redis, decode_responses=True)) as client:
        names = sorted(str(name) for name in client.scan_iter(f"{prefix}*"))
        hashes = [client.hgetall(name) for name in names]
    rows = [
        {"id": name.removeprefix(prefix), **fields}
        for name, fields in zip(names, hashes, strict=True)
    ]
    texts = dict.fromkeys(TOUCHED_SCHEMA, pl.String)
    frame = pl.DataFrame(rows, schema=texts)
    micro = {
        name: pl.Series(
            name,
            [int(Decimal(text) * MICRO) if text else None for text in frame[name]],
            TOUCHED_SCHEMA[name],
        )
        for name in AMOUNTS
    }
    times = [name for name in TOUCHED_SCHEMA if name not in {"id", *AMOUNTS, *COUNTS}]
    return frame.with_columns(
        *micro.values(),
        pl.col(COUNTS).cast(pl.Int64),
        *(epoch_ms(frame[name].replace("", None)) for name in times),
    ).sort("id")


def postgres_totals(store: FollowedStore, entity: Entity) -> pl.DataFrame:
    """Return the totals in Postgres (TOUCHED_SCHEMA), sorted by id."""
    newest = store.windows(entity).group_by("id").agg(pl.col("window_start").max())
    return store.totals(entity).join(newest, "id").rename({"window_start": LAST_WINDOW}).sort("id")


def until_followed(store: FollowedStore, settings: Settings, entity: Entity) -> None:
    """Wait until Redis has the totals, the numbers and the progress of Postgres."""
    expected = postgres_totals(store, entity).select(TOUCHED_SCHEMA.names())
    until(lambda: redis_totals(settings, entity), "the totals in Redis", expected.equals)
    number = store.sequence_number(entity).number
    keys = RedisKeys.of(settings)
    with closing(connect(settings.redis)) as client:
        wanted = dict.fromkeys(range(settings.shards), number)
        until(lambda: read_record(client, keys, entity).sequence, "the numbers", wanted.__eq__)
        if progress := store.progress(entity):
            until(
                lambda: read_record(client, keys, entity).progress, "the progress", progress.__eq__
            )


def catch_up(settings: Settings) -> None:
    """Let Redis get what it lacks, as from a flow that starts now."""
    settings = msgspec.structs.replace(settings, fence=take_fencing_token(settings, "a test"))
    with ExitStack() as stores:
        followed = {
            entity: stores.enter_context(followed_store(settings, entity)) for entity in ENTITIES
        }
        for entity, store in followed.items():
            until_followed(store, settings, entity)
