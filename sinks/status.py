"""Publishes the status record of a process to the stores, every second, for the API to read.

Independent of the windows: each store has its own thread and connection here, so a store that is
unavailable delays neither the flow nor the status in the other store.
"""

import atexit
import logging
import threading
from collections.abc import Callable, Iterable
from typing import Final

from mobility.settings import Settings
from sinks.registry import store_kind
from sinks.status_writers import StatusWriter

PUBLISH_SECONDS: Final = 1.0
"""Seconds between two records."""

_LAST_RECORD_SECONDS: Final = 2.0

_log: Final = logging.getLogger(__name__)

MakeRecord = Callable[[], bytes]
"""Returns the current status record of this process: a JSON object, see mobility/status.py."""


class StatusPublisher:
    """Publishes what `record` returns to the stores of the settings, from `start` to `close`.

    A failure is logged when it begins and when it ends, and has no other consequence.
    """

    def __init__(
        self,
        settings: Settings,
        process: str,
        record: MakeRecord,
        *,
        every: float = PUBLISH_SECONDS,
    ) -> None:
        """Publish under the name `process`, every so many seconds."""
        self._process = process
        self._record = record
        self._every = every
        self._settings = settings
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start a thread for each store; do nothing where they run or `close` was called.

        `close` is called when the interpreter exits, unless it was called before.
        """
        with self._lock:
            if self._threads or self._closing.is_set():
                return
            for writer in _status_writers(self._settings):
                thread = threading.Thread(
                    target=self._publish, args=(writer,), name=f"status {writer.name}", daemon=True
                )
                self._threads.append(thread)
                thread.start()
        if self._threads:
            atexit.register(self.close)

    def close(self) -> None:
        """Publish a last record, for which each store gets _LAST_RECORD_SECONDS, and stop."""
        self._closing.set()
        for thread in self._threads:
            thread.join(_LAST_RECORD_SECONDS)
        atexit.unregister(self.close)

    def _publish(self, writer: StatusWriter) -> None:
        is_published = True
        while True:
            # Read before the record is made, so that the last record is made after `close`.
            is_last = self._closing.is_set()
            is_published = self._put(writer, is_published)
            if is_last:
                break
            self._closing.wait(self._every)
        writer.close()

    def _put(self, writer: StatusWriter, was_published: bool) -> bool:
        """Write a record; return whether the store took it."""
        try:
            writer.put(self._process, self._record())
        except Exception as error:  # noqa: BLE001 - no failure here may end the flow
            if was_published:
                reason = " ".join(str(error).split()) or type(error).__name__
                _log.warning("%s rejects the status of %s: %s", writer.name, self._process, reason)
            writer.close()
            return False
        if not was_published:
            _log.warning("%s takes the status of %s again", writer.name, self._process)
        return True


def _status_writers(settings: Settings) -> Iterable[StatusWriter]:
    for store in settings.stores:
        writer = store_kind(store).status_writer(settings)
        if writer is not None:
            yield writer
