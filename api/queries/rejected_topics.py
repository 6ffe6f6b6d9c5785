"""Reading `trips_dlq` and `trips_late` for requests: the one module of the API that reads Kafka.

A read runs in a thread beside the event loop, and requests share it. Nothing else of the API waits
for Kafka (ADR 31).
"""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, TypeVar

from api.errors import KafkaUnavailableError
from api.queries.rejected_pages import Offsets, RejectedRead, keep_message
from broker.errors import BrokerError, MissingTopicError
from broker.newest_messages import ReadBounds, read_newest
from mobility.rejected_messages import RejectedKind
from mobility.settings import Settings

T = TypeVar("T")

BOUNDS: Final = ReadBounds(messages=5_000, bytes=32 * 1024 * 1024, seconds=3.0)
"""What one read may take."""

WAIT_SECONDS: Final = 6.0
"""How long requests wait for a read, from its start on; to find no topic takes three seconds."""

SHARED_SECONDS: Final = 1.0
"""How long the read of the newest messages, or its failure, answers further requests."""

_MAX_READS: Final = 2
"""How many reads run at the same time: one of each topic, or of older messages."""

_Key = tuple[str, tuple[tuple[int, int], ...] | None]
Read = Callable[[RejectedKind, Offsets | None], RejectedRead | None]


@dataclass(slots=True)
class _SharedRead:
    """A read that runs, or has just ended."""

    task: "asyncio.Task[RejectedRead | None]"
    started: float = field(default_factory=time.monotonic)


class RejectedTopics:
    """The topics of rejected messages, as requests read them."""

    def __init__(self, settings: Settings, read: Read | None = None) -> None:
        self._settings = settings
        self._read: Read = read or self._read_kafka
        self._slots = asyncio.Semaphore(_MAX_READS)
        self._reads: dict[_Key, _SharedRead] = {}

    async def newest(
        self, kind: RejectedKind, before: Mapping[int, int] | None
    ) -> RejectedRead | None:
        """Return what was read of the newest messages, or of those before these offsets.

        None without the topic. Raises KafkaUnavailableError.
        """
        key = kind.command, None if before is None else tuple(sorted(before.items()))
        shared = self._reads.get(key)
        if shared is None:
            shared = self._reads[key] = _SharedRead(asyncio.create_task(self._run(kind, before)))
            shared.task.add_done_callback(lambda task: self._forget_soon(key, task))
        left = shared.started + WAIT_SECONDS - time.monotonic()
        try:
            # A request that leaves, or waits no longer, does not end the read of others.
            return await asyncio.wait_for(asyncio.shield(shared.task), left)
        except TimeoutError:
            msg = (
                f"Kafka at {self._settings.kafka} (MOBILITY_KAFKA) has not answered within "
                f"{WAIT_SECONDS:.0f} s"
            )
            raise KafkaUnavailableError(msg) from None

    def close(self) -> None:
        """Wait for no read any more."""
        for shared in self._reads.values():
            shared.task.cancel()

    def _forget_soon(self, key: _Key, task: "asyncio.Task[RejectedRead | None]") -> None:
        _, before = key
        if not task.cancelled():
            task.exception()  # it is no news where all requests have left
        loop = asyncio.get_running_loop()
        # Older messages are asked for by one client: their reads are not kept in memory.
        loop.call_later(0 if before else SHARED_SECONDS, self._reads.pop, key, None)

    async def _run(self, kind: RejectedKind, before: Offsets | None) -> RejectedRead | None:
        async with self._slots:
            try:
                return await _in_thread(lambda: self._read(kind, before))
            except BrokerError as error:
                raise KafkaUnavailableError(str(error)) from error

    def _read_kafka(self, kind: RejectedKind, before: Offsets | None) -> RejectedRead | None:
        topic = kind.topic(self._settings)
        try:
            found = read_newest(self._settings, topic, keep_message, BOUNDS, before)
        except MissingTopicError:
            return None
        return RejectedRead(found.kept, found.starts, found.begins)


async def _in_thread(work: Callable[[], T]) -> T:
    """Return the result of work in a thread of its own, which a stop of the API does not wait for.

    A broker that does not answer would hold the threads of a pool, which Python waits for.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: Exception | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(result)  # type: ignore[arg-type] # the result of the work
        else:
            done.set_exception(error)

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - raised where it is awaited
            failure = error
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name="kafka", daemon=True).start()
    return await done
