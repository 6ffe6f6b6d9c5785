"""Which servers are refused, because programs would fail later or harm others on them."""

from typing import Final, NoReturn

from psycopg.conninfo import conninfo_to_dict

from mobility.settings import masked
from postgres.connection import Connection, connect

_ANSWER_SECONDS: Final = 2.0
_ROUNDS: Final = 3

_SESSION: Final = """
SELECT
    pg_backend_pid(),
    current_setting('server_encoding'),
    current_database(),
    current_setting('search_path')
"""


class UnsuitableServerError(RuntimeError):
    """A server that can't be used as it is; the message says which one, why, and what to do."""


def check_server(url: str) -> None:
    """Raise UnsuitableServerError where the server behind a URL can't be used.

    Raises psycopg.Error where it does not answer within seconds.
    """
    with _open(url) as connection:
        check_connection(connection, url)


def check_connection(connection: Connection, url: str) -> None:
    """Do the same over a connection to that URL: the first thing that it is used for.

    It has to be in autocommit mode, and changes nothing that would stay on a shared connection.
    """
    ((pid, encoding, database, search_path),) = connection.execute(_SESSION).fetchall()
    if encoding != "UTF8":
        _refuse_encoding(url, str(database), str(encoding))
    # A pooler makes up the process id that a client gets: that of the server is another one.
    if pid != connection.info.backend_pid and _shares_connections(connection, url):
        _refuse_shared_connections(url)
    wanted = _search_path(url)
    if wanted not in {None, search_path}:
        _refuse_search_path(url, str(wanted), str(search_path))


def _open(url: str) -> Connection:
    return connect(
        url, "server check", answer_seconds=_ANSWER_SECONDS, connect_seconds=int(_ANSWER_SECONDS)
    )


def _shares_connections(connection: Connection, url: str) -> bool:
    """Return whether two clients of a pooler have been given the same connection to the server.

    Or one client another connection than before, while a second client keeps that busy. Where a
    pooler gives each session a connection of its own (`pool_mode = session`) neither happens.
    """
    with _open(url) as other:
        pid = _backend_pid(connection)
        for _ in range(_ROUNDS):
            if _backend_pid(other) == pid:
                return True
            with other.transaction():
                _backend_pid(other)
                if _backend_pid(connection) != pid:
                    return True
    return False


def _backend_pid(connection: Connection) -> int:
    ((pid,),) = connection.execute("SELECT pg_backend_pid()").fetchall()
    return int(str(pid))


def _search_path(url: str) -> str | None:
    """Return the search path that a URL asks for; None where it asks for none."""
    options = str(conninfo_to_dict(url).get("options") or "")
    for option in reversed(options.replace("-c ", "-c").split()):
        name, _, value = option.removeprefix("-c").removeprefix("--").partition("=")
        if name == "search_path":
            return value
    return None


def _refuse_encoding(url: str, database: str, encoding: str) -> NoReturn:
    msg = (
        f"Postgres at {masked(url)} can't be used: the database {database!r} has the encoding "
        f"{encoding}, and ids can have characters that only UTF8 has.\n"
        "Create a database with CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0, and name "
        "it in MOBILITY_POSTGRES. pg_dump and psql bring along what the old one has."
    )
    raise UnsuitableServerError(msg)


def _refuse_shared_connections(url: str) -> NoReturn:
    msg = (
        f"Postgres at {masked(url)} can't be used: it is a pooler that shares connections between "
        "clients after each transaction (PgBouncer: pool_mode = transaction or statement). Locks "
        "and settings would stay on the connections of other programs.\n"
        "Name the server itself in MOBILITY_POSTGRES, or a pool with pool_mode = session."
    )
    raise UnsuitableServerError(msg)


def _refuse_search_path(url: str, wanted: str, actual: str) -> NoReturn:
    msg = (
        f"Postgres at {masked(url)} can't be used: MOBILITY_POSTGRES asks for the search path "
        f"{wanted!r}, and the session has {actual!r}. A pooler discards the options of a URL "
        "(PgBouncer: ignore_startup_parameters), so tables would be created in another schema.\n"
        "Name the server itself in MOBILITY_POSTGRES, or set the search path of its user: "
        f"ALTER ROLE ... SET search_path = {wanted}"
    )
    raise UnsuitableServerError(msg)
