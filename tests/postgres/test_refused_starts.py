"""Every program refuses a Postgres that it can't use at its start, before it reads anything."""

import subprocess
import sys
from collections.abc import Iterator

import msgspec
import psycopg
import pytest

from mobility.settings import Settings, to_environ
from tests.databases import encoded, new_database
from tests.dataflows.conftest import ROOT, Hub, hub
from tests.pgbouncer import pgbouncer
from tests.waiting import DEADLINE

__all__ = ["hub"]

pytestmark = pytest.mark.services

FLOW = ("dataflows", "-r", "{folder}")
HOUR = ("--from", "2025-01-06T12:00:00Z", "--to", "2025-01-06T13:00:00Z")
PROGRAMS = {
    "main": (FLOW, 2),
    "serving": ((*FLOW, "--flow", "serving"), 2),
    "api": (("api",), 2),
    "backfill": (("backfill", "--records", "{folder}", *HOUR), 1),
    "audit": (("audit.sampling",), 2),
    "running audit": (("audit.watch",), 2),
}
"""By program, its arguments and the exit code of a refusal."""


@pytest.fixture(scope="module")
def latin1(services: Settings) -> Iterator[str]:
    """Return the URL of a database that is not UTF8."""
    with new_database(services, encoded("LATIN1")) as url:
        yield url


def run(hub: Hub, name: str, url: str) -> str:
    """Run a program against a Postgres, check that it is refused, and return what it says."""
    arguments, code = PROGRAMS[name]
    settings = msgspec.structs.replace(hub.settings, stores=("postgres",), postgres=url)
    environ = hub.environ() | to_environ(settings)
    process = subprocess.run(
        [sys.executable, "-m", *(each.format(folder=hub.recovery) for each in arguments)],
        cwd=ROOT,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    said = process.stdout + process.stderr
    assert "Traceback" not in said
    assert process.returncode == code, said
    return said


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_database_that_is_not_utf8(hub: Hub, latin1: str, name: str) -> None:
    """The message has the encoding and the remedy; the database stays empty."""
    hub.make_topics()
    said = run(hub, name, latin1)
    assert "has the encoding LATIN1" in said
    assert "ENCODING 'UTF8'" in said
    with psycopg.connect(latin1) as connection:
        tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        assert connection.execute(tables).fetchall() == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_pooler_that_shares_connections(hub: Hub, services: Settings, name: str) -> None:
    """The message says which mode of the pooler can be used."""
    hub.make_topics()
    with new_database(services) as url, pgbouncer(url, "transaction") as pooled:
        assert "pool_mode = session" in run(hub, name, pooled)
