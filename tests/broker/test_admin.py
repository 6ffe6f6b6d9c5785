"""Questions to the cluster: what passes by itself is waited for, everything else is an error."""

from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from broker import admin as admin_module
from broker.admin import ClusterAdmin
from broker.errors import AccessError, BrokerError, MissingTopicError
from broker.topic_reader import TopicReader
from broker.topics import TopicDescriber, find_topic
from mobility.settings import Settings

UNKNOWN = KafkaError.UNKNOWN_TOPIC_OR_PART
PASSING = [
    UNKNOWN,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_CONTROLLER,
    KafkaError._TRANSPORT,
]
SETTINGS = Settings(kafka="127.0.0.1:1")


class Cluster:
    """A cluster that fails with these codes, one after the other, and answers after them."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)
        self.asked = 0
        self.now = 0.0

    def answer(self, found: object) -> "Future[Any]":
        """Return the next answer."""
        self.asked += 1
        done: Future[Any] = Future()
        if self.codes:
            done.set_exception(KafkaException(KafkaError(self.codes.pop(0))))
        else:
            done.set_result(found)
        return done

    def describe_topics(self, _topics: object, **_: object) -> "dict[str, Future[Any]]":
        """Describe a topic of two partitions."""
        partitions = [SimpleNamespace(id=number) for number in range(2)]
        found = SimpleNamespace(name="trips", partitions=partitions, topic_id="id")
        return {"trips": self.answer(found)}

    def describe_configs(self, resources: list[Any], **_: object) -> "dict[Any, Future[Any]]":
        """Describe the configuration of a topic."""
        config = {"message.timestamp.type": SimpleNamespace(value="CreateTime")}
        return {resource: self.answer(config) for resource in resources}

    def describe_cluster(self, **_: object) -> "Future[Any]":
        """Describe the cluster."""
        return self.answer(SimpleNamespace(cluster_id="cluster"))

    def poll(self, seconds: float) -> None:
        """Handle reports: there are none."""

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Cluster]:
    """Return a function that replaces the cluster by one that fails with these codes."""

    def make(*codes: int) -> Cluster:
        made = Cluster(*codes)
        monkeypatch.setattr(admin_module, "configured", lambda *_: made)
        clock = SimpleNamespace(monotonic=lambda: made.now, sleep=made.sleep)
        monkeypatch.setattr(admin_module, "time", clock)
        return made

    return make


QUESTIONS: dict[str, tuple[Callable[[], object], object]] = {
    "partitions": (lambda: find_topic(SETTINGS, "trips").partitions, (0, 1)),
    "timestamp type": (lambda: TopicDescriber(SETTINGS, "trips").timestamp_type(), "CreateTime"),
    "cluster": (lambda: ClusterAdmin(SETTINGS).log_in(), "cluster"),
}


@pytest.mark.parametrize("code", PASSING)
@pytest.mark.parametrize("question", QUESTIONS)
def test_what_passes_is_waited_for(
    cluster: Callable[..., Cluster], question: str, code: int
) -> None:
    """As the first answers of a broker that has just started."""
    ask, expected = QUESTIONS[question]
    asked = cluster(code, code)
    assert ask() == expected
    assert asked.asked == 3


def test_a_missing_topic_is_refused_soon(cluster: Callable[..., Cluster]) -> None:
    """In words that say what to do."""
    asked = cluster(*[UNKNOWN] * 1_000)
    with pytest.raises(MissingTopicError, match=r"There is no topic trips .*`just topics`"):
        find_topic(SETTINGS, "trips")
    assert 3 <= asked.now < 4


def test_a_reader_of_a_missing_topic_is_refused(cluster: Callable[..., Cluster]) -> None:
    """Before it opens a consumer."""
    cluster(*[UNKNOWN] * 1_000)
    with pytest.raises(MissingTopicError):
        TopicReader(SETTINGS, "trips")


def test_what_does_not_pass_for_long_is_an_error(cluster: Callable[..., Cluster]) -> None:
    """With the words of Kafka."""
    asked = cluster(*[KafkaError.NOT_CONTROLLER] * 1_000)
    with pytest.raises(BrokerError, match=r"does not answer: Broker: Not controller"):
        find_topic(SETTINGS, "trips")
    assert 15 <= asked.now < 16


def test_what_never_passes_is_not_asked_again(cluster: Callable[..., Cluster]) -> None:
    """As a missing ACL."""
    asked = cluster(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with pytest.raises(AccessError, match="allow Read, Write or Describe on Topic trips"):
        find_topic(SETTINGS, "trips")
    assert asked.asked == 1
