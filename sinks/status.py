"""What a process says of itself, written to the stores every second for the API to read.

Beside the windows and never before them: each store has a thread of its own here, with a connection
of its own, so a store that is away holds up neither the flow nor the word in the other store.
"""

import atexit
import logging
import threading
from collections.abc import Callable, Iterable
from typing import Final, Protocol

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from mobility.keys import RedisKeys
from mobility.settings import Settings, masked
from mobility.status import EXPIRY
from sinks.scripts import text

EVERY: Final = 1.0
"""Seconds between two records."""

_ANSWER_SECONDS: Final = 2
_LAST_WORD_SECONDS: Final = 2.0

_log: Final = logging.getLogger(__name__)

Record = Callable[[], bytes]
"""Returns the record of this process as it is now: a JSON object."""


class Place(Protocol):
    """Where records are kept: the newest of each process, for as long as it goes on speaking."""

    name: str

    def put(self, process: str, record: bytes) -> None:
        """Replace a process's record. Raises whatever the client does."""
        ...

    def close(self) -> None:
        """Give up the connection; the next `put` opens another."""
        ...


class RedisPlace:
    """A key a process, which expires, and an index of the processes."""

    def __init__(self, settings: Settings) -> None:
        self.name = f"Redis at {masked(settings.redis)}"
        self._keys = RedisKeys.of(settings)
        self._client = redis.Redis.from_url(
            settings.redis,
            socket_connect_timeout=_ANSWER_SECONDS,
            socket_timeout=_ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )

    def put(self, process: str, record: bytes) -> None:
        """Replace a process's record."""
        with self._client.pipeline() as commands:
            commands.set(self._keys.status(process), record, ex=EXPIRY)
            commands.sadd(self._keys.processes, process)
            commands.execute()

    def close(self) -> None:
        """Give up the connection."""
        self._client.close()


class PostgresPlace:
    """A row a process in the table `status`."""

    def __init__(self, settings: Settings) -> None:
        self.name = f"Postgres at {masked(settings.postgres)}"
        self._url = settings.postgres
        self._connection: psycopg.Connection[tuple[object, ...]] | None = None

    def put(self, process: str, record: bytes) -> None:
        """Replace a process's record."""
        row = {"process": process, "record": record.decode()}
        self._connected().execute(text("sql", "upsert_status.sql"), row)

    def close(self) -> None:
        """Give up the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> psycopg.Connection[tuple[object, ...]]:
        if self._connection is None:
            self._connection = psycopg.connect(
                self._url,
                autocommit=True,
                client_encoding="UTF8",
                connect_timeout=_ANSWER_SECONDS,
                tcp_user_timeout=_ANSWER_SECONDS * 1_000,
                application_name="mobility-hub status",
            )
            self._connection.execute(text("sql", "prepare_status_session.sql"))
        return self._connection


class Teller:
    """Tells the stores of the settings what `record` returns, from `start` to `close`.

    A failure is logged when it begins and when it ends, and is nobody else's business.
    """

    def __init__(
        self, settings: Settings, process: str, record: Record, *, every: float = EVERY
    ) -> None:
        self._process = process
        self._record = record
        self._every = every
        self._settings = settings
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin, unless it has begun; without stores there is nobody to tell.

        The last word comes when the process ends in order.
        """
        with self._lock:
            if self._threads or self._closing.is_set():
                return
            for place in _places(self._settings):
                thread = threading.Thread(
                    target=self._tell, args=(place,), name=f"status {place.name}", daemon=True
                )
                self._threads.append(thread)
                thread.start()
        if self._threads:
            atexit.register(self.close)

    def close(self) -> None:
        """Say the last word, if the stores take it within moments."""
        self._closing.set()
        for thread in self._threads:
            thread.join(_LAST_WORD_SECONDS)
        atexit.unregister(self.close)

    def _tell(self, place: Place) -> None:
        is_told = True
        while True:
            # Asked before the record is made: the last word is said after the end was asked for.
            is_last = self._closing.is_set()
            is_told = self._put(place, is_told)
            if is_last:
                break
            self._closing.wait(self._every)
        place.close()

    def _put(self, place: Place, was_told: bool) -> bool:
        try:
            place.put(self._process, self._record())
        except Exception as error:  # noqa: BLE001 - whatever it is, the flow goes on
            if was_told:
                reason = " ".join(str(error).split()) or type(error).__name__
                _log.warning(
                    "%s does not take the status of %s: %s", place.name, self._process, reason
                )
            place.close()
            return False
        if not was_told:
            _log.warning("%s takes the status of %s again", place.name, self._process)
        return True


def _places(settings: Settings) -> Iterable[Place]:
    if "redis" in settings.stores:
        yield RedisPlace(settings)
    if "postgres" in settings.stores:
        yield PostgresPlace(settings)
