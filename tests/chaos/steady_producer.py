"""A producer that sends at a constant rate during faults, and knows what the log must have."""

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Self

from confluent_kafka import KafkaError, Message, Producer

from mobility.settings import Settings
from mobility.topics import trips_topic
from tests.chaos.trip_stream import TripMessage
from tests.waiting import until

_TICK: Final = 0.02
_FLUSH: Final = 120.0


class LogDigest:
    """The number and hash of the messages of each partition of a log."""

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()
        self._hashes: dict[int, Any] = {}

    def add(self, partition: int, value: bytes | None) -> None:
        """Add a partition's next message."""
        self.counts[partition] += 1
        print_ = self._hashes.setdefault(partition, hashlib.sha256())
        print_.update(b"-" if value is None else b"+%d " % len(value) + value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LogDigest) and self._whole() == other._whole()

    __hash__ = None  # type: ignore[assignment] # it changes

    def __repr__(self) -> str:
        return repr(self._whole())

    def _whole(self) -> dict[int, tuple[int, str]]:
        digests = {number: each.hexdigest()[:12] for number, each in self._hashes.items()}
        return {number: (self.counts[number], digests[number]) for number in sorted(digests)}


class SteadyProducer:
    """A context manager that sends messages at a constant rate (per second) in a thread.

    Idempotent, so that each message is in the log once and in order, also after failures of the
    broker. On a slow machine it is slower, but the messages are the same. `config` are further
    properties of the client.
    """

    def __init__(
        self,
        settings: Settings,
        messages: Iterable[TripMessage],
        rate: int = 0,
        config: Mapping[str, str] | None = None,
    ) -> None:
        self.sent = 0
        self.digest = LogDigest()
        self._messages: Iterator[TripMessage] = iter(messages)
        self._topic = trips_topic(settings)
        self._rate = rate
        self._failures: list[str] = []
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run, name="producer")
        self._producer = Producer(
            {
                "bootstrap.servers": settings.kafka,
                "enable.idempotence": True,
                "max.in.flight.requests.per.connection": 1,
                "linger.ms": 5,
                # A topic that a broker does not know while it starts is asked for again soon, not
                # after five minutes.
                "topic.metadata.refresh.interval.ms": 5_000,
                "on_delivery": self._delivered,
                "log_level": 0,  # without messages about brokers that a test has killed
                **(config or {}),
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
            what = f"{left} messages not delivered after {_FLUSH:g} s; failed: {self._failures[:3]}"
            assert (left, self._failures) == (0, []), what

    def wait_until_sent(self, more: int) -> None:
        """Wait until so many more messages are sent."""
        goal = self.sent + more
        until(lambda: self.sent >= goal or not self._thread.is_alive(), f"{more} more messages")
        assert self.sent >= goal, f"the producer has stopped: {self._failures}"

    def send_all(self) -> None:
        """Send all messages at once; return when they are delivered."""
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

    def _send(self, message: TripMessage) -> None:
        self._produce(message)
        self._record([message])

    def _produce(self, message: TripMessage) -> None:
        while True:
            try:
                self._producer.produce(self._topic, message.value, partition=message.partition)
            except BufferError:
                self._producer.poll(_TICK)
                continue
            break
        self._producer.poll(0)

    def _record(self, messages: Iterable[TripMessage]) -> None:
        """Record messages that are counted: in the order of each partition of the log."""
        for message in messages:
            self.digest.add(message.partition, message.value)
            self.sent += 1

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failures.append(f"partition {message.partition()}: {error.str()}")
