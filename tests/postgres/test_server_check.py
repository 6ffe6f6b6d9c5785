"""Servers that are refused: encodings, poolers, options that are discarded."""

from contextlib import ExitStack
from typing import LiteralString

import psycopg
import pytest

from mobility.settings import Settings, masked
from postgres.server_check import UnsuitableServerError, check_server
from tests.databases import encoded, new_database
from tests.pgbouncer import PoolMode, pgbouncer

pytestmark = pytest.mark.services


def refusal(url: str) -> str:
    """Return why the server of a URL is refused; the message names it without its password."""
    with pytest.raises(UnsuitableServerError) as error:
        check_server(url)
    message = str(error.value)
    assert masked(url) in message
    assert "MOBILITY_POSTGRES" in message
    return message


def test_an_ordinary_server_is_taken(services: Settings, settings: Settings) -> None:
    """Also with a search path in its URL, as `settings` have one."""
    check_server(services.postgres)
    check_server(settings.postgres)


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_another_encoding_than_utf8_is_refused(services: Settings, encoding: LiteralString) -> None:
    """The message names the encoding, and how a database with the right one is created."""
    with new_database(services, encoded(encoding)) as url:
        message = refusal(url)
    assert f"has the encoding {encoding}" in message
    assert "ENCODING 'UTF8' TEMPLATE template0" in message


@pytest.mark.parametrize("pool_mode", ["transaction", "statement"])
@pytest.mark.parametrize("pool_size", ["1", "20"])
@pytest.mark.parametrize("round_robin", ["0", "1"])
def test_a_pooler_that_shares_connections_is_refused(
    services: Settings, pool_mode: PoolMode, pool_size: str, round_robin: str
) -> None:
    """Whatever the size of its pool, and whichever connection it takes."""
    options = {"default_pool_size": pool_size, "server_round_robin": round_robin}
    with pgbouncer(services.postgres, pool_mode, **options) as url:
        assert "pool_mode = session" in refusal(url)


def test_a_busy_pooler_is_refused(services: Settings) -> None:
    """Other clients use connections of the pool in turns meanwhile."""
    with pgbouncer(services.postgres, "transaction") as url, ExitStack() as stack:
        others = [stack.enter_context(psycopg.connect(url)) for _ in range(6)]
        for other in others:
            other.execute("SELECT 1")
        for other in others[::2]:
            other.commit()
        assert "pool_mode = session" in refusal(url)


def test_the_check_leaves_nothing_on_shared_connections(services: Settings) -> None:
    """The next client of the connection has its settings as they are without us.

    But for the application's name, which PgBouncer sets for each client by itself.
    """
    query = (
        "SELECT name FROM pg_settings WHERE source = 'session' AND name <> 'application_name' "
        "ORDER BY 1"
    )
    with pgbouncer(services.postgres, "transaction", default_pool_size="1") as url:
        with psycopg.connect(url, autocommit=True) as neighbour:
            before = neighbour.execute(query).fetchall()
        refusal(url)
        with psycopg.connect(url, autocommit=True) as neighbour:
            assert neighbour.execute(query).fetchall() == before
            assert neighbour.execute("SELECT name FROM pg_prepared_statements").fetchall() == []


def test_a_pooler_of_sessions_is_taken(services: Settings) -> None:
    """Each client has a connection to the server of its own there."""
    with pgbouncer(services.postgres, "session") as url:
        check_server(url)


def test_options_that_a_pooler_discards_are_refused(services: Settings) -> None:
    """Else the tables would be created in another schema."""
    discards = {"ignore_startup_parameters": "options"}
    with pgbouncer(services.postgres, "session", **discards) as url:
        message = refusal(f"{url}?options=-csearch_path%3Dhub")
    assert "asks for the search path 'hub', and the session has '\"$user\", public'" in message
    assert "ALTER ROLE ... SET search_path = hub" in message
