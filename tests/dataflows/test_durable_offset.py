"""What is known to be durable, against a model of how Bytewax commits epochs."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from dataflows.durable_offset import DurableOffset

PARTITIONS = 3
ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["poll", "poll and end the epoch", "end of input", "commit"]),
        st.integers(0, PARTITIONS - 1),
        st.integers(0, 5),
    ),
    max_size=60,
)


@dataclass(slots=True)
class Source:
    """A partition: its epoch and offset, and the offset in the snapshot of each epoch."""

    epoch: int = 0
    position: int = 10
    is_over: bool = False
    snapshots: dict[int, int] = field(default_factory=dict)
    durable: DurableOffset = field(default_factory=lambda: DurableOffset(10))

    def resumed(self, resume_epoch: int) -> int:
        """Return where a run would resume that resumes from an epoch."""
        found = [epoch for epoch in self.snapshots if epoch < resume_epoch]
        return self.snapshots[max(found)] if found else 10

    def end_epoch(self) -> None:
        """Take a snapshot, and go on in the next epoch."""
        self.snapshots[self.epoch] = self.position
        self.durable.record_snapshot(self.position, is_last=self.is_over)
        self.epoch += 1


class Flow:
    """Epochs are committed in order, each when all sources have ended it."""

    def __init__(self) -> None:
        self.sources = [Source() for _ in range(PARTITIONS)]
        self.resume_epoch = 0

    def do(self, action: str, source: Source, messages: int) -> None:
        """Do what the action says, if Bytewax could."""
        if action == "commit":
            if all(each.is_over or each.epoch > self.resume_epoch for each in self.sources):
                self.resume_epoch += 1
            return
        # Backpressure: no source is polled before all earlier epochs are committed.
        if source.is_over or source.epoch > self.resume_epoch:
            return
        source.durable.record_poll()
        if action == "end of input":
            source.is_over = True
        else:
            source.position += messages
        if action != "poll":
            source.end_epoch()

    def end(self) -> None:
        """End all sources, commit all epochs, and end the run."""
        for _ in range(2 * PARTITIONS):
            for source in self.sources:
                self.do("end of input", source, 0)
            self.do("commit", self.sources[0], 0)
        for source in self.sources:
            source.durable.record_end()


@given(ACTIONS)
def test_a_durable_offset_is_never_beyond_what_would_be_resumed(
    actions: list[tuple[str, int, int]],
) -> None:
    """Whenever the run crashes, whichever partitions have ended; and it never goes back."""
    flow = Flow()
    for action, number, messages in actions:
        before = [each.durable.offset for each in flow.sources]
        flow.do(action, flow.sources[number], messages)
        for source, earlier in zip(flow.sources, before, strict=True):
            assert earlier <= source.durable.offset <= source.resumed(flow.resume_epoch)


@given(ACTIONS)
def test_after_the_end_everything_read_is_durable(actions: list[tuple[str, int, int]]) -> None:
    """A run that ends without an error has committed the last snapshots of all sources."""
    flow = Flow()
    for action, number, messages in actions:
        flow.do(action, flow.sources[number], messages)
    flow.end()
    assert [each.durable.offset for each in flow.sources] == [
        each.position for each in flow.sources
    ]


def test_a_snapshot_is_durable_with_the_next_poll() -> None:
    """Not before, and the change is told once."""
    told: list[int] = []
    durable = DurableOffset(3, lambda: told.append(durable.offset))
    durable.record_poll()
    durable.record_snapshot(8, is_last=False)
    assert (durable.offset, told) == (3, [])
    durable.record_poll()
    durable.record_poll()
    assert (durable.offset, told) == (8, [8])


def test_the_end_of_a_run_makes_only_last_snapshots_durable() -> None:
    """Where a source has not ended, the snapshot of its open epoch is not known to be committed."""
    durable = DurableOffset(3)
    durable.record_snapshot(8, is_last=False)
    durable.record_end()
    assert durable.offset == 3
    durable.record_snapshot(9, is_last=True)
    durable.record_end()
    assert durable.offset == 9
