"""The line to one store: open, or resting after a failure."""

import logging
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from prometheus_client import Counter, Histogram

from api.queries.contract import Asked, StoreDown
from mobility.settings import Store, masked

REST: Final = 1.0
"""Seconds that a store which failed is left alone."""

_SECONDS: Final = Histogram(
    "mobility_store_answer_seconds",
    "How long an answer of a store, or its failure, was waited for",
    ["store"],
)
_FAILURES: Final = Counter(
    "mobility_store_failures", "Questions that a store did not answer", ["store"]
)

T = TypeVar("T")
R = TypeVar("R", bound=Asked)

_log = logging.getLogger(__name__)


class Line(Generic[R]):
    """A reader, and whether it answered when it was last asked."""

    def __init__(self, reader: R, clock: Callable[[], float]) -> None:
        self._reader = reader
        self._clock = clock
        self._seconds = _SECONDS.labels(reader.store)
        self._failure: StoreDown | None = None
        self._rests_until = 0.0

    @property
    def store(self) -> Store:
        """The store's name."""
        return self._reader.store

    async def ask(self, question: Callable[[R], Awaitable[T]]) -> T:
        """Return the store's answer; raises StoreDown at once while it rests."""
        if self._failure is not None and self._clock() < self._rests_until:
            raise StoreDown(self.store, self._failure.reason)
        try:
            with self._seconds.time():
                answer = await question(self._reader)
        except StoreDown as down:
            _FAILURES.labels(self.store).inc()
            if self._failure is None:
                cause = " ".join(masked(str(down.__cause__)).split())
                _log.warning("%s (%s)", down, cause or type(down.__cause__).__name__)
            self._failure = down
            self._rests_until = self._clock() + REST
            raise
        if self._failure is not None:
            _log.warning("%s answers again", self.store)
            self._failure = None
        return answer

    async def close(self) -> None:
        """Close the reader."""
        await self._reader.close()
