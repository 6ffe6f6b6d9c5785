"""An id that Redis lacks is refilled from Postgres, unless it is new there as well."""

import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, TypeVar
from unittest.mock import patch

import polars as pl
import pytest
import redis
from polars.testing import assert_frame_equal

from mobility.entities import BY_NAME, Entity
from mobility.keys import RedisKeys
from mobility.measures import STARTS
from mobility.settings import Settings
from mobility.totals import highest_versions
from sinks.history import History, PostgresHistory
from sinks.postgres import PostgresStore, connect_postgres
from sinks.postgres_session import open_postgres_session
from sinks.redis import CHUNK, RedisStore, connect_redis
from sinks.redis_session import RedisSession
from sinks.store import ApplyResult

pytestmark = pytest.mark.services

DRIVER = BY_NAME["driver"]
TWO_DAYS = 48 * 12
"""The retention of the ledger, in windows."""

Build = Any
Both = tuple[PostgresStore, RedisStore]
T = TypeVar("T")


@pytest.fixture
def both(settings: Settings) -> Iterator[Both]:
    """Return the two stores of these settings, as two."""
    postgres_store, redis_store = (
        connect_postgres(settings, "main"),
        connect_redis(settings, "main"),
    )
    yield postgres_store, redis_store
    for store in (postgres_store, redis_store):
        store.close()


def test_a_lost_id_is_refilled_from_postgres(
    both: Both, settings: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """After Redis was emptied, the next window of an id refills all of its totals."""
    postgres_store, redis_store = both
    ids = ["d1", "d 2", 'd"3', "é:4"]
    history = [window(name, at=at) for name in ids for at in (0, 5, TWO_DAYS + 9)]
    for store in (postgres_store, redis_store):
        store.apply(DRIVER, highest_versions(frame(*history)))
    for key in client.scan_iter(f"{settings.redis_prefix}*driver*"):
        client.delete(key)

    changes = highest_versions(frame(*(window(name, at=TWO_DAYS + 10) for name in [*ids, "new"])))
    postgres_store.apply(DRIVER, changes)
    assert redis_store.apply(DRIVER, changes) == ApplyResult(unchanged=5)
    assert_frame_equal(redis_store.totals(DRIVER), postgres_store.totals(DRIVER))
    recent = postgres_store.windows(DRIVER).filter(
        pl.col("window_start") > window(at=6)["window_start"]
    )
    assert_frame_equal(redis_store.windows(DRIVER), recent)


def test_a_window_from_before_the_ledger_refills_its_id(
    both: Both, settings: Settings, window: Build, frame: Build
) -> None:
    """With Postgres, Redis refuses no window, and its totals contain windows of any age."""
    assert settings.redis_ledger_hours == 48
    postgres_store, redis_store = both
    late = frame(window(at=0, trip_count=5), window(at=1, generation=1))
    for store in (postgres_store, redis_store):
        store.apply(DRIVER, frame(window(at=0), window(at=1), window(at=TWO_DAYS * 2)))
    postgres_store.apply(DRIVER, late)
    assert redis_store.apply(DRIVER, late).refused == 0
    assert_frame_equal(redis_store.totals(DRIVER), postgres_store.totals(DRIVER))
    assert redis_store.totals(DRIVER)["trip_count"].to_list() == [7]


@pytest.mark.parametrize("postgres_first", [True, False])
def test_a_refill_counts_nothing_twice(
    both: Both, window: Build, frame: Build, postgres_first: bool
) -> None:
    """Totals are the same whether or not the history contains the windows of the batch."""
    postgres_store, redis_store = both
    postgres_store.apply(DRIVER, frame(window(at=0), window(at=1)))
    changes = frame(window(at=1, trip_count=4), window(at=2))
    for store in (postgres_store, redis_store) if postgres_first else (redis_store, postgres_store):
        store.apply(DRIVER, changes)
    assert_frame_equal(redis_store.totals(DRIVER), postgres_store.totals(DRIVER))
    assert_frame_equal(redis_store.windows(DRIVER), postgres_store.windows(DRIVER))
    assert redis_store.totals(DRIVER)["trip_count"].to_list() == [6]


def test_a_new_id_is_not_refilled(
    settings: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """It starts with its first batch, also over several script calls; a lost id is refilled."""
    rows = [window("first"), *(window("long", at=at) for at in range(CHUNK + 5)), window("new")]
    read: list[list[str]] = []

    class RecordingHistory(PostgresHistory):
        def lock_and_read(self, entity: Entity, ids: list[str], use: Callable[[History], T]) -> T:
            read.append(ids)
            return super().lock_and_read(entity, ids, use)

    postgres_store = connect_postgres(settings, "main")
    session = RedisSession(client, settings, "main")
    redis_store = RedisStore(
        session,
        settings,
        RecordingHistory(open_postgres_session(settings), settings),
        session.initialize(),
    )
    new_ids = postgres_store.apply(DRIVER, frame(*rows)).new_ids
    assert sorted(new_ids) == ["first", "long", "new"]
    redis_store.apply(DRIVER, frame(*rows), new_ids)
    assert read == []
    changes = [window(name, at=CHUNK + 9) for name in ("first", "long", "new")]
    client.delete(RedisKeys.of(settings).ledger(DRIVER, "long"))
    assert postgres_store.apply(DRIVER, frame(*changes)).new_ids == ()
    redis_store.apply(DRIVER, frame(*changes))
    assert read == [["long"]]
    assert_frame_equal(redis_store.totals(DRIVER), postgres_store.totals(DRIVER))
    for store in (postgres_store, redis_store):
        store.close()


def test_a_new_id_that_exists_is_kept(both: Both, window: Build, frame: Build) -> None:
    """It may have been refilled since Postgres took the batch, with later windows as well."""
    postgres_store, redis_store = both
    first, second = frame(window(at=0)), frame(window(at=TWO_DAYS + 1))
    new_ids = postgres_store.apply(DRIVER, first).new_ids
    postgres_store.apply(DRIVER, second)
    redis_store.refill(DRIVER, ["d1"])
    for rows in (first, second):
        assert redis_store.apply(DRIVER, rows, new_ids) == ApplyResult(unchanged=1)
    assert_frame_equal(redis_store.totals(DRIVER), postgres_store.totals(DRIVER))


def test_a_new_id_that_is_lost_between_two_calls_is_refilled(
    both: Both, settings: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """Only the first script call may start a new id; the second refills it where it is missing."""
    rows = frame(*(window(at=at) for at in range(CHUNK + 5)))
    postgres_store, redis_store = both
    new_ids = postgres_store.apply(DRIVER, rows).new_ids
    run, calls = redis_store._session.run_script, count()

    def lose(script: str, keys: list[str], args: list[str | int | bytes]) -> list[Any]:
        if next(calls) == 1:
            assert client.delete(RedisKeys.of(settings).ledger(DRIVER, "d1"))
        done: list[Any] = run(script, keys, args)
        return done

    with patch.object(redis_store._session, "run_script", lose):
        redis_store.apply(DRIVER, rows, new_ids)
    assert_frame_equal(redis_store.totals(DRIVER), postgres_store.totals(DRIVER))


@pytest.mark.parametrize("since", ["it was emptied", "a backfill is running"])
def test_a_new_id_is_refilled_where_it_may_have_been_lost(
    both: Both, settings: Settings, client: redis.Redis, window: Build, frame: Build, since: str
) -> None:
    """A backfill may have written windows that the flow does not repeat, and Redis lost them."""
    postgres_store, redis_store = both
    rows = frame(window(at=0))
    new_ids = postgres_store.apply(DRIVER, rows).new_ids
    postgres_store.apply(DRIVER, frame(window(at=1, generation=1)))
    if since == "it was emptied":
        assert client.delete(*client.scan_iter(f"{settings.redis_prefix}*"))
        connect_redis(settings, "main").close()
    else:
        until = f"{(time.time() + 30) * 1_000:.0f}"
        client.hset(RedisKeys.of(settings).meta, "backfill_until", until)
    assert redis_store.apply(DRIVER, rows, new_ids) == ApplyResult(unchanged=1)
    assert_frame_equal(redis_store.totals(DRIVER), postgres_store.totals(DRIVER))


def test_a_refilled_id_keeps_its_earliest_start(both: Both, window: Build, frame: Build) -> None:
    """A trip from before the refilled windows stays the first when these change or are removed."""
    postgres_store, redis_store = both
    postgres_store.apply(DRIVER, frame(window(at=0), window(at=TWO_DAYS + 1)))
    recent = window(at=TWO_DAYS + 1)
    corrected = recent | {"generation": 1, "start_time": recent["start_time"] + 60_000}
    redis_store.apply(DRIVER, frame(corrected))
    redis_store.apply(DRIVER, frame(window(at=TWO_DAYS * 3)))  # prunes the ledger
    assert redis_store.totals(DRIVER)["start_time"].to_list() == [window()["start_time"]]


def test_a_refilled_id_keeps_its_latest_start(both: Both, window: Build, frame: Build) -> None:
    """Where all refilled windows lose their trips, the last trip is one from before them.

    It need not be in the last of those: by their ends, a later window can hold an earlier start.
    """
    postgres_store, redis_store = both
    recent = window(at=TWO_DAYS + 2)
    long = window(at=1, **dict.fromkeys(STARTS, window()["start_time"] - 7_200_000))
    postgres_store.apply(DRIVER, frame(window(at=0), long, recent))
    redis_store.refill(DRIVER, ["d1"])
    empty = {"trip_count": 0, "total_duration": 0, "total_distance": 0, "total_revenue": 0}
    for store in (postgres_store, redis_store):
        store.apply(DRIVER, frame(recent | {"generation": 1, **empty}))
        assert store.totals(DRIVER)["last_start_time"].to_list() == [window()["last_start_time"]]


def test_an_id_without_a_latest_start_is_refilled_from_postgres(
    both: Both, settings: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """An id of release 0.1 counts as missing, and is refilled at its next window."""
    postgres_store, redis_store = both
    for store in (postgres_store, redis_store):
        store.apply(DRIVER, frame(window("d1"), window("d2")))
    keys = RedisKeys.of(settings)
    for name in ("d1", "d2"):
        client.hdel(keys.totals(DRIVER, name), "last_start_time")
        ledger = keys.ledger(DRIVER, name)
        earlier, *_ = str(client.hget(ledger, "totals")).rsplit(" ", 2)
        client.hset(ledger, "totals", earlier)
    assert redis_store.missing_ids(DRIVER, ["d1", "d2"]) == ["d1", "d2"]
    redis_store.refill(DRIVER, ["d1"])
    for store in (postgres_store, redis_store):
        store.apply(DRIVER, frame(window("d2", trip_count=2)))
    assert redis_store.missing_ids(DRIVER, ["d1", "d2"]) == []
    assert_frame_equal(redis_store.totals(DRIVER), postgres_store.totals(DRIVER))
