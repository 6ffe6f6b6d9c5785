"""Stores that hang or come back: what no answer may depend on."""

import asyncio
import secrets
import socket
import time
from contextlib import closing

import psycopg
import pytest
from litestar.testing import TestClient
from psycopg import sql

from api.app import create_app
from api.queries.postgres_client import ANSWER_SECONDS, Connections
from mobility.settings import Settings

NUMBER = sql.SQL("SELECT 7")


def named(name: str) -> sql.Composed:
    """Return the statement that gives a session a name, by which the server lists it."""
    query = sql.SQL("SELECT set_config('application_name', {}, false)")
    return query.format(sql.Literal(name))


@pytest.mark.parametrize("store", ["redis", "postgres"])
def test_a_mute_store_is_given_up(store: str) -> None:
    """A server that takes the connection and says nothing costs some seconds, then 503."""
    with closing(socket.create_server(("127.0.0.1", 0))) as mute:
        port = mute.getsockname()[1]
        settings = Settings(
            redis=f"redis://127.0.0.1:{port}/0",
            postgres=f"postgresql://mobility@127.0.0.1:{port}/mobility",
            stores=("redis",) if store == "redis" else ("postgres",),
        )
        with TestClient(create_app(settings), "http://127.0.0.1") as http:
            began = time.monotonic()
            response = http.get("/metrics/driver/d1")
            took = time.monotonic() - began
    assert response.status_code == 503
    assert response.json()["detail"] == f"{store} does not answer in time"
    assert took < 2 * ANSWER_SECONDS


@pytest.mark.services
def test_a_question_has_a_deadline(services: Settings) -> None:
    """Postgres is hung up on when it does not answer in time, and can be asked again at once."""

    async def ask() -> float:
        connections = Connections(services.postgres, NUMBER)
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await connections.fetch(sql.SQL("SELECT pg_sleep(60)"))
        took = time.monotonic() - began
        assert await connections.fetch(NUMBER) == [(7,)]
        await connections.close()
        return took

    assert ANSWER_SECONDS <= asyncio.run(ask()) < 2 * ANSWER_SECONDS


@pytest.mark.services
def test_a_restart_is_not_noticed(services: Settings) -> None:
    """Connections that the server has closed in the meantime are replaced, without an error."""
    name = f"api-{secrets.token_hex(4)}"

    async def ask() -> None:
        connections = Connections(services.postgres, named(name))
        together = [connections.fetch(sql.SQL("SELECT pg_sleep(0.2)")) for _ in range(3)]
        await asyncio.gather(*together)
        assert _terminate(services, name) == 3
        assert await connections.fetch(NUMBER) == [(7,)]
        await connections.close()

    asyncio.run(ask())


@pytest.mark.services
def test_connections_are_few_and_kept(services: Settings) -> None:
    """Many questions at once share a few connections, and later ones use them again."""
    name = f"api-{secrets.token_hex(4)}"

    async def ask() -> None:
        connections = Connections(services.postgres, named(name))
        for _ in range(2):
            await asyncio.gather(*(connections.fetch(NUMBER) for _ in range(40)))
        assert 1 <= _terminate(services, name) <= 8
        await connections.close()

    asyncio.run(ask())


def _terminate(services: Settings, name: str) -> int:
    """End the sessions of a name; return how many there were."""
    query = (
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = %s"
    )
    with psycopg.connect(services.postgres, autocommit=True) as connection:
        return len(connection.execute(query, (name,)).fetchall())
