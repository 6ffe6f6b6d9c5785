"""The few connections to Postgres that the threads of a process share."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from postgres.connection import STOP_SECONDS, Connection
from sinks.retry import StopRequested

_POLL_SECONDS = 0.1


class ConnectionPool:
    """Lends up to `size` connections, each to one thread at a time.

    `connect` opens them when they are needed. One that is closed when it comes back was lost.
    """

    def __init__(
        self, connect: Callable[[], Connection], size: int, stop_requested: StopRequested
    ) -> None:
        self.size = size
        self._connect = connect
        self._stop_requested = stop_requested
        self._slots = threading.Semaphore(size)
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._lent: set[Connection] = set()
        self._is_closed = False

    @contextmanager
    def lend(self) -> Iterator[Connection]:
        """Lend a connection; block until one is free.

        Raises psycopg.OperationalError where a stop is requested and none becomes free.
        """
        self._take_slot()
        try:
            connection = self._take_idle() or self._connect()
            with self._lock:
                self._lent.add(connection)
            try:
                yield connection
            finally:
                with self._lock:
                    self._lent.remove(connection)
                    if self._is_closed:
                        connection.close()
                    elif not connection.closed:
                        self._idle.append(connection)
        finally:
            self._slots.release()

    def close(self) -> None:
        """Close all connections; those that are lent when they come back."""
        with self._lock:
            self._is_closed = True
        self.close_idle()

    def close_idle(self) -> None:
        """Close the connections that are not lent."""
        while (connection := self._take_idle()) is not None:
            connection.close()

    def silent_seconds(self) -> float:
        """Return how long the longest unanswered request waits; 0 without one."""
        now = time.monotonic()
        with self._lock:
            since = [connection.silent_since for connection in self._lent]
        return max((now - each for each in since if each is not None), default=0.0)

    def _take_idle(self) -> Connection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _take_slot(self) -> None:
        stopping_since: float | None = None
        while not self._slots.acquire(timeout=_POLL_SECONDS):
            if not self._stop_requested():
                continue
            stopping_since = stopping_since or time.monotonic()
            if time.monotonic() - stopping_since > STOP_SECONDS:
                msg = "no connection became free"
                raise psycopg.OperationalError(msg)
