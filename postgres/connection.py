"""Connections that give up on a server which takes a request and does not answer it."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NoReturn, TypeVar

import psycopg
from psycopg.abc import PQGen

from mobility.settings import masked

STOP_SECONDS: Final = 5.0
"""How long a request may stay unanswered after a stop was requested."""

_LOGGED_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.1

_log: Final = logging.getLogger(__name__)

T = TypeVar("T")


def _no_stop() -> bool:
    return False


class Connection(psycopg.Connection[tuple[object, ...]]):
    """A connection that is lost where the server sends nothing for `answer_seconds`.

    TCP does not notice that: the kernel confirms packets for processes that hang. Each byte counts,
    so a long result is no silence. Once `stop_requested` returns True, the server has STOP_SECONDS.
    """

    name: str = "Postgres"
    answer_seconds: float | None = None
    stop_requested: Callable[[], bool] = staticmethod(_no_stop)
    silent_since: float | None = None
    """Since when (monotonic seconds) a request is not answered; None without a request."""

    @contextmanager
    def without_bound(self) -> Iterator[None]:
        """Wait for answers as long as it takes, unless a stop is requested."""
        bound, self.answer_seconds = self.answer_seconds, None
        try:
            yield
        finally:
            self.answer_seconds = bound

    def wait(
        self, gen: PQGen[T], interval: float = _POLL_SECONDS, timeout: float | None = None
    ) -> T:
        """Return the result of a request; raises psycopg.OperationalError where it is given up."""
        try:
            return super().wait(self._bounded(gen), interval, timeout)
        finally:
            self.silent_since = None

    def _bounded(self, request: PQGen[T]) -> PQGen[T]:
        """Run a request, which psycopg resumes when it can go on, and every `interval`."""
        stopping_since: float | None = None
        is_logged = False
        try:
            state = next(request)
            self.silent_since = since = time.monotonic()
            while True:
                ready = yield state
                now = time.monotonic()
                if ready:
                    self.silent_since = since = now
                elif stopping_since is None and self.stop_requested():
                    stopping_since = now
                if now - since > _LOGGED_SECONDS and not is_logged:
                    _log.warning("%s has not answered for %.0f s", self.name, _LOGGED_SECONDS)
                    is_logged = True
                if self.answer_seconds is not None and now - since > self.answer_seconds:
                    self._give_up(now - since)
                if stopping_since is not None and now - max(since, stopping_since) > STOP_SECONDS:
                    self._give_up(now - since)
                state = request.send(ready)
        except StopIteration as end:
            result: T = end.value
            return result

    def _give_up(self, seconds: float) -> NoReturn:
        # At once, so that nothing which cleans up waits for this server again.
        self.pgconn.finish()
        msg = f"it has not answered a request for {seconds:.0f} s"
        raise psycopg.OperationalError(msg)


def connect(
    url: str,
    program: str,
    *,
    answer_seconds: float | None,
    connect_seconds: int = 5,
    stop_requested: Callable[[], bool] = _no_stop,
) -> Connection:
    """Return a connection in autocommit mode, whose requests have that bound.

    `program` is the application name that the server lists. Raises psycopg.OperationalError.
    """
    connection = Connection.connect(
        url,
        autocommit=True,
        # A prepared statement would keep the plan that was made for an empty table.
        prepare_threshold=None,
        client_encoding="UTF8",
        connect_timeout=connect_seconds,
        # Notices a server whose machine is gone, which never sends a reset:
        # https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-TCP-USER-TIMEOUT
        tcp_user_timeout=30_000,
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=4,
        application_name=f"mobility-hub {program}",
    )
    connection.name = f"Postgres at {masked(url)}"
    connection.answer_seconds = answer_seconds
    connection.stop_requested = stop_requested
    return connection
