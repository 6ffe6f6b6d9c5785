"""The source of the serving flow: where it resumes, with states of this release and of 0.1."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from broker.topics import TopicInfo
from dataflows.aggregated_source import AggregatedSource
from dataflows.log_reader import LogReader
from dataflows.offset_commits import OffsetCommits
from dataflows.partition_reader import Batch
from mobility.entities import BY_NAME
from mobility.settings import Settings
from runtime.failures import RefusalError
from runtime.flow_metrics import FlowMetrics
from runtime.recovery import RecoveryInfo

TOPIC = TopicInfo("aggregated.driver", (0, 1), "one")


class FakeLog:
    """A log that holds offsets 5 to 9 in each partition."""

    def open(
        self, _topic: str, _partition: int, _all: tuple[int, ...], begin: Callable[[int, int], int]
    ) -> SimpleNamespace:
        """Return a reader."""
        return SimpleNamespace(position=begin(5, 9))


LOG = cast("LogReader[Batch]", FakeLog())


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> AggregatedSource:
    """Return the source of drivers' windows over that log."""
    monkeypatch.setattr("dataflows.aggregated_source.describe_or_refuse", lambda *_: TOPIC)
    keys = {"mobility_serving.aggregated_driver": {"000", "001"}}
    return source_of(RecoveryInfo(None, keys))


def source_of(recovery: RecoveryInfo) -> AggregatedSource:
    """Return a source; without a recovery folder it commits no offset."""
    return AggregatedSource(
        Settings(),
        BY_NAME["driver"],
        LOG,
        OffsetCommits(Settings(), "serving", None),
        FlowMetrics(),
        lambda: False,
        recovery,
    )


@pytest.mark.parametrize(
    ("state", "position"),
    [(None, 5), (7, 7), ({"next_offset": 7, "topic_id": "one"}, 7)],
)
def test_it_resumes_at_the_offset_of_the_snapshot(
    source: AggregatedSource,
    state: Any,  # noqa: ANN401 - as Bytewax hands it over
    position: int,
) -> None:
    """Release 0.1 stored the offset only; new snapshots also have the id of the topic."""
    assert source.list_parts() == ["000", "001"]
    part = source.build_part("step", "001", state)
    assert part.snapshot() == {"next_offset": position, "topic_id": "one"}


@pytest.mark.parametrize("state", [3, 11, {"next_offset": 7, "topic_id": "two"}])
def test_a_log_that_does_not_continue_is_refused(
    source: AggregatedSource,
    state: Any,  # noqa: ANN401 - as Bytewax hands it over
) -> None:
    """Messages deleted, log truncated, or topic recreated."""
    with pytest.raises(RefusalError, match=r"aggregated\.driver partition 1: the "):
        source.build_part("step", "001", state)


def test_fewer_partitions_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The state of the third partition would not be used."""
    monkeypatch.setattr("dataflows.aggregated_source.describe_or_refuse", lambda *_: TOPIC)
    keys = {"mobility_serving.aggregated_driver": {"000", "001", "002"}}
    made = source_of(RecoveryInfo(None, keys))
    with pytest.raises(RefusalError, match="partition 2"):
        made.list_parts()
