"""What is done to the ledger of Postgres in the background: rollups, and the retention."""

import logging
import threading
from typing import Final

import psycopg

from mobility.entities import ENTITIES, Entity
from mobility.rollups import ROLLUPS
from mobility.settings import Settings
from postgres.connection import Connection, connect
from sinks.retention import drop_old_windows
from sinks.rollups import Pause, drop_old_rollups, make_rollups
from sinks.sql_files import sql_file
from sinks.store import WRITERS

EVERY_SECONDS: Final = 60.0

_LOCK_KEY: Final = len(WRITERS) + 1
_BUSY: Final = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)

_log: Final = logging.getLogger(__name__)


class LedgerMaintenance:
    """Maintains the ledger every minute, in a thread and over a connection of its own.

    All processes of a flow have one; the one that gets the lock does the work of a round. A failure
    is logged when it begins, and has no other consequence.
    """

    def __init__(self, settings: Settings, *, every: float = EVERY_SECONDS) -> None:
        """Maintain the Postgres of these settings, where they name one; not before `start`."""
        self._settings = settings
        self._every = every
        self._closing = threading.Event()
        self._has_failed = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, the first time after `every` seconds."""
        if "postgres" in self._settings.stores:
            self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End after the span or the week that is worked on."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(self._every):
            try:
                maintain_ledger(self._settings, self._closing.wait)
            except Exception as error:  # noqa: BLE001 - no failure here may end the flow
                if not self._has_failed:
                    _log.warning("The ledger of Postgres is not maintained: %s", error)
                self._has_failed = True
            else:
                self._has_failed = False


def maintain_ledger(settings: Settings, pause: Pause = lambda _: False) -> None:
    """Roll up what can be, and drop what is older than its retention.

    Nothing is done where another process does so now. Work ends where `pause` says so. Raises
    psycopg.Error. What needs a lock that others hold for over a second is left to the next round.
    """
    with connect(settings.postgres, "ledger", answer_seconds=None) as connection:
        row = connection.execute(sql_file("acquire_maintenance_lock.sql"), {"key": _LOCK_KEY})
        if row.fetchall() != [(True,)]:
            return
        connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED  # see make_rollups
        connection.execute("SET lock_timeout = '1500ms'")
        for entity in ENTITIES:
            try:
                lowest = _lowest_watermark(connection, entity)
                if lowest is None:
                    continue
                if not make_rollups(connection, entity, settings, lowest, pause):
                    return
                _drop_old(connection, entity, settings, lowest)
            except _BUSY as error:
                _log.info("The ledger of %s is maintained later: %s", entity.name, error)


def _lowest_watermark(connection: Connection, entity: Entity) -> int | None:
    """Return the lowest watermark of the shards (epoch ms); None where none was recorded."""
    statement, params = sql_file("select_lowest_watermark.sql"), {"entity": entity.name}
    ((lowest,),) = connection.execute(statement, params).fetchall()
    return None if lowest is None else int(str(lowest))


def _drop_old(connection: Connection, entity: Entity, settings: Settings, lowest: int) -> None:
    """Drop what is older than its retention, counted from the lowest watermark."""
    retention = settings.retention_ms
    if "panes" in retention:
        limit = lowest - retention["panes"] - settings.window_ms
        drop_old_windows(connection, entity, limit)
    for rollup in ROLLUPS:
        if rollup.name in retention:
            limit = lowest - retention[rollup.name] - settings.window_ms
            drop_old_rollups(connection, entity, rollup, limit)
