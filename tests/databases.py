"""Databases for one test only, for what would affect other tests."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, LiteralString
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from mobility.entities import Entity
from mobility.settings import Settings
from postgres.connection import Connection
from sinks.partitions import create_partitions, week_of


@contextmanager
def new_database(services: Settings, options: LiteralString = "") -> Iterator[str]:
    """Create a database with these options of CREATE DATABASE, and drop it in the end.

    Yields its URL, with the user and the password of `services`.
    """
    name = f"test_{secrets.token_hex(4)}"
    with psycopg.connect(services.postgres, autocommit=True) as connection:
        create = sql.SQL("CREATE DATABASE {} TEMPLATE template0 {}")
        connection.execute(create.format(sql.Identifier(name), sql.SQL(options)))
        try:
            yield urlsplit(services.postgres)._replace(path=f"/{name}").geturl()
        finally:
            drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
            connection.execute(drop.format(sql.Identifier(name)))


def set_read_only(services: Settings, url: str, value: bool) -> None:
    """Let a database take no writes, or take them again, and end its sessions, as a failover does.

    `services` name another database on the same server.
    """
    name = urlsplit(url).path.removeprefix("/")
    change = sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = {}")
    end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s"
    with psycopg.connect(services.postgres, autocommit=True) as connection:
        connection.execute(change.format(sql.Identifier(name), sql.Literal(value)))
        connection.execute(end, (name,))


def encoded(encoding: LiteralString) -> LiteralString:
    """Return the options of a database with an encoding, which not every locale allows."""
    return f"ENCODING '{encoding}' LOCALE_PROVIDER libc LOCALE 'C'"


def prepare_ledger(url: str, entity: Entity, first: datetime, last: datetime) -> None:
    """Create the partitions for windows that a test writes itself, and say which these are."""
    with Connection.connect(url) as connection:
        starts = [int(time.timestamp() * 1_000) for time in (first, last)]
        create_partitions(connection, entity, {week_of(start) for start in starts})
        connection.execute(
            "INSERT INTO sequence_numbers (entity, number, oldest_window, newest_window) "
            "VALUES (%s, 1, %s, %s)",
            [entity.name, *starts],
        )


def query(settings: Settings, statement: str) -> list[tuple[Any, ...]]:
    """Return the rows of a statement, as any client would get them."""
    with psycopg.connect(settings.postgres, autocommit=True) as connection:
        return connection.execute(statement).fetchall()
