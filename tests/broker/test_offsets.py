"""Offsets of many partitions in one request: what passes by itself is waited for."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from broker import offsets
from broker.errors import BrokerError
from broker.offsets import OffsetQuery
from mobility.settings import Settings


class Cluster:
    """A cluster of which one partition fails with these codes at first."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)
        self.now = 0.0

    def list_offsets(
        self, asked: dict[TopicPartition, Any], **_: object
    ) -> "dict[TopicPartition, Future[Any]]":
        """Answer for all partitions."""
        answers: dict[TopicPartition, Future[Any]] = {}
        for place in asked:
            answers[place] = Future()
            if place.partition == 1 and self.codes:
                error = KafkaError(self.codes.pop(0))
                answers[place].set_exception(KafkaException(error))
            else:
                answers[place].set_result(SimpleNamespace(offset=7))
        return answers

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


def query(monkeypatch: pytest.MonkeyPatch, cluster: Cluster) -> OffsetQuery:
    """Return a query to the cluster, whose time passes without waiting."""
    monkeypatch.setattr(offsets, "admin_client", lambda _settings: cluster)
    clock = SimpleNamespace(monotonic=lambda: cluster.now, sleep=cluster.sleep)
    monkeypatch.setattr(offsets, "time", clock)
    return OffsetQuery(Settings())


@pytest.mark.parametrize(
    "code",
    [
        KafkaError._UNKNOWN_PARTITION,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.OFFSET_NOT_AVAILABLE,
    ],
)
def test_passing_errors_are_waited_out(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """As while a partition changes its leader."""
    asked = query(monkeypatch, Cluster(code, code, code))
    assert asked.bounds("trips", [0, 1]) == {0: (7, 7), 1: (7, 7)}


@pytest.mark.parametrize(
    ("code", "seconds"),
    [(KafkaError.LEADER_NOT_AVAILABLE, 15), (KafkaError.TOPIC_AUTHORIZATION_FAILED, 0)],
)
def test_what_does_not_pass_is_an_error(
    monkeypatch: pytest.MonkeyPatch, code: int, seconds: int
) -> None:
    """Within a bound, with the topic and the words of Kafka."""
    cluster = Cluster(*[code] * 1_000)
    with pytest.raises(BrokerError, match=r"The offsets of trips at .* can't be read: Broker: "):
        query(monkeypatch, cluster).bounds("trips", [0, 1])
    assert seconds <= cluster.now < seconds + 1
