"""Which offset of a partition is known to be durable."""

from collections.abc import Callable


class DurableOffset:
    """An offset of a partition from which, or from beyond which, a run would resume after a crash.

    At the start it is the offset that is resumed. A snapshot is not durable when it is taken: other
    steps and workers still write theirs. But Bytewax polls no source in an epoch before the
    snapshots of all earlier epochs are committed, and the resume epoch with them (backpressure, in
    `partitioned_input` of Bytewax 0.21). So when a source is polled, its last snapshot is durable.
    """

    def __init__(self, resumed: int, on_change: Callable[[], object] = lambda: None) -> None:
        self.offset = resumed
        self._on_change = on_change
        self._snapshot = resumed
        self._is_last = False

    def record_snapshot(self, offset: int, *, is_last: bool) -> None:
        """Record that a snapshot is taken; the last one of a source that has ended says so."""
        self._snapshot, self._is_last = offset, is_last

    def record_poll(self) -> None:
        """Record that the source is polled."""
        if self._snapshot != self.offset:
            self.offset = self._snapshot
            self._on_change()

    def record_end(self) -> None:
        """Record that the run has ended without an error: then all last snapshots are durable."""
        if self._is_last:
            self.record_poll()
