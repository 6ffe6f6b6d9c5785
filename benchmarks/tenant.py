"""A separate part of the stores: a schema in Postgres and a key prefix in Redis."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
import psycopg
import redis
from psycopg import sql

from mobility.settings import Settings, Store
from stack.ports import find_free_port

_CHUNK: Final = 10_000


def tenant_settings(settings: Settings, name: str) -> Settings:
    """Return settings that use only the part of the stores with this name."""
    url = settings.postgres
    separator = "&" if "?" in url else "?"
    return msgspec.structs.replace(
        settings,
        redis_prefix=f"{name}:",
        postgres=f"{url}{separator}options=-csearch_path%3D{name}",
    )


def served_settings(settings: Settings, name: str, store: Store) -> Settings:
    """Return those settings for an API over one store, which takes as many requests as come."""
    return msgspec.structs.replace(
        tenant_settings(settings, name), stores=(store,), api_port=find_free_port(), api_rate=0
    )


@contextmanager
def empty_tenant(settings: Settings, name: str) -> Iterator[None]:
    """Create the part, and remove it in the end; `settings` are those without a tenant."""
    schema = sql.Identifier(name)
    with (
        psycopg.connect(settings.postgres, autocommit=True) as connection,
        redis.Redis.from_url(settings.redis) as client,
    ):
        _remove(connection, client, name)
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
        try:
            yield
        finally:
            _remove(connection, client, name)


def _remove(
    connection: psycopg.Connection[tuple[object, ...]], client: redis.Redis, name: str
) -> None:
    drop = sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE")
    connection.execute(drop.format(sql.Identifier(name)))
    chunk: list[bytes] = []
    for key in client.scan_iter(f"{name}:*", count=_CHUNK):
        chunk.append(key)
        if len(chunk) == _CHUNK:
            client.unlink(*chunk)
            chunk.clear()
    if chunk:
        client.unlink(*chunk)
