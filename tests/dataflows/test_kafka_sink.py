"""Output to Kafka: nothing is lost in silence, nothing is snapshot undelivered."""

from collections import deque
from typing import Any

import polars as pl
import pytest
from confluent_kafka import KafkaError, KafkaException

from dataflows.board import Board
from dataflows.encoding import (
    dead_encoder,
    enriched_encoder,
    late_encoder,
    punctuation_encoder,
    windows_encoder,
)
from dataflows.items import Enriched, Headers, Positioned, Punctuation, Records
from dataflows.kafka_sink import Deliveries, DeliveryError, KafkaSinkPartition, producer_config
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


@pytest.fixture
def deliveries(monkeypatch: pytest.MonkeyPatch) -> tuple[Deliveries, FakeProducer]:
    """Return deliveries over a fake producer with a small queue."""
    monkeypatch.setattr("dataflows.kafka_sink._QUEUE_MESSAGES", 2)
    made, fake = Deliveries(Settings()), FakeProducer()
    made._made = fake  # type: ignore[assignment]
    return made, fake


def test_a_full_queue_is_waited_for(deliveries: tuple[Deliveries, FakeProducer]) -> None:
    """Back-pressure delays records and neither drops nor repeats nor reorders any."""
    sent, fake = deliveries
    sent.send(Records("t", [str(n) for n in range(20)], [b"v"] * 20))
    sent.flush()
    assert [call[2] for call in fake.delivered] == [str(n) for n in range(20)]


def test_a_snapshot_waits_for_every_delivery(deliveries: tuple[Deliveries, FakeProducer]) -> None:
    """When snapshot() returns, what was written is in the log."""
    sent, fake = deliveries
    part: KafkaSinkPartition[int] = KafkaSinkPartition(
        sent, lambda n: [Records("t", [None], [str(n)])]
    )
    part.write_batch([1, 2, 3, 4, 5])
    part.snapshot()
    assert len(fake.delivered) == 5
    assert not fake.queue


def test_a_failed_delivery_ends_the_flow(deliveries: tuple[Deliveries, FakeProducer]) -> None:
    """The next write and the snapshot raise, with topic and reason; the close hides neither."""
    sent, _ = deliveries

    class Refused:
        def topic(self) -> str:
            return "trips_dlq"

        def partition(self) -> int:
            return 3

    part: KafkaSinkPartition[int] = KafkaSinkPartition(
        sent, lambda n: [Records("t", [None], [str(n)])]
    )
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
    sent.send(Records("trips_stream", [None], [None], [[]], 2))
    assert board.punctuations_refused == 1
    with pytest.raises(KafkaException):
        sent.send(Records("trips_late", [None], [None]))


def test_the_producer_is_idempotent_and_places_keys_as_everybody_does() -> None:
    """A retry repeats nothing, and other clients find a key's partition."""
    config = producer_config(Settings(kafka="a:1"), lambda _error, _message: None)
    assert config["enable.idempotence"] is True
    assert config["partitioner"] == "murmur2_random"
    assert config["bootstrap.servers"] == "a:1"


def test_nothing_is_connected_before_the_first_record() -> None:
    """Building a flow opens no socket."""
    assert Deliveries(Settings(kafka="nowhere:1"))._made is None


POSITIONED = Positioned("p.trips_stream", 3, [10, 12], [b"\xff", None], [None, b"k"], [], [])
WHERE: list[Headers] = [
    [("topic", "p.trips_stream"), ("partition", "3"), ("offset", "10")],
    [("topic", "p.trips_stream"), ("partition", "3"), ("offset", "12")],
]


def test_late_trips_go_out_as_they_came_with_their_position() -> None:
    """Original bytes and key; topic, partition and offset as headers."""
    (records,) = late_encoder(Settings(topic_prefix="p."))(POSITIONED)
    assert records == Records("p.trips_late", [None, b"k"], [b"\xff", None], WHERE)


def test_dead_letters_say_what_is_wrong() -> None:
    """Headers `error` and `detail` besides; a detail is bytes of bounded length."""
    dead = Positioned(
        "p.trips_stream",
        3,
        [10, 12],
        [b"\xff", None],
        [None, b"k"],
        ["not_utf8", "tombstone"],
        ["x" * 900, "half \ud800"],
    )
    (records,) = dead_encoder(Settings(topic_prefix="p."))(dead)
    assert records.topic == "p.trips_dlq"
    assert records.values == [b"\xff", None]
    assert records.headers == [
        [*WHERE[0], ("error", "not_utf8"), ("detail", b"x" * 500)],
        [*WHERE[1], ("error", "tombstone"), ("detail", b"half \\ud800")],
    ]


def test_windows_go_out_under_their_id() -> None:
    """Key is the id; an update without rows writes nothing."""
    row = ("d1", NOON, 1, 2, 3, 4, NOON, "early", 0)
    rows = pl.DataFrame([row], schema=WINDOW_SCHEMA, orient="row")
    driver, board = BY_NAME["driver"], Board(1)
    encode = windows_encoder(Settings(topic_prefix="p."), driver, board)
    (records,) = encode(WindowUpdate(driver, 0, 1, None, rows))
    assert (records.topic, records.keys) == ("p.aggregated.driver", ["d1"])
    assert board.windows_out == 1
    assert list(encode(WindowUpdate(driver, 0, 1, None, rows.clear()))) == []


def test_enriched_trips_go_to_the_entities_that_they_have() -> None:
    """A trip without the id stays away from that entity's topic."""
    trips = pl.DataFrame({"offset": [5, 6], "json": ["{1}", "{2}"], "driver_id": [None, "d"]})
    (records,) = enriched_encoder(Settings(), BY_NAME["driver"])(Enriched(2, trips))
    place: Headers = [("topic", "trips_stream"), ("partition", "2"), ("offset", "6")]
    assert records == Records("enriched.driver", ["d"], ["{2}"], [place])


def test_a_punctuation_goes_into_the_quiet_partition_itself() -> None:
    """A null value with the event time as a header, in the log of trips."""
    (records,) = punctuation_encoder(Settings())(Punctuation(2, NOON))
    header: Headers = [("watermark", str(NOON))]
    assert records == Records("trips_stream", [None], [None], [header], 2)
