"""The status of a process in the stores, also while one of them is unavailable."""

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
from sinks.postgres_session import open_postgres_session
from sinks.status import StatusPublisher
from tests.waiting import until

pytestmark = pytest.mark.services

RECORD = encode_status(AuditStatus(at=7))


def in_redis(settings: Settings, process: str = "p") -> bytes | None:
    """Return the record of a process in Redis."""
    with Redis.from_url(settings.redis) as redis:
        found: bytes | None = redis.get(RedisKeys.of(settings).status(process))
        return found


def in_postgres(settings: Settings, process: str = "p") -> dict[str, Any] | None:
    """Return the record of a process in Postgres."""
    with psycopg.connect(settings.postgres) as connection:
        row = connection.execute("SELECT record FROM status WHERE process = %s", [process])
        found = row.fetchone()
        return None if found is None else dict(found[0])


@pytest.fixture
def migrated(settings: Settings) -> Settings:
    """Return settings of stores whose schema is migrated."""
    open_postgres_session(settings).close()
    return settings


def publisher_threads() -> int:
    """Return how many threads still publish."""
    return sum(thread.name.startswith("status ") for thread in threading.enumerate())


def test_both_stores_get_the_newest_record_until_the_end(migrated: Settings) -> None:
    """Each store has the last record of its thread, which was made after `close` was called."""
    numbers = itertools.count()
    made: dict[str, list[int]] = {"Redis": [], "Postgres": []}

    def record() -> bytes:
        _, store, *_ = threading.current_thread().name.split()
        made[store].append(next(numbers))
        return encode_status(AuditStatus(at=made[store][-1]))

    publisher = StatusPublisher(migrated, "p", record, every=0.01)
    publisher.start()
    publisher.start()
    assert publisher_threads() == 2
    until(lambda: all(len(each) > 10 for each in made.values()), "ten records a store")
    closed_at = next(numbers)
    publisher.close()
    assert publisher_threads() == 0
    stored = [json.loads(in_redis(migrated) or ""), in_postgres(migrated) or {}]
    assert [each["at"] for each in stored] == [made["Redis"][-1], made["Postgres"][-1]]
    assert all(each["at"] > closed_at for each in stored)


def test_the_record_of_an_ended_process_expires(migrated: Settings) -> None:
    """Its key has a time to live, and a row of over a day is deleted by the next process."""
    with psycopg.connect(migrated.postgres) as connection:
        connection.execute("INSERT INTO status VALUES ('old', now() - interval '25 hours', '{}')")
        connection.execute("INSERT INTO status VALUES ('new', now() - interval '23 hours', '{}')")
    publisher = StatusPublisher(migrated, "p", lambda: RECORD)
    publisher.start()
    until(lambda: in_postgres(migrated) and in_redis(migrated), "a record in both stores")
    publisher.close()
    assert in_postgres(migrated, "old") is None
    assert in_postgres(migrated, "new") is not None
    with Redis.from_url(migrated.redis) as redis:
        assert 0 < redis.ttl(RedisKeys.of(migrated).status("p")) <= 60


def test_an_unavailable_store_delays_no_other(
    migrated: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """The other store gets records, and the failure is logged once."""
    no_redis = msgspec.structs.replace(migrated, redis="redis://:hunter2@127.0.0.1:1/0")
    publisher = StatusPublisher(no_redis, "p", lambda: RECORD, every=0.01)
    publisher.start()
    until(lambda: in_postgres(no_redis), "a record in Postgres")
    until(lambda: "rejects the status of p" in caplog.text, "a message about Redis")
    publisher.close()
    assert caplog.text.count("rejects the status") == 1
    assert "hunter2" not in caplog.text


def test_a_table_that_is_created_later_is_used(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """Before the schema is migrated every record fails; afterwards they are written."""
    postgres_only = msgspec.structs.replace(settings, stores=("postgres",))
    publisher = StatusPublisher(postgres_only, "p", lambda: RECORD, every=0.01)
    publisher.start()
    until(lambda: "rejects the status" in caplog.text, "a message about the failure")
    open_postgres_session(postgres_only).close()
    until(lambda: in_postgres(postgres_only), "a record in Postgres")
    publisher.close()
    assert "takes the status of p again" in caplog.text


@pytest.mark.parametrize("settings", [Settings(), Settings(delta="lake", stores=("delta",))])
def test_without_a_store_that_shows_it_nothing_is_published(settings: Settings) -> None:
    """No thread starts, and `close` returns at once."""
    publisher = StatusPublisher(settings, "p", lambda: RECORD)
    publisher.start()
    assert publisher_threads() == 0
    publisher.close()
