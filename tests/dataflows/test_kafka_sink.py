"""Output to Kafka: nothing is lost in silence, nothing is snapshot undelivered."""

from collections import deque
from typing import Any

import polars as pl
import pytest
from confluent_kafka import KafkaError, KafkaException

from dataflows.board import Board
from dataflows.deliveries import Deliveries, DeliveryError, producer_config
from dataflows.encoding import windows_encoder
from dataflows.items import Columns, Records
from dataflows.kafka_sink import KafkaSinkPartition
from mobility.entities import BY_NAME
from mobility.records import WINDOW_SCHEMA, WindowUpdate
from mobility.settings import Settings
from tests.strategies import NOON


class FakeProducer:
    """A producer of which the queue holds three messages, delivered two a poll."""

    def __init__(self) -> None:
        self.queue: deque[tuple[Any, ...]] = deque()
        self.delivered: list[tuple[Any, ...]] = []

    def produce(self, *call: Any) -> None:  # noqa: ANN401 - as confluent_kafka's
        """Queue a message, or raise as a full queue does."""
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
    """A producer of columns of which nothing is delivered before a flush, one message each."""

    def __init__(self) -> None:
        self.queue: deque[tuple[str, str, str]] = deque()
        self.delivered: list[tuple[str, str, str]] = []

    def send(self, topic: str, keys: pl.Series, values: pl.Series) -> None:
        """Queue the messages."""
        self.queue.extend((topic, key, value) for key, value in zip(keys, values, strict=True))

    def poll(self, _seconds: float) -> None:
        """Hear nothing."""

    def flush(self, _seconds: float) -> int:
        """Deliver a message; return how many are left."""
        if self.queue:
            self.delivered.append(self.queue.popleft())
        return len(self.queue)


def singly(topic: str, *values: str, partition: int | None = None) -> Records:
    """Return messages that are their own keys, with a header each."""
    headers: list[list[tuple[str, str | bytes]]] = [[("h", value)] for value in values]
    return Records(topic, list(values), list(values), headers, partition)


@pytest.fixture
def deliveries() -> tuple[Deliveries, FakeProducer]:
    """Return deliveries over a fake producer with a small queue."""
    made, fake = Deliveries(Settings()), FakeProducer()
    made._made = fake  # type: ignore[assignment]
    return made, fake


def test_a_full_queue_is_waited_for(deliveries: tuple[Deliveries, FakeProducer]) -> None:
    """Back-pressure delays records and neither drops nor repeats nor reorders any."""
    sent, fake = deliveries
    sent.send(singly("t", *map(str, range(20))))
    sent.flush()
    assert [call[2] for call in fake.delivered] == [str(n) for n in range(20)]


def test_a_snapshot_waits_for_every_delivery(deliveries: tuple[Deliveries, FakeProducer]) -> None:
    """When snapshot() returns, what was written is in the log."""
    sent, fake = deliveries
    part: KafkaSinkPartition[int] = KafkaSinkPartition(sent, lambda n: [singly("t", str(n))])
    part.write_batch([1, 2, 3, 4, 5])
    part.snapshot()
    assert len(fake.delivered) == 5
    assert not fake.queue


def test_a_snapshot_waits_for_columns_and_single_messages(
    deliveries: tuple[Deliveries, FakeProducer],
) -> None:
    """Either producer may have something left."""
    sent, fake = deliveries
    sent._made_columns = columns = FakeColumns()  # type: ignore[assignment]
    sent.send(singly("t", "1", "2", "3"))
    sent.send(Columns("t", pl.Series(["k"] * 3), pl.Series(["a", "b", "c"])))
    assert columns.delivered == []
    sent.flush()
    assert (len(fake.delivered), len(columns.delivered)) == (3, 3)


def test_delivered_is_what_was_sent_before(deliveries: tuple[Deliveries, FakeProducer]) -> None:
    """The watermark of an update counts as delivered once its windows are, and not before."""
    sent, _ = deliveries
    sent._made_columns = fake = FakeColumns()  # type: ignore[assignment]
    board = sent._board = Board(1)
    driver = BY_NAME["driver"]
    encode = windows_encoder(Settings(), driver, board)
    part: KafkaSinkPartition[WindowUpdate] = KafkaSinkPartition(sent, encode)
    row = ("d", NOON, 1, 1, 1, 1, NOON, NOON, "on_time", 0)
    rows = pl.DataFrame([row], schema=WINDOW_SCHEMA, orient="row")
    records = encode(WindowUpdate(driver, 1, 2, NOON, rows))
    next(records)
    assert board.sent == {}, "asked for, and not sent yet"
    part.write_batch([WindowUpdate(driver, 1, 2, NOON, rows)])
    part.write_batch([WindowUpdate(driver, 0, 2, None, rows.clear())])
    assert (board.sent, board.delivered) == ({("driver", 1): NOON}, {})
    part.snapshot()
    assert board.delivered == {("driver", 1): NOON}
    assert len(fake.delivered) == 1


def test_a_failed_delivery_ends_the_flow(deliveries: tuple[Deliveries, FakeProducer]) -> None:
    """The next write and the snapshot raise, with topic and reason; the close hides neither."""
    sent, _ = deliveries

    class Refused:
        def topic(self) -> str:
            return "trips_dlq"

        def partition(self) -> int:
            return 3

    part: KafkaSinkPartition[int] = KafkaSinkPartition(sent, lambda n: [singly("t", str(n))])
    sent._delivered(None, Refused())  # type: ignore[arg-type]  # it went well
    part.write_batch([1])
    sent._delivered(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), Refused())  # type: ignore[arg-type]
    with pytest.raises(DeliveryError, match=r"1 messages were not delivered.*trips_dlq.*3"):
        part.write_batch([2])
    with pytest.raises(DeliveryError):
        part.snapshot()
    part.close()


class Place:
    """Where a refused message was going."""

    def __init__(self, topic: str) -> None:
        self._topic = topic

    def topic(self) -> str:
        """Return the topic."""
        return self._topic

    def partition(self) -> int:
        """Return the partition."""
        return 3


NOT_ALLOWED = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)


def test_a_punctuation_that_is_not_allowed_is_counted_and_ends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Window state stays then, and a metric and one warning say so."""
    board = Board(1)
    sent, fake = Deliveries(Settings(topic_prefix="p."), board), FakeProducer()
    sent._made = fake  # type: ignore[assignment]
    for _ in range(2):
        sent._delivered(NOT_ALLOWED, Place("p.trips_stream"))  # type: ignore[arg-type]
    sent.flush()
    assert board.punctuations_refused == 2
    (record,) = caplog.records
    assert "p.trips_stream are refused" in record.getMessage()
    assert not sent.reported

    sent._delivered(KafkaError(KafkaError._MSG_TIMED_OUT), Place("p.trips_stream"))  # type: ignore[arg-type]
    with pytest.raises(DeliveryError):
        sent.flush()


def test_a_topic_that_is_known_to_be_closed_refuses_at_once() -> None:
    """The producer then raises instead of reporting; other topics' errors are raised on."""
    board = Board(1)
    sent, fake = Deliveries(Settings(), board), FakeProducer()
    sent._made = fake  # type: ignore[assignment]

    def produce(*_call: object) -> None:
        raise KafkaException(NOT_ALLOWED)

    fake.produce = produce  # type: ignore[method-assign]
    sent.send(singly("trips_stream", "", partition=2))
    assert board.punctuations_refused == 1
    with pytest.raises(KafkaException):
        sent.send(singly("trips_late", ""))


def test_the_producer_is_idempotent_and_places_keys_as_everybody_does() -> None:
    """A retry repeats nothing, and other clients find a key's partition."""
    config = producer_config(Settings(kafka="a:1"))
    assert config["enable.idempotence"] is True
    assert config["partitioner"] == "murmur2_random"
    assert config["bootstrap.servers"] == "a:1"


def test_nothing_is_connected_before_the_first_record() -> None:
    """Building a flow opens no socket."""
    made = Deliveries(Settings(kafka="nowhere:1"))
    made.flush()
    assert (made._made, made._made_columns) == (None, None)
