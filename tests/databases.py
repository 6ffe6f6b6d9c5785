"""Databases for one test only, for what would affect other tests."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from mobility.settings import Settings


@contextmanager
def new_database(services: Settings, options: str = "") -> Iterator[str]:
    """Create a database with these options of CREATE DATABASE, and drop it in the end.

    Yields its URL, with the user and the password of `services`.
    """
    name = f"test_{secrets.token_hex(4)}"
    with psycopg.connect(services.postgres, autocommit=True) as connection:
        create = sql.SQL("CREATE DATABASE {} TEMPLATE template0 ") + sql.SQL(options)
        connection.execute(create.format(sql.Identifier(name)))
        try:
            yield urlsplit(services.postgres)._replace(path=f"/{name}").geturl()
        finally:
            drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
            connection.execute(drop.format(sql.Identifier(name)))


def encoded(encoding: str) -> str:
    """Return the options of a database with an encoding, which not every locale allows."""
    return f"ENCODING '{encoding}' LOCALE_PROVIDER libc LOCALE 'C'"
