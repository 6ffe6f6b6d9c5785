"""Producers that check every delivery, over fakes of the two clients."""

from collections import deque
from typing import Any

import polars as pl
import pytest
from confluent_kafka import KafkaError, KafkaException

from broker.clients import producer_config
from broker.errors import AccessError, DeliveryDeniedError, DeliveryError
from broker.producer import CheckedProducer
from mobility.settings import Settings

NOT_ALLOWED = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
TOO_LARGE = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)


class FakeProducer:
    """A producer with a queue of three messages; each poll delivers two."""

    def __init__(self) -> None:
        self.queue: deque[tuple[Any, ...]] = deque()
        self.delivered: list[tuple[Any, ...]] = []

    def produce(self, *call: Any) -> None:  # noqa: ANN401 - as confluent_kafka's
        """Queue a message; raise if the queue is full."""
        if len(self.queue) == 3:
            raise BufferError
        self.queue.append(call)

    def poll(self, _seconds: float) -> None:
        """Deliver two messages."""
        self.delivered += [self.queue.popleft() for _ in range(min(2, len(self.queue)))]

    def flush(self, seconds: float) -> int:
        """Deliver two messages; return how many are left."""
        self.poll(seconds)
        return len(self.queue)

    def __len__(self) -> int:
        return len(self.queue)


class FakeColumns:
    """A producer of columns that delivers nothing before a flush, then one message each."""

    def __init__(self) -> None:
        self.queue: deque[tuple[str, str, str]] = deque()
        self.delivered: list[tuple[str, str, str]] = []

    def send(self, topic: str, keys: pl.Series, values: pl.Series) -> None:
        """Queue the messages."""
        self.queue.extend((topic, key, value) for key, value in zip(keys, values, strict=True))

    def poll(self, _seconds: float) -> None:
        """Report nothing."""

    def flush(self, _seconds: float) -> int:
        """Deliver a message; return how many are left."""
        if self.queue:
            self.delivered.append(self.queue.popleft())
        return len(self.queue)


class Report:
    """The message of a delivery report."""

    def __init__(self, topic: str) -> None:
        self._topic = topic

    def topic(self) -> str:
        """Return the topic."""
        return self._topic

    def partition(self) -> int:
        """Return the partition."""
        return 3


def over_fakes(**options: Any) -> tuple[CheckedProducer, FakeProducer]:  # noqa: ANN401 - its options
    """Return a producer over a fake client with a small queue."""
    producer, fake = CheckedProducer(Settings(), "test", **options), FakeProducer()
    producer._messages = fake  # type: ignore[assignment]
    return producer, fake


def send(producer: CheckedProducer, topic: str, *values: str, partition: int | None = None) -> None:
    """Send messages whose keys are their values, with a header each."""
    headers: list[list[tuple[str, str | bytes]]] = [[("h", value)] for value in values]
    producer.send(topic, values, values, headers, partition)


def test_a_full_queue_is_waited_for() -> None:
    """Backpressure delays messages; none is dropped, repeated or reordered."""
    producer, fake = over_fakes()
    send(producer, "t", *map(str, range(20)))
    producer.flush()
    assert [call[2] for call in fake.delivered] == [str(n) for n in range(20)]


def test_a_flush_waits_for_columns_and_single_messages() -> None:
    """Either client may have a queue."""
    producer, fake = over_fakes()
    producer._columns = columns = FakeColumns()  # type: ignore[assignment]
    send(producer, "t", "1", "2", "3")
    producer.send_columns("t", pl.Series(["k"] * 3), pl.Series(["a", "b", "c"]))
    assert columns.delivered == []
    producer.flush()
    assert (len(fake.delivered), len(columns.delivered)) == (3, 3)


def test_a_failed_delivery_is_raised_with_topic_partition_and_reason() -> None:
    """By the next call and by all calls after it."""
    producer, _ = over_fakes()
    producer._report(None, Report("trips_dlq"))  # type: ignore[arg-type]  # it was delivered
    send(producer, "t", "1")
    assert not producer.failed
    producer._report(TOO_LARGE, Report("trips_dlq"))  # type: ignore[arg-type]
    with pytest.raises(DeliveryError, match=r"did not take 1 messages.*trips_dlq partition 3: "):
        send(producer, "t", "2")
    for call in (producer.poll, producer.flush):
        with pytest.raises(DeliveryError):
            call()
    assert producer.failed


def test_a_missing_acl_has_priority() -> None:
    """Other failures are its consequences."""
    producer, _ = over_fakes()
    for error in (TOO_LARGE, NOT_ALLOWED):
        producer._report(error, Report("trips_dlq"))  # type: ignore[arg-type]
    with pytest.raises(DeliveryDeniedError, match="allow Write on Topic trips_dlq") as denied:
        producer.flush()
    assert isinstance(denied.value, AccessError)


@pytest.mark.parametrize("callback_fails", [False, True])
def test_a_fatal_error_of_the_client_is_a_failed_delivery(callback_fails: bool) -> None:
    """It is raised by the call that handles reports, or is the cause of the error there."""
    producer, fake = over_fakes()
    fatal = KafkaException(KafkaError(KafkaError.CLUSTER_AUTHORIZATION_FAILED, fatal=True))

    def poll(_seconds: float) -> None:
        if callback_fails:
            raise SystemError from fatal
        raise fatal

    fake.poll = poll  # type: ignore[method-assign]
    with pytest.raises(DeliveryDeniedError, match="allow Write on its topics"):
        send(producer, "t", "1")


def test_any_other_error_of_python_is_raised_as_it_is() -> None:
    """Only errors of Kafka are failed deliveries."""
    producer, fake = over_fakes()

    def poll(_seconds: float) -> None:
        raise SystemError

    fake.poll = poll  # type: ignore[method-assign]
    with pytest.raises(SystemError):
        send(producer, "t", "1")


def test_a_message_that_is_refused_at_once_is_a_failed_delivery() -> None:
    """The client raises if it knows that writing is not allowed."""
    producer, fake = over_fakes(tolerates=lambda topic, _error: topic == "allowed")

    def produce(*_call: object) -> None:
        raise KafkaException(NOT_ALLOWED)

    fake.produce = produce  # type: ignore[method-assign]
    send(producer, "allowed", "", partition=2)
    with pytest.raises(DeliveryError, match="Topic other"):
        send(producer, "other", "")


def test_a_tolerated_failure_is_not_raised() -> None:
    """Whether a message may be lost is the caller's decision, by topic and error."""
    producer, _ = over_fakes(tolerates=lambda topic, error: (topic, error) == ("t", NOT_ALLOWED))
    producer._report(NOT_ALLOWED, Report("t"))  # type: ignore[arg-type]
    producer.flush()
    assert not producer.failed
    producer._report(KafkaError(KafkaError._MSG_TIMED_OUT), Report("t"))  # type: ignore[arg-type]
    with pytest.raises(DeliveryError):
        producer.flush()


def test_each_delivery_is_reported() -> None:
    """`on_delivered` is called with every delivered message."""
    delivered: list[Any] = []
    producer, _ = over_fakes(on_delivered=delivered.append)
    report = Report("t")
    producer._report(None, report)  # type: ignore[arg-type]
    assert delivered == [report]


def test_the_producer_is_idempotent_and_chooses_partitions_as_other_clients_do() -> None:
    """A retry repeats no message, and other clients choose the same partition for a key."""
    config = producer_config(Settings(kafka="a:1"), "test", timeout_seconds=30)
    assert config["enable.idempotence"] is True
    assert config["max.in.flight.requests.per.connection"] == 1
    assert config["partitioner"] == "murmur2_random"
    assert config["bootstrap.servers"] == "a:1"
    assert config["message.timeout.ms"] == 30_000


def test_nothing_is_connected_before_the_first_message() -> None:
    """Building a flow opens no connection."""
    producer = CheckedProducer(Settings(kafka="nowhere:1"), "test")
    producer.flush()
    producer.poll()
    assert (producer._messages, producer._columns) == (None, None)


def test_a_stop_waits_20_seconds_for_a_broker_that_hangs() -> None:
    """Then the error has the number of messages that are not acknowledged."""
    now, is_stopping = [0.0], [False]
    producer, fake = over_fakes(stop_requested=lambda: is_stopping[0], clock=lambda: now[0])
    fake.poll = lambda _seconds: None  # type: ignore[method-assign]
    flushes = []

    def flush(seconds: float) -> int:
        del seconds
        flushes.append(now[0])
        now[0] += 1
        is_stopping[0] = now[0] >= 100
        return len(fake.queue)

    fake.flush = flush  # type: ignore[method-assign]
    send(producer, "t", "1", "2")
    with pytest.raises(DeliveryError, match=r"2 messages within 20 s of the stop\. The next run"):
        producer.flush()
    assert producer.failed
    assert flushes[-1] == 120
