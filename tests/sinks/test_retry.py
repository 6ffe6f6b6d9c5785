"""A store that is away is waited for, for so long and no longer, and the log says so."""

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
from sinks.redis_session import Link, redis_client
from sinks.retry import SECONDS, Patience
from sinks.store import StoreError

DRIVER = BY_NAME["driver"]
Build = Any


class Away:
    """A store that answers at the given attempt, and a wait that takes no time."""

    def __init__(self, answers_at: int) -> None:
        self.attempts = 0
        self.waits: list[float] = []
        self._answers_at = answers_at

    def attempt(self) -> str:
        """Answer, or fail like a lost connection."""
        self.attempts += 1
        if self.attempts < self._answers_at:
            msg = f"attempt {self.attempts}\nfailed"
            raise ConnectionError(msg)
        return "answer"


def patience(away: Away, **others: Any) -> Patience:  # noqa: ANN401 - whatever Patience takes
    """Return patience with that store, for which lost connections are worth another attempt."""

    def advice(error: Exception) -> str | None:
        return "Is it running?" if isinstance(error, ConnectionError) else None

    return Patience("Store", advice, wait=away.waits.append, **others)


def test_it_waits_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    """The log names what is waited for when that begins and when it ends, and not in between."""
    away = Away(10)
    with caplog.at_level(logging.WARNING):
        assert patience(away).run(away.attempt) == "answer"
    assert [record.getMessage() for record in caplog.records] == [
        "Waiting up to 120 seconds for Store: attempt 1 failed",
        "Store answers again",
    ]
    assert sorted(away.waits) == away.waits


def test_a_store_that_answers_is_not_talked_about(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is logged where nothing was waited for."""
    away = Away(1)
    assert patience(away).run(away.attempt) == "answer"
    assert not caplog.records


def test_it_ends() -> None:
    """After two minutes the error names the store, the reason and what to do."""
    away = Away(10**9)
    with pytest.raises(StoreError, match=r"(?s)Store does not answer: attempt .*Is it running"):
        patience(away).run(away.attempt)
    assert SECONDS <= sum(away.waits) < SECONDS + 2


def test_attempts_that_take_long_count_too() -> None:
    """The time of the attempts is part of the two minutes."""
    away = Away(10**9)
    now = iter(range(0, 10**6, 50))
    with pytest.raises(StoreError):
        patience(away, clock=lambda: next(now)).run(away.attempt)
    assert away.attempts < 5


def test_a_stop_is_not_kept_waiting() -> None:
    """Where a stop was asked for, a store that is away ends the flow at once."""
    away = Away(10**9)
    with pytest.raises(StoreError, match="sent again at the next start"):
        patience(away, stopping=lambda: away.attempts >= 3).run(away.attempt)
    assert away.attempts == 3


def test_what_no_attempt_would_change_is_not_repeated() -> None:
    """An error without remedy is the caller's, at once."""
    away = Away(1)

    def wrong() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        patience(away).run(wrong)
    assert not away.waits


@pytest.mark.services
def test_a_lock_of_somebody_else_is_waited_for(
    settings: Settings, window: Build, frame: Build, caplog: pytest.LogCaptureFixture
) -> None:
    """While the tables are locked the batch waits, the log says for what; then it is written."""
    begun = threading.Event()
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        begun.set()

    store = connect_postgres(settings, "main", wait=wait)
    with ThreadPoolExecutor(1) as pool, psycopg.connect(settings.postgres) as other:
        other.execute("LOCK TABLE driver_totals")
        writing = pool.submit(store.apply, DRIVER, frame(window()))
        assert begun.wait(60)
        other.rollback()
        assert writing.result().applied == 1
    assert "lock timeout" in caplog.text
    assert "answers again" in caplog.text
    store.close()


@pytest.mark.services
def test_a_stop_ends_the_waiting_for_a_lock(
    settings: Settings, window: Build, frame: Build
) -> None:
    """A stop that is asked for while somebody else holds a lock ends in an error, not in a hang."""
    store = connect_postgres(settings, "main", stopping=lambda: True)
    with psycopg.connect(settings.postgres) as other:
        other.execute("LOCK TABLE driver_totals")
        with pytest.raises(StoreError, match="a stop was asked for"):
            store.apply(DRIVER, frame(window()))
    store.close()


@pytest.mark.services
def test_a_redis_that_loads_its_data_is_waited_for(alone: Settings) -> None:
    """The answers of a Redis that has just started are waited for, a wrong password is told."""
    waits: list[float] = []
    link = Link(redis_client(alone), alone, "main", wait=waits.append)
    answers: list[type[Exception] | None] = [redis.BusyLoadingError, redis.TimeoutError, None]

    def question() -> int:
        error = answers.pop(0)
        if error is not None:
            raise error
        return 7

    assert link.ask(question) == 7
    assert len(waits) == 2
    answers.append(redis.AuthenticationError)
    with pytest.raises(StoreError):
        link.ask(question)
    assert len(waits) == 2
    link.close()


@pytest.mark.services
def test_a_full_disk_is_told_at_once(settings: Settings) -> None:
    """It does not go away by waiting: the flow ends, and goes on exactly when there is space."""
    store = connect_postgres(settings, "main", wait=lambda _: pytest.fail("waited"))

    def fill(_: object) -> None:
        msg = "could not extend file: No space left on device"
        raise psycopg.errors.DiskFull(msg)

    with pytest.raises(StoreError, match="No space left"):
        store._session.run(fill)
    store.close()
