"""Connections to Postgres: timeouts, restarts of the server, and the size of the pool."""

import asyncio
import os
import secrets
import signal
import socket
import time
from contextlib import ExitStack, closing

import psycopg
import pytest
from litestar.testing import TestClient
from psycopg import sql

from api.app import create_app
from api.queries.postgres_client import QUERY_SECONDS, ConnectionPool
from mobility.settings import Settings
from tests.databases import encoded, new_database
from tests.pgbouncer import pgbouncer

NUMBER = sql.SQL("SELECT 7 AS number")


def named(name: str) -> sql.Composed:
    """Return the statement that sets the name by which the server lists a session."""
    query = sql.SQL("SELECT set_config('application_name', {}, false)")
    return query.format(sql.Literal(name))


@pytest.mark.parametrize("store", ["redis", "postgres"])
def test_a_store_that_does_not_answer_times_out(store: str) -> None:
    """If a server accepts the connection and sends nothing, the response is 503 after seconds."""
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        port = silent.getsockname()[1]
        settings = Settings(
            redis=f"redis://127.0.0.1:{port}/0",
            postgres=f"postgresql://mobility@127.0.0.1:{port}/mobility",
            stores=("redis",) if store == "redis" else ("postgres",),
        )
        with TestClient(create_app(settings), "http://127.0.0.1") as http:
            started = time.monotonic()
            response = http.get("/metrics/driver/d1")
            seconds = time.monotonic() - started
    assert response.status_code == 503
    assert response.json()["detail"] == f"{store} does not answer in time"
    assert seconds < 2 * QUERY_SECONDS


@pytest.mark.services
def test_a_query_has_a_timeout(services: Settings) -> None:
    """The connection is closed when Postgres does not answer in time; the next query works."""

    async def run() -> float:
        pool = ConnectionPool(services.postgres, NUMBER)
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            await pool.fetch(sql.SQL("SELECT pg_sleep(60)"))
        seconds = time.monotonic() - started
        assert await pool.fetch(NUMBER) == [{"number": 7}]
        await pool.close()
        return seconds

    assert QUERY_SECONDS <= asyncio.run(run()) < 2 * QUERY_SECONDS


@pytest.mark.services
def test_a_server_that_is_stopped_is_given_up(services: Settings) -> None:
    """It takes the query and sends nothing; the next query gets another connection."""
    pid_of = sql.SQL("SELECT pg_backend_pid() AS pid")

    async def run() -> float:
        pool = ConnectionPool(services.postgres, NUMBER)
        (row,) = await pool.fetch(pid_of)
        os.kill(row["pid"], signal.SIGSTOP)
        try:
            started = time.monotonic()
            with pytest.raises(TimeoutError):
                await pool.fetch(NUMBER)
            seconds = time.monotonic() - started
            assert await pool.fetch(pid_of) != [row]
        finally:
            os.kill(row["pid"], signal.SIGCONT)
        await pool.close()
        return seconds

    assert asyncio.run(run()) >= QUERY_SECONDS


@pytest.mark.services
@pytest.mark.parametrize("is_pooled", [False, True])
def test_an_unsuitable_server_is_named(
    services: Settings, caplog: pytest.LogCaptureFixture, is_pooled: bool
) -> None:
    """Also one that comes up after the API has started; the log has the remedy."""
    with ExitStack() as stack:
        if is_pooled:
            url = stack.enter_context(pgbouncer(services.postgres, "transaction"))
        else:
            url = stack.enter_context(new_database(services, encoded("SQL_ASCII")))
        settings = Settings(postgres=url, stores=("postgres",))
        with TestClient(create_app(settings), "http://127.0.0.1") as http:
            response = http.get("/metrics/driver/d1")
    assert response.status_code == 503
    assert response.json()["detail"] == "postgres is refused: the log of the API says why"
    assert ("pool_mode = session" if is_pooled else "ENCODING 'UTF8'") in caplog.text


@pytest.mark.services
def test_closed_connections_are_replaced(services: Settings) -> None:
    """Connections that the server has closed are replaced without an error."""
    name = f"api-{secrets.token_hex(4)}"

    async def run() -> None:
        pool = ConnectionPool(services.postgres, named(name))
        queries = [pool.fetch(sql.SQL("SELECT pg_sleep(0.2)")) for _ in range(3)]
        await asyncio.gather(*queries)
        assert _terminate(services, name) == 3
        assert await pool.fetch(NUMBER) == [{"number": 7}]
        await pool.close()

    asyncio.run(run())


@pytest.mark.services
def test_a_snapshot_that_is_refused_keeps_its_connection(services: Settings) -> None:
    """As a question about windows that were dropped; one that fails closes it."""
    pid = sql.SQL("SELECT pg_backend_pid() AS pid")

    async def ask(pool: ConnectionPool, pids: list[int], *, fails: bool) -> None:
        async with pool.snapshot(pid) as ([row], fetch):
            pids.append(row["pid"])
            if fails:
                await fetch(sql.SQL("SELECT 1 / 0"), {})
            raise ValueError

    async def run() -> tuple[list[int], int]:
        pool = ConnectionPool(services.postgres, NUMBER)
        pids: list[int] = []
        for _ in range(2):
            with pytest.raises(ValueError, match=r"\A\Z"):
                await ask(pool, pids, fails=False)
        with pytest.raises(psycopg.errors.DivisionByZero):
            await ask(pool, pids, fails=True)
        [row] = await pool.fetch(pid)
        await pool.close()
        return pids, row["pid"]

    pids, last = asyncio.run(run())
    assert len({*pids}) == 1
    assert last not in pids


@pytest.mark.services
def test_connections_are_few_and_reused(services: Settings) -> None:
    """Many queries at once share a few connections, and later queries reuse them."""
    name = f"api-{secrets.token_hex(4)}"

    async def run() -> None:
        pool = ConnectionPool(services.postgres, named(name))
        for _ in range(2):
            await asyncio.gather(*(pool.fetch(NUMBER) for _ in range(40)))
        assert 1 <= _terminate(services, name) <= 8
        await pool.close()

    asyncio.run(run())


def _terminate(services: Settings, name: str) -> int:
    """End the sessions of a name; return how many there were."""
    query = (
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = %s"
    )
    with psycopg.connect(services.postgres, autocommit=True) as connection:
        return len(connection.execute(query, (name,)).fetchall())
