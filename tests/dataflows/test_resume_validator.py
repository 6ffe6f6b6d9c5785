"""The log compared with the recovery state: no message is skipped without an error."""

import json
import logging
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException

from broker.topics import TopicDescriber, TopicInfo
from dataflows.resume_validator import Gap, ResumePosition, ResumeValidator, recorded_gaps
from dataflows.topic_watch import TopicWatch, check_timestamps
from mobility.settings import Settings
from runtime.failures import RefusalError
from runtime.flow_metrics import FlowMetrics
from runtime.recovery import RecoveryInfo, make_partitions

TOPIC = TopicInfo("trips_stream", (0, 1, 2), "one")
STEP = "mobility_hub.trips_stream"


def validator(
    recovery: RecoveryInfo, metrics: FlowMetrics | None = None, *, accept: bool = False
) -> ResumeValidator:
    """Return the validator on 1 January."""
    settings = Settings(accept_gap=accept)
    return ResumeValidator(settings, recovery, metrics, lambda: datetime(2025, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("state", "log", "begin"),
    [
        (ResumePosition(), (0, 0), 0),
        (ResumePosition(), (7, 9), 7),  # a new folder starts with the first offset
        (ResumePosition(0, "one"), (0, 5), 0),
        (
            ResumePosition(5, "one"),
            (5, 5),
            5,
        ),  # everything was read, then removed: no gap
        (ResumePosition(7, "one"), (5, 9), 7),
        (ResumePosition(7), (5, 9), 7),  # state of release 0.1 has no id
    ],
)
def test_a_log_that_has_the_offset_is_resumed(
    state: ResumePosition, log: tuple[int, int], begin: int
) -> None:
    """The offset of the state lies between its ends."""
    assert validator(RecoveryInfo()).first_offset(TOPIC, 1, state, *log) == begin


SURPRISES = [
    (ResumePosition(3, "one"), (5, 9), "ends at offset 3, the log begins at 5"),
    (ResumePosition(10, "one"), (5, 9), "ends at offset 10, the log at 9"),
    (
        ResumePosition(7, "two"),
        (5, 9),
        "ends at offset 7 of topic id two, the log holds 5 to 9 of one",
    ),
]


@pytest.mark.parametrize(("state", "log", "why"), SURPRISES)
def test_a_gap_is_refused_with_both_positions(
    tmp_path: Path, state: ResumePosition, log: tuple[int, int], why: str
) -> None:
    """The message has topic, partition, the offsets of state and log, and the remedy."""
    with pytest.raises(RefusalError) as refusal:
        validator(RecoveryInfo(tmp_path)).first_offset(TOPIC, 1, state, *log)
    for part in ("trips_stream partition 1", why, "--accept-gap"):
        assert part in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("state", "log", "why"), SURPRISES)
def test_an_accepted_gap_is_recorded(
    tmp_path: Path, state: ResumePosition, log: tuple[int, int], why: str
) -> None:
    """The log is read from its beginning; a gap is recorded once."""
    metrics = FlowMetrics()
    for _ in range(2):
        accepting = validator(RecoveryInfo(tmp_path), metrics, accept=True)
        assert accepting.first_offset(TOPIC, 1, state, *log) == log[0]
        assert metrics.gaps == 1
    (line,) = (tmp_path / "gaps.ndjson").read_text().splitlines()
    record = json.loads(line)
    assert why in record.pop("why")
    assert record == {
        "at": "2025-01-01T00:00:00+00:00",
        "topic": "trips_stream",
        "partition": 1,
        "start": state.next_offset,
        "end": log[0],
    }


def test_fewer_partitions_than_in_the_state_are_refused(tmp_path: Path) -> None:
    """Both numbers are named; keys of other steps are ignored."""
    recovery = RecoveryInfo(tmp_path, {STEP: {"000", "001", "002", "003"}, "other": {"009"}})
    with pytest.raises(RefusalError, match=r"partition 3: .* knows 4 .*, the topic has 3"):
        validator(recovery).check_partitions(STEP, TOPIC)
    validator(RecoveryInfo(tmp_path, {STEP: {"000"}})).check_partitions(STEP, TOPIC)


def test_accepted_lost_partitions_are_deleted_and_recorded(tmp_path: Path) -> None:
    """Bytewax can't start with a state that belongs to no partition."""
    make_partitions(tmp_path)
    recovery = RecoveryInfo(tmp_path, {STEP: {"000", "003", "004"}})
    validator(recovery, accept=True).check_partitions(STEP, TOPIC)
    assert [(gap.partition, gap.end) for gap in recorded_gaps(tmp_path)] == [(3, None), (4, None)]
    assert isinstance(recorded_gaps(tmp_path)[0], Gap)


def answer(partitions: int, identity: str = "one") -> "Future[Any]":
    """Return a description of a topic as the broker returns it."""
    done: Future[Any] = Future()
    numbers = [SimpleNamespace(id=number) for number in range(partitions)]
    done.set_result(SimpleNamespace(name="trips_stream", partitions=numbers, topic_id=identity))
    return done


def failure(code: int) -> "Future[Any]":
    """Return an answer that is an error."""
    failed: Future[Any] = Future()
    failed.set_exception(KafkaException(KafkaError(code)))
    return failed


class FakeDescriber:
    """A topic watch whose requests are answered in turn, and its clock.

    Requests for the configuration are answered by `configs`, then with log-append times.
    """

    def __init__(
        self,
        *answers: "Future[Any]",
        configs: "Sequence[Future[Any]]" = (),
        settings: Settings | None = None,
    ) -> None:
        self.answers = list(answers)
        self.configs = list(configs)
        self.now = 0.0
        self.asked = 0
        self.metrics = FlowMetrics()
        describer = cast("TopicDescriber", self)
        self.watch = TopicWatch(
            settings or Settings(), TOPIC, describer, self.metrics, lambda: self.now
        )

    def request_config(self) -> "Future[Any]":
        """Return the next answer about the configuration."""
        self.asked += 1
        return self.configs.pop(0) if self.configs else config("LogAppendTime")

    def request(self) -> "Future[Any]":
        """Return the next answer."""
        return self.answers.pop(0)

    def minute(self) -> None:
        """Advance the clock by a minute, with a check every second."""
        for _ in range(60):
            self.now += 1
            self.watch.check()


def test_new_partitions_are_shown_within_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """Their number is in the metrics, and one warning has the remedy."""
    watched = FakeDescriber(*[answer(3)] * 3, *[answer(5)] * 6)
    watched.minute()
    assert watched.metrics.partitions_unread == 0
    with caplog.at_level(logging.WARNING):
        watched.minute()
        assert watched.metrics.partitions_unread == 2
        watched.minute()
    (record,) = caplog.records
    assert "2 partitions that this run does not read: restart" in record.getMessage()


MISSING: "Future[Any]" = failure(KafkaError.UNKNOWN_TOPIC_OR_PART)


@pytest.mark.parametrize(
    ("answers", "what"),
    [
        ([answer(3, "two")], r"recreated \(id two, before one\)"),
        ([MISSING, MISSING], "was deleted"),
        ([MISSING, failure(KafkaError._TIMED_OUT), MISSING], "was deleted"),
    ],
)
def test_another_topic_of_the_name_ends_the_flow(answers: "list[Future[Any]]", what: str) -> None:
    """The offsets of the old topic are not valid in it."""
    with pytest.raises(RefusalError, match=f"trips_stream .*{what}"):
        FakeDescriber(*answers).minute()


def test_a_broker_that_does_not_know_the_topic_yet_is_asked_again() -> None:
    """A broker that has just started may not have the metadata of the topic yet."""
    watched = FakeDescriber(MISSING, answer(3), MISSING, answer(4), answer(4))
    watched.minute()
    assert watched.metrics.partitions_unread == 1


def test_a_broker_that_does_not_answer_is_asked_again() -> None:
    """Neither a missing answer nor an error stops the flow."""
    silent: Future[Any] = Future()
    watched = FakeDescriber(failure(KafkaError._TIMED_OUT), answer(4), silent)
    watched.minute()
    watched.minute()
    assert watched.metrics.partitions_unread == 1
    assert watched.answers == []


def config(kind: str) -> "Future[Any]":
    """Return the configuration of a topic as the broker returns it."""
    done: Future[Any] = Future()
    done.set_result({"message.timestamp.type": SimpleNamespace(value=kind)})
    return done


def test_timestamps_that_become_those_of_producers_end_the_flow() -> None:
    """Within the interval, in the words of a start; an answer that fails before changes nothing."""
    failed = failure(KafkaError._TIMED_OUT)
    watched = FakeDescriber(*[answer(3)] * 9, configs=[failed, config("CreateTime")])
    with pytest.raises(RefusalError) as found:
        watched.minute()
    assert watched.asked == 2
    at_start = cast("TopicDescriber", SimpleNamespace(timestamp_type=lambda: "CreateTime"))
    with pytest.raises(RefusalError) as refused:
        check_timestamps(Settings(), at_start, TOPIC.name)
    assert str(found.value) == str(refused.value)
    assert "trips_stream has message.timestamp.type=CreateTime" in str(found.value)


def test_timestamps_of_producers_may_be_meant() -> None:
    """With MOBILITY_TIMESTAMP=create they are not asked for."""
    meant = FakeDescriber(*[answer(3)] * 9, settings=Settings(timestamp="create"))
    meant.minute()
    assert meant.asked == 0


def test_without_the_permission_timestamps_are_asked_for_once() -> None:
    """Kafka records each attempt."""
    denied = failure(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    watched = FakeDescriber(*[answer(3)] * 9, configs=[denied])
    watched.minute()
    assert watched.asked == 1
    assert len(watched.answers) == 6
