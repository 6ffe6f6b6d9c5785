"""What a process says of itself reaches the stores, whatever they do."""

import itertools
import json
import threading
from typing import Any

import msgspec
import psycopg
import pytest
from redis import Redis

from mobility.keys import RedisKeys
from mobility.settings import Settings
from mobility.status import AuditStatus, encode_status
from sinks.session import open_session
from sinks.status import Teller
from tests.waiting import until

pytestmark = pytest.mark.services

RECORD = encode_status(AuditStatus(at=7))


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
    numbers, made = itertools.count(), set[int]()

    def record() -> bytes:
        made.add(number := next(numbers))
        return encode_status(AuditStatus(at=number))

    teller = Teller(laid_out, "p", record, every=0.01)
    teller.start()
    teller.start()
    until(lambda: len(made), "over twenty records", lambda count: count > 20)
    teller.close()
    held = [json.loads(in_redis(laid_out) or ""), in_postgres(laid_out) or {}]
    # Each store's thread makes its own record, and one of them made the last.
    assert max(each["at"] for each in held) == max(made)
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
    until(lambda: in_postgres(laid_out) and in_redis(laid_out), "the record in both stores")
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
    until(lambda: in_postgres(away), "the record in Postgres")
    until(
        lambda: caplog.text,
        "the failure of Redis",
        lambda log: "does not take the status of p" in log,
    )
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
    until(lambda: caplog.text, "a failure of Postgres", lambda log: "does not take" in log)
    open_session(alone).close()
    until(lambda: in_postgres(alone), "the record in Postgres")
    teller.close()
    assert "takes the status of p again" in caplog.text


def test_without_stores_nobody_is_told() -> None:
    """Nothing starts, and the end comes at once."""
    teller = Teller(Settings(), "p", lambda: RECORD)
    teller.start()
    assert teller_threads() == 0
    teller.close()
