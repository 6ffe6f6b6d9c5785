"""What a process says of itself reaches the stores, whatever they do."""

import itertools
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec
import psycopg
import pytest
from redis import Redis

from mobility.keys import RedisKeys
from mobility.settings import Settings
from mobility.status import AuditStatus, encode_status
from sinks.postgres_session import open_session
from sinks.status import Teller

pytestmark = pytest.mark.services

RECORD = encode_status(AuditStatus(at=7))


def until(is_so: Callable[[], bool]) -> None:
    """Return when it is so."""
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def in_redis(settings: Settings, process: str = "p") -> bytes | None:
    """Return what Redis holds of a process."""
    with Redis.from_url(settings.redis) as redis:
        found: bytes | None = redis.get(RedisKeys.of(settings).status(process))
        return found


def in_postgres(settings: Settings, process: str = "p") -> dict[str, Any] | None:
    """Return what Postgres holds of a process."""
    with psycopg.connect(settings.postgres) as connection:
        row = connection.execute("SELECT record FROM status WHERE process = %s", [process])
        found = row.fetchone()
        return None if found is None else dict(found[0])


@pytest.fixture
def laid_out(settings: Settings) -> Settings:
    """Return settings of stores with their schema."""
    open_session(settings).close()
    return settings


def test_both_stores_are_told_until_the_last_word(laid_out: Settings) -> None:
    """The newest record stands in both, and the one that is made at the end comes last."""
    numbers = itertools.count()
    teller = Teller(laid_out, "p", lambda: encode_status(AuditStatus(at=next(numbers))), every=0.01)
    teller.start()
    teller.start()
    until(lambda: next(numbers) > 20)
    teller.close()
    last = next(numbers) - 1
    held = [json.loads(in_redis(laid_out) or ""), in_postgres(laid_out) or {}]
    # Each store's thread makes its own record, and one of them made the last.
    assert max(record["at"] for record in held) == last
    assert teller_threads() == 0


def teller_threads() -> int:
    """Return how many threads still tell."""
    return sum(thread.name.startswith("status ") for thread in threading.enumerate())


def test_a_process_that_is_gone_is_forgotten(laid_out: Settings) -> None:
    """Its key expires, and its row is a day old when another process begins."""
    with psycopg.connect(laid_out.postgres) as connection:
        connection.execute("INSERT INTO status VALUES ('old', now() - interval '25 hours', '{}')")
        connection.execute("INSERT INTO status VALUES ('new', now() - interval '23 hours', '{}')")
    teller = Teller(laid_out, "p", lambda: RECORD)
    teller.start()
    until(lambda: in_postgres(laid_out) is not None and in_redis(laid_out) is not None)
    teller.close()
    assert in_postgres(laid_out, "old") is None
    assert in_postgres(laid_out, "new") is not None
    with Redis.from_url(laid_out.redis) as redis:
        assert 0 < redis.ttl(RedisKeys.of(laid_out).status("p")) <= 60


def test_a_store_that_is_away_holds_up_nobody(
    laid_out: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """The other store is told, the failure stands in the log once, and its end too."""
    away = msgspec.structs.replace(laid_out, redis="redis://:hunter2@127.0.0.1:1/0")
    teller = Teller(away, "p", lambda: RECORD, every=0.01)
    teller.start()
    until(lambda: in_postgres(away) is not None)
    until(lambda: "does not take the status of p" in caplog.text)
    teller.close()
    assert caplog.text.count("does not take") == 1
    assert "hunter2" not in caplog.text


def test_a_table_that_comes_later_is_used_when_it_is_there(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """Before the schema is made there is nowhere to write to, which ends by itself."""
    alone = msgspec.structs.replace(settings, stores=("postgres",))
    teller = Teller(alone, "p", lambda: RECORD, every=0.01)
    teller.start()
    until(lambda: "does not take" in caplog.text)
    open_session(alone).close()
    until(lambda: in_postgres(alone) is not None)
    teller.close()
    assert "takes the status of p again" in caplog.text


def test_without_stores_nobody_is_told() -> None:
    """Nothing starts, and the end comes at once."""
    teller = Teller(Settings(), "p", lambda: RECORD)
    teller.start()
    assert teller_threads() == 0
    teller.close()
