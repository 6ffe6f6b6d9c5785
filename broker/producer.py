"""Producers that check every delivery."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Final

import polars as pl
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from broker.access import Access, denial, is_denied
from broker.clients import configured, producer_config
from broker.column_producer import ColumnProducer
from broker.connection import ConnectionErrors
from broker.errors import DeliveryDeniedError, DeliveryError
from broker.librdkafka import PARTITION_UNASSIGNED
from mobility.settings import Settings

Headers = list[tuple[str, str | bytes]]

OnDelivered = Callable[[Message], None]
"""Called for each message that Kafka has acknowledged."""

Tolerates = Callable[[str | None, KafkaError], bool]
"""Called with a topic and an error: returns whether that message may be lost."""

_POLL_SECONDS: Final = 0.1
_FLUSH_SECONDS: Final = 0.5

STOP_SECONDS: Final = 20.0
"""How long a stop waits for acknowledgements of a broker that does not answer."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """A message that was not taken; a fatal error of the client has no topic."""

    topic: str | None
    partition: int | None
    error: KafkaError

    def __str__(self) -> str:
        where = "every topic" if self.topic is None else self.topic
        part = "" if self.partition is None else f" partition {self.partition}"
        return f"{where}{part}: {self.error.str()}"


class CheckedProducer:
    """Sends messages and whole columns; what Kafka does not take raises DeliveryError.

    Where an ACL is missing it is a DeliveryDeniedError, which says which.

    Idempotent, so that a retry repeats nothing (KIP-98). Messages that have headers, or a partition
    of their own, are sent singly, as librdkafka takes no array of those. Clients are made when they
    are first used; any thread may use them. `failed` says whether a DeliveryError was raised.
    Once `stop_requested` returns True, messages wait for a broker no longer than STOP_SECONDS.
    """

    def __init__(
        self,
        settings: Settings,
        client_id: str,
        *,
        timeout_seconds: int | None = None,
        on_delivered: OnDelivered | None = None,
        tolerates: Tolerates | None = None,
        stop_requested: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
        logs: bool = False,
    ) -> None:
        self.failed = False
        self._settings = settings
        self._config = producer_config(
            settings, client_id, timeout_seconds=timeout_seconds, logs=logs
        )
        self._on_delivered = on_delivered
        self._tolerates = tolerates or (lambda _topic, _error: False)
        self._stop_requested = stop_requested
        self._clock = clock
        self._stop_since: float | None = None
        self._lock = threading.Lock()
        self._messages: Producer | None = None
        self._columns: ColumnProducer | None = None
        self._errors = ConnectionErrors(settings)
        self._failures: list[_Failure] = []

    def send(
        self,
        topic: str,
        keys: Sequence[str | bytes | None],
        values: Sequence[str | bytes | None],
        headers: Sequence[Headers] | None = None,
        partition: int | None = None,
    ) -> None:
        """Queue messages in this order, waiting while the queue is full.

        Without `partition` the key chooses it. Raises DeliveryError where one was not taken.
        """
        producer = self._message_producer
        for call in _calls(keys, values, headers, partition):
            try:
                while not _is_queued(producer, topic, call):
                    self._serve(producer.poll, _POLL_SECONDS)
                    self._check()
                    self._check_stop()
            except KafkaException as error:
                # A message that is too large, or for a topic that was refused before, is refused
                # here and not in a report.
                self._note(topic, None, error.args[0])
        self._serve(producer.poll, 0)
        self._check()

    def send_columns(self, topic: str, keys: pl.Series, values: pl.Series) -> None:
        """Queue a message a row: strings without nulls, equally many. Otherwise as `send`."""
        columns = self._column_producer
        columns.send(topic, keys, values)
        columns.poll(0)
        self._check()

    def poll(self) -> None:
        """Handle the reports that have come; raise DeliveryError where a message was not taken."""
        if self._messages is not None:
            self._serve(self._messages.poll, 0)
        if self._columns is not None:
            self._columns.poll(0)
        self._check()

    def flush(self) -> None:
        """Return when every message is acknowledged; raise DeliveryError where one is not taken."""
        # In steps, so that Ctrl-C is noticed and a failure ends the wait.
        for producer in (self._columns, self._messages):
            while producer is not None and self._serve(producer.flush, _FLUSH_SECONDS) > 0:
                self._check()
                self._check_stop()
        self._check()

    @property
    def _message_producer(self) -> Producer:
        with self._lock:
            if self._messages is None:
                reports = {
                    "on_delivery": self._report,
                    "delivery.report.only.error": self._on_delivered is None,
                    "error_cb": self._errors.note,
                }
                self._messages = configured(Producer, self._settings, self._config | reports)
            return self._messages

    @property
    def _column_producer(self) -> ColumnProducer:
        with self._lock:
            if self._columns is None:
                self._columns = configured(
                    lambda config: ColumnProducer(config, self._note, self._note_error),
                    self._settings,
                    self._config,
                )
            return self._columns

    def _serve(self, serve: Callable[[float], int | None], seconds: float) -> int:
        """Let a client handle what has come; return what it does, 0 after a fatal error."""
        try:
            return serve(seconds) or 0
        except (KafkaException, SystemError) as error:
            # confluent_kafka sets an exception for a fatal error and still calls the callback. Then
            # Python raises SystemError, whose cause is the exception of the fatal error.
            fatal = error if isinstance(error, KafkaException) else error.__cause__
            if not isinstance(fatal, KafkaException):
                raise
            self._note(None, None, fatal.args[0])
            return 0

    def _report(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._note(message.topic(), message.partition(), error)
        elif self._on_delivered is not None:
            self._on_delivered(message)

    def _note(self, topic: str | None, partition: int | None, error: KafkaError) -> None:
        if not self._tolerates(topic, error):
            self._failures.append(_Failure(topic, partition, error))

    def _note_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._note(None, None, error)
        else:
            self._errors.note(error)

    def _check(self) -> None:
        if not self._failures:
            return
        self.failed = True
        for failure in self._failures:
            if is_denied(failure.error):
                access = Access("Write", failure.topic or "")
                raise DeliveryDeniedError(denial(self._settings, access, failure.error))
        first = self._failures[0]
        msg = f"Kafka did not take {len(self._failures):,} messages; the first for {first}"
        if first.error.code() == KafkaError._MSG_TIMED_OUT:  # noqa: SLF001 - its public name
            msg += f". {reason}" if (reason := self._errors.reason()) else self._errors.last_words()
        raise DeliveryError(msg)

    def _check_stop(self) -> None:
        """Raise DeliveryError where a stop has waited for long enough."""
        if not self._stop_requested():
            return
        now = self._clock()
        if self._stop_since is None:
            self._stop_since = now
        if now - self._stop_since > STOP_SECONDS:
            self.failed = True
            waiting = sum(len(each) for each in (self._columns, self._messages) if each is not None)
            msg = (
                f"Kafka did not acknowledge {waiting:,} messages within {STOP_SECONDS:.0f} s of "
                "the stop. The next run sends them again."
            )
            raise DeliveryError(msg)


def _is_queued(producer: Producer, topic: str, call: tuple[Any, ...]) -> bool:
    """Return whether the queue, which is bounded in messages and in bytes, had room."""
    try:
        producer.produce(topic, *call)
    except BufferError:
        return False
    return True


def _calls(
    keys: Sequence[str | bytes | None],
    values: Sequence[str | bytes | None],
    headers: Sequence[Headers] | None,
    partition: int | None,
) -> Iterator[tuple[Any, ...]]:
    """Return the positional arguments of `produce` for each message."""
    number = repeat(PARTITION_UNASSIGNED if partition is None else partition)
    # Between partition and headers are the two parameters for a callback, which is set for the
    # whole producer instead, and the timestamp.
    nothing, now = repeat(None), repeat(0)
    each = nothing if headers is None else headers
    return zip(values, keys, number, nothing, nothing, now, each, strict=False)
