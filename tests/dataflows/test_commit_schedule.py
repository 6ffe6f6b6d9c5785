"""When offsets are committed, without a broker: by a clock that goes when it is told to."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from broker.errors import BrokerError
from broker.offsets import Partition
from dataflows import offset_commits
from dataflows.offset_commits import CommitSchedule, OffsetCommits
from dataflows.stores import StoreError
from mobility.settings import Settings
from tests.waiting import DEADLINE

ONE, TWO = ("trips_stream", 0), ("trips_stream", 1)
GROUP = "mobility_main"


@dataclass(slots=True)
class FakeGroup:
    """A group that stores what it is given, or fails."""

    failure: str | None = None
    stored: list[dict[Partition, int]] = field(default_factory=list)

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Store the offsets, or fail."""
        if self.failure is not None:
            raise BrokerError(self.failure)
        self.stored.append(dict(offsets))


@dataclass(slots=True)
class Fence:
    """Tells whether a later cluster has replaced this one, as it is told."""

    answer: bool | StoreError = False
    asked: int = 0

    def __call__(self) -> bool:
        """Return the answer, or raise it."""
        self.asked += 1
        if isinstance(self.answer, StoreError):
            raise self.answer
        return self.answer


@dataclass(slots=True)
class Committing:
    """A schedule with its doubles, and a clock in seconds."""

    now: float = 1_000_000.0
    group: FakeGroup = field(default_factory=FakeGroup)
    fence: Fence = field(default_factory=Fence)
    schedule: CommitSchedule = field(init=False)

    def __post_init__(self) -> None:
        """Connect them."""
        self.schedule = CommitSchedule(GROUP, self.group, self.fence, lambda: self.now)


@pytest.fixture
def made() -> Committing:
    """Return a schedule."""
    return Committing()


def test_all_partitions_are_committed_when_one_has_moved(made: Committing) -> None:
    """And not again while nothing moves; back as well, as for a new recovery folder."""
    for offsets in ({ONE: 1, TWO: 5}, {ONE: 1, TWO: 5}, {ONE: 2, TWO: 5}, {ONE: 0, TWO: 5}):
        made.schedule.commit(offsets)
    assert made.group.stored == [{ONE: 1, TWO: 5}, {ONE: 2, TWO: 5}, {ONE: 0, TWO: 5}]


def test_what_does_not_move_is_committed_again_within_the_hour(made: Committing) -> None:
    """Offsets of a group expire, also those of partitions that nobody writes to."""
    for _ in range(24 * 60):
        made.schedule.commit({ONE: 1, TWO: 5})
        made.now += 60
    assert 24 <= len(made.group.stored) <= 49
    assert all(stored == {ONE: 1, TWO: 5} for stored in made.group.stored)


def test_a_failure_is_one_warning_and_so_is_its_end(
    made: Committing, caplog: pytest.LogCaptureFixture
) -> None:
    """It is tried again in silence; what was due is committed then."""
    made.group.failure = "no coordinator"
    for offset in range(5):
        made.schedule.commit({ONE: offset})
        made.now += 60
    (warning,) = caplog.messages
    assert GROUP in warning
    assert "no coordinator" in warning
    made.group.failure = None
    made.schedule.commit({ONE: 4})
    made.schedule.commit({ONE: 5})
    assert made.group.stored == [{ONE: 4}, {ONE: 5}]
    assert caplog.messages[1:] == [f"offsets are committed to the consumer group {GROUP} again"]


def test_a_cluster_that_was_replaced_never_commits_again(
    made: Committing, caplog: pytest.LogCaptureFixture
) -> None:
    """It is asked before each commit, and not any more once the answer was yes."""
    made.schedule.commit({ONE: 1})
    made.fence.answer = True
    for offset in range(2, 9):
        made.schedule.commit({ONE: offset})
        made.now += 7_200
    made.fence.answer = False
    made.schedule.commit({ONE: 9})
    assert made.group.stored == [{ONE: 1}]
    assert made.fence.asked == 2
    (warning,) = caplog.messages
    assert "has replaced this one" in warning


def test_nothing_is_committed_while_a_store_does_not_tell(
    made: Committing, caplog: pytest.LogCaptureFixture
) -> None:
    """A later cluster may have replaced this one meanwhile."""
    made.fence.answer = StoreError("Redis does not answer")
    for offset in range(3):
        made.schedule.commit({ONE: offset})
    assert made.group.stored == []
    (warning,) = caplog.messages
    assert "Redis does not answer" in warning
    made.fence.answer = False
    made.schedule.commit({ONE: 3})
    assert made.group.stored == [{ONE: 3}]


@pytest.mark.parametrize(
    ("group", "folder"), [("{prefix}mobility_{flow}", None), ("", Path("recovery"))]
)
def test_without_a_group_or_a_recovery_folder_nothing_is_committed(
    group: str, folder: Path | None
) -> None:
    """Without recovery state a run resumes at the beginning, whatever it has read."""
    commits = OffsetCommits(Settings(consumer_group=group), "main", folder)
    durable = commits.open("trips_stream", 0, 0)
    durable.record_snapshot(7, is_last=True)
    durable.record_poll()
    commits.close()
    assert commits._thread is None


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> FakeGroup:
    """Return the group that commits go to."""
    made = FakeGroup()
    monkeypatch.setattr(offset_commits, "GroupOffsets", lambda _settings, name: named(made, name))
    monkeypatch.setattr(offset_commits, "_COLLECT_SECONDS", 0.0)
    return made


def named(group: FakeGroup, name: str) -> FakeGroup:
    """Return the group; assert that it has the name of the tenant's flow."""
    assert name == "city.mobility_main"
    return group


def commits() -> OffsetCommits:
    """Return the offset commits of a tenant's flow without stores."""
    return OffsetCommits(Settings(topic_prefix="city."), "main", Path("recovery"))


@pytest.mark.parametrize("failed", [False, True])
def test_the_last_snapshots_are_committed_after_a_run_without_error(
    group: FakeGroup, monkeypatch: pytest.MonkeyPatch, *, failed: bool
) -> None:
    """After an error they may not be durable: then only what was known before is committed."""
    monkeypatch.setattr(offset_commits, "has_failed", lambda: failed)
    made = commits()
    for partition in (0, 1):
        durable = made.open("trips_stream", partition, 5)
        durable.record_snapshot(6, is_last=False)
        durable.record_poll()
        durable.record_snapshot(9, is_last=True)
    made.close()
    assert group.stored[-1] == dict.fromkeys((ONE, TWO), 6 if failed else 9)


def test_a_commit_that_hangs_does_not_delay_the_end(
    group: FakeGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where no broker answers: without the bound this test would hang."""
    hanging, begun = threading.Event(), threading.Event()

    def hang(_self: FakeGroup, _offsets: Mapping[Partition, int]) -> None:
        begun.set()
        hanging.wait(DEADLINE)

    monkeypatch.setattr(FakeGroup, "commit", hang)
    monkeypatch.setattr(offset_commits, "_LAST_COMMIT_SECONDS", 0.01)
    made = commits()
    made.open("trips_stream", 0, 5)
    assert begun.wait(DEADLINE)
    made.close()
    assert made._thread is not None
    assert made._thread.is_alive()
    hanging.set()
    made._thread.join(DEADLINE)
    assert group.stored == []


@pytest.mark.parametrize("cluster", ["", "token"])
def test_another_cluster_on_the_folder_replaces_this_one(tmp_path: Path, cluster: str) -> None:
    """As where a folder was removed and made again while a flow was running on it."""
    made = OffsetCommits(Settings(cluster=cluster), "main", tmp_path)
    (tmp_path / "lock").write_text("1 token\n")
    assert not made._is_replaced(tmp_path)
    (tmp_path / "lock").write_text("2 other\n")
    assert made._is_replaced(tmp_path) == bool(cluster)
