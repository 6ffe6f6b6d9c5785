"""Retries while a store is unavailable: how long, how often, and what is logged."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
import redis

from mobility.entities import BY_NAME
from mobility.settings import Settings
from sinks.postgres import connect_postgres
from sinks.redis_session import RedisSession, redis_client
from sinks.retry import RETRY_SECONDS, RetryPolicy
from sinks.store import StoreError
from tests.waiting import DEADLINE

DRIVER = BY_NAME["driver"]
Build = Any


class FlakyStore:
    """A store that answers at the given attempt, and the sleeps before it, which take no time."""

    def __init__(self, answers_at: int) -> None:
        self.attempts = 0
        self.sleeps: list[float] = []
        self._answers_at = answers_at

    def attempt(self) -> str:
        """Return an answer, or fail like a lost connection."""
        self.attempts += 1
        if self.attempts < self._answers_at:
            msg = f"attempt {self.attempts}\nfailed"
            raise ConnectionError(msg)
        return "answer"


def policy(store: FlakyStore, **others: Any) -> RetryPolicy:  # noqa: ANN401 - options of RetryPolicy
    """Return a policy that retries lost connections to that store."""

    def remedy(error: Exception) -> str | None:
        return "Is it running?" if isinstance(error, ConnectionError) else None

    return RetryPolicy("Store", remedy, sleep=store.sleeps.append, **others)


def test_the_first_failure_and_the_recovery_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The log names the store when the retries begin and when they end, and not in between."""
    store = FlakyStore(10)
    with caplog.at_level(logging.WARNING):
        assert policy(store).run(store.attempt) == "answer"
    assert [record.getMessage() for record in caplog.records] == [
        "Waiting up to 120 seconds for Store: attempt 1 failed",
        "Store answers again",
    ]
    assert sorted(store.sleeps) == store.sleeps


def test_a_store_that_answers_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is logged where nothing was retried."""
    store = FlakyStore(1)
    assert policy(store).run(store.attempt) == "answer"
    assert not caplog.records


def test_retries_end() -> None:
    """After two minutes the error names the store, the reason and what to do."""
    store = FlakyStore(10**9)
    with pytest.raises(StoreError, match=r"(?s)Store is not available: attempt .*Is it running"):
        policy(store).run(store.attempt)
    assert RETRY_SECONDS <= sum(store.sleeps) < RETRY_SECONDS + 2


def test_the_time_of_attempts_counts() -> None:
    """The two minutes contain the time of the attempts."""
    store = FlakyStore(10**9)
    now = iter(range(0, 10**6, 50))
    with pytest.raises(StoreError):
        policy(store, clock=lambda: next(now)).run(store.attempt)
    assert store.attempts < 5


def test_a_stop_ends_the_retries() -> None:
    """After a stop was requested, the next failure ends the flow."""
    store = FlakyStore(10**9)
    with pytest.raises(StoreError, match="written again after the next start"):
        policy(store, stop_requested=lambda: store.attempts >= 3).run(store.attempt)
    assert store.attempts == 3


def test_a_permanent_error_is_not_retried() -> None:
    """An error without a remedy is raised at once."""
    store = FlakyStore(1)

    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        policy(store).run(fail)
    assert not store.sleeps


@pytest.mark.services
def test_a_lock_of_another_session_is_retried(
    settings: Settings, window: Build, frame: Build, caplog: pytest.LogCaptureFixture
) -> None:
    """While a table is locked the batch is retried, and the log says why; then it is written."""
    has_slept = threading.Event()

    def sleep(_: float) -> None:
        has_slept.set()

    store = connect_postgres(settings, "main", sleep=sleep)
    with ThreadPoolExecutor(1) as pool, psycopg.connect(settings.postgres) as other:
        other.execute("LOCK TABLE driver_totals")
        writing = pool.submit(store.apply, DRIVER, frame(window()))
        assert has_slept.wait(DEADLINE)
        other.rollback()
        assert writing.result().applied == 1
    assert "lock timeout" in caplog.text
    assert "answers again" in caplog.text
    store.close()


@pytest.mark.services
def test_a_stop_ends_the_retries_for_a_lock(
    settings: Settings, window: Build, frame: Build
) -> None:
    """A stop that is requested while another session holds a lock ends in an error."""
    store = connect_postgres(settings, "main", stop_requested=lambda: True)
    with psycopg.connect(settings.postgres) as other:
        other.execute("LOCK TABLE driver_totals")
        with pytest.raises(StoreError, match="a stop was requested"):
            store.apply(DRIVER, frame(window()))
    store.close()


@pytest.mark.services
def test_a_redis_that_loads_its_data_is_retried(redis_only: Settings) -> None:
    """A Redis that has just started is retried, a wrong password is not."""
    sleeps: list[float] = []
    session = RedisSession(redis_client(redis_only), redis_only, "main", sleep=sleeps.append)
    answers: list[type[Exception] | None] = [redis.BusyLoadingError, redis.TimeoutError, None]

    def command() -> int:
        error = answers.pop(0)
        if error is not None:
            raise error
        return 7

    assert session.call(command) == 7
    assert len(sleeps) == 2
    answers.append(redis.AuthenticationError)
    with pytest.raises(StoreError):
        session.call(command)
    assert len(sleeps) == 2
    session.close()


@pytest.mark.services
def test_a_full_disk_is_not_retried(settings: Settings) -> None:
    """Retries would not free space: the flow ends, and continues exactly once there is some."""
    store = connect_postgres(settings, "main", sleep=lambda _: pytest.fail("retried"))

    def fill(_: object) -> None:
        msg = "could not extend file: No space left on device"
        raise psycopg.errors.DiskFull(msg)

    with pytest.raises(StoreError, match="No space left"):
        store._session.run(fill)
    store.close()
