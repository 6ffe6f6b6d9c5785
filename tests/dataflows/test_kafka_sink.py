"""Output to Kafka: a snapshot waits for all deliveries, and a failure is raised once."""

from typing import Any, cast

import polars as pl
import pytest
from confluent_kafka import KafkaError

from broker.errors import DeliveryError
from broker.producer import CheckedProducer
from dataflows.encoders import ColumnMessages, Messages, windows_encoder
from dataflows.idle_punctuator import DeniedPunctuations
from dataflows.kafka_sink import KafkaSinkPartition, SentWindowsRecorder
from mobility.entities import BY_NAME
from mobility.records import WindowUpdate
from mobility.settings import Settings
from runtime.flow_metrics import FlowMetrics
from tests.strategies import NOON
from tests.windows import window, window_frame


class FakeProducer:
    """A checked producer that delivers in flush(), unless it fails."""

    def __init__(self) -> None:
        self.queue: list[tuple[Any, ...]] = []
        self.delivered: list[tuple[Any, ...]] = []
        self.fails = False
        self.failed = False

    def send(self, *message: Any) -> None:  # noqa: ANN401 - as the real one's
        """Queue messages."""
        self.queue.append(message)

    send_columns = send

    def flush(self) -> None:
        """Deliver the queue, or raise the failure."""
        if self.fails:
            self.failed = True
            raise DeliveryError
        self.delivered += self.queue
        self.queue.clear()


def messages(value: int) -> list[Messages]:
    """Return one message."""
    return [Messages("t", [None], [str(value)], [[]])]


@pytest.fixture
def producer() -> FakeProducer:
    """Return a producer that delivers nothing before a flush."""
    return FakeProducer()


@pytest.fixture
def part(producer: FakeProducer) -> KafkaSinkPartition[int]:
    """Return a partition of the sink over the fake producer."""
    return KafkaSinkPartition(cast("CheckedProducer", producer), messages)


def test_a_snapshot_waits_for_every_delivery(
    part: KafkaSinkPartition[int], producer: FakeProducer
) -> None:
    """When snapshot() returns, everything that was written is delivered."""
    part.write_batch([1, 2, 3])
    assert producer.delivered == []
    part.snapshot()
    assert [values for _, _, values, *_ in producer.delivered] == [["1"], ["2"], ["3"]]


def test_columns_are_sent_as_columns(producer: FakeProducer) -> None:
    """They are not split into messages."""
    columns = ColumnMessages("t", pl.Series(["k"]), pl.Series(["v"]))
    part: KafkaSinkPartition[int] = KafkaSinkPartition(
        cast("CheckedProducer", producer), lambda _: [columns]
    )
    part.write_batch([1])
    assert producer.queue == [("t", columns.keys, columns.values)]


def test_a_watermark_is_delivered_once_the_windows_before_it_are(producer: FakeProducer) -> None:
    """What is sent during a flush is not recorded as delivered by it."""
    metrics, driver = FlowMetrics(), BY_NAME["driver"]
    part: KafkaSinkPartition[WindowUpdate] = KafkaSinkPartition(
        cast("CheckedProducer", producer),
        windows_encoder(Settings(), driver),
        SentWindowsRecorder(metrics),
    )
    rows = window_frame([window("d")])
    assert metrics.sent == {}
    part.write_batch([WindowUpdate(driver, 1, 2, NOON, rows)])
    part.write_batch([WindowUpdate(driver, 0, 2, None, rows.clear())])
    assert (metrics.sent, metrics.delivered) == ({("driver", 1): NOON}, {})
    assert metrics.windows_sent == 1
    producer.fails = True
    with pytest.raises(DeliveryError):
        part.snapshot()
    assert metrics.delivered == {}
    producer.fails = False
    part.snapshot()
    assert metrics.delivered == {("driver", 1): NOON}
    assert len(producer.delivered) == 1


def test_close_does_not_raise_a_failure_again(
    part: KafkaSinkPartition[int], producer: FakeProducer
) -> None:
    """Bytewax closes the partitions after an error, and a second error would hide the first."""
    part.write_batch([1])
    producer.fails = True
    with pytest.raises(DeliveryError):
        part.snapshot()
    part.close()


def test_close_delivers_the_queue(part: KafkaSinkPartition[int], producer: FakeProducer) -> None:
    """Or raises the failure, if no call has raised it yet."""
    part.write_batch([1])
    part.close()
    assert len(producer.delivered) == 1
    producer.fails = True
    with pytest.raises(DeliveryError):
        part.close()


def test_a_refused_punctuation_does_not_end_the_flow(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is counted, and there is one warning: window state is kept."""
    metrics = FlowMetrics()
    tolerates = DeniedPunctuations(Settings(topic_prefix="p."), metrics)
    not_allowed = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    assert tolerates("p.trips_stream", not_allowed)
    assert tolerates("p.trips_stream", not_allowed)
    assert metrics.punctuations_refused == 2
    (record,) = caplog.records
    assert "p.trips_stream are refused" in record.getMessage()
    assert not tolerates("p.trips_late", not_allowed)
    assert not tolerates("p.trips_stream", KafkaError(KafkaError._MSG_TIMED_OUT))
    assert metrics.punctuations_refused == 2
