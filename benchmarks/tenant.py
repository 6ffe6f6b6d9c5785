"""A part of the stores for measurements alone: a schema in Postgres, a prefix in Redis."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
import psycopg
import redis
from psycopg import sql

from mobility.settings import Settings

_CHUNK: Final = 10_000


def tenant(settings: Settings, name: str) -> Settings:
    """Return settings that keep to the part of the stores with this name."""
    url = settings.postgres
    separator = "&" if "?" in url else "?"
    return msgspec.structs.replace(
        settings,
        redis_prefix=f"{name}:",
        postgres=f"{url}{separator}options=-csearch_path%3D{name}",
    )


@contextmanager
def emptied(settings: Settings, name: str) -> Iterator[None]:
    """Make the part empty, and remove it in the end; `settings` are those of all tenants."""
    schema = sql.Identifier(name)
    with (
        psycopg.connect(settings.postgres, autocommit=True) as connection,
        redis.Redis.from_url(settings.redis) as client,
    ):
        _forget(connection, client, name)
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
        try:
            yield
        finally:
            _forget(connection, client, name)


def _forget(
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
