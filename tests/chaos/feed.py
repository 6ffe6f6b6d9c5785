"""A steady producer that runs through every fault, and knows what the log must hold in the end."""

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Final, Self

from confluent_kafka import KafkaError, Message, Producer

from mobility.settings import Settings
from mobility.topics import trips_topic
from tests.chaos.trips import Sent
from tests.waiting import until

_TICK: Final = 0.02
_FLUSH: Final = 120.0


class Prints:
    """The messages of a log by number and fingerprint, a partition each."""

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()
        self._hashes: dict[int, Any] = {}

    def add(self, partition: int, value: bytes | None) -> None:
        """Take in a partition's next message."""
        self.counts[partition] += 1
        print_ = self._hashes.setdefault(partition, hashlib.sha256())
        print_.update(b"-" if value is None else b"+%d " % len(value) + value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Prints) and self._whole() == other._whole()

    __hash__ = None  # type: ignore[assignment] # it changes

    def __repr__(self) -> str:
        return repr(self._whole())

    def _whole(self) -> dict[int, tuple[int, str]]:
        digests = {number: each.hexdigest()[:12] for number, each in self._hashes.items()}
        return {number: (self.counts[number], digests[number]) for number in sorted(digests)}


class Feed:
    """Sends messages at a steady rate (a second) from when it is entered until it is left.

    Idempotent, so that each is in the log once and in order, however often a broker dies. A slow
    machine only makes it slower: which messages come is the stream's matter, not the clock's.
    """

    def __init__(self, settings: Settings, messages: Iterable[Sent], rate: int = 0) -> None:
        self.sent = 0
        self.prints = Prints()
        self._messages: Iterator[Sent] = iter(messages)
        self._topic = trips_topic(settings)
        self._rate = rate
        self._failures: list[str] = []
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed")
        self._producer = Producer(
            {
                "bootstrap.servers": settings.kafka,
                "enable.idempotence": True,
                "linger.ms": 5,
                "on_delivery": self._delivered,
                "log_level": 0,  # it would tell of every broker that we have killed ourselves
            }
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leaving.set()
        self._thread.join()
        left = self._producer.flush(_FLUSH)
        if error is None:
            assert (left, self._failures) == (0, [])

    def wait_for(self, more: int) -> None:
        """Return when so many more messages have been sent."""
        goal = self.sent + more
        until(lambda: self.sent >= goal or not self._thread.is_alive(), f"{more} more messages")
        assert self.sent >= goal, f"the feed ended: {self._failures}"

    def send_all(self) -> None:
        """Send all messages at once; return when they are in the log."""
        for message in self._messages:
            self._send(message)
        assert self._producer.flush(_FLUSH) == 0
        assert self._failures == []

    def _run(self) -> None:
        begun = time.monotonic()
        done = 0
        while not self._leaving.wait(_TICK):
            due = int((time.monotonic() - begun) * self._rate)
            for _, message in zip(range(due - done), self._messages, strict=False):
                self._send(message)
            done = due

    def _send(self, message: Sent) -> None:
        while True:
            try:
                self._producer.produce(self._topic, message.value, partition=message.partition)
            except BufferError:
                self._producer.poll(_TICK)
                continue
            break
        self._producer.poll(0)
        self.prints.add(message.partition, message.value)
        self.sent += 1

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failures.append(f"partition {message.partition()}: {error.str()}")
