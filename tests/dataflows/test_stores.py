"""Stores as a flow's sinks: one failure is raised, and no second one while the flow unwinds."""

from collections.abc import Callable
from typing import cast

import pytest
from bytewax.outputs import StatefulSinkPartition

from dataflows.stores import FlowPartition, FlowSink, SinkContext, sink_context
from mobility.records import WindowUpdate
from mobility.settings import Settings
from runtime.failures import RefusalError
from runtime.process import flow_context
from sinks import StoreError, StoreRefusedError, StoreSink


class Failing(StatefulSinkPartition[WindowUpdate, None]):
    """A store that a later cluster has taken over."""

    def write_batch(self, values: list[WindowUpdate]) -> None:
        """Refuse."""
        del values
        msg = "taken over"
        raise StoreRefusedError(msg)

    def snapshot(self) -> None:
        """Fail otherwise."""
        msg = "away"
        raise StoreError(msg)

    def close(self) -> None:
        """Fail once more."""
        self.snapshot()


class FailingSink:
    """A sink that can't connect."""

    def build_part(self, *_: object) -> None:
        """Refuse."""
        Failing().write_batch([])


def write(context: SinkContext) -> None:
    """Write to a store."""
    FlowPartition(Failing(), context).write_batch([])


def snapshot(context: SinkContext) -> None:
    """Take a snapshot of a store."""
    FlowPartition(Failing(), context).snapshot()


def build(context: SinkContext) -> None:
    """Connect to a store."""
    FlowSink(cast("StoreSink", FailingSink()), context).build_part("step", "0", None)


@pytest.fixture
def context() -> SinkContext:
    """Return what the partitions of a process share."""
    return sink_context(flow_context("main", Settings()), lambda: False)


@pytest.mark.parametrize(
    ("fail", "error"), [(write, RefusalError), (snapshot, StoreError), (build, RefusalError)]
)
def test_after_a_failure_closing_raises_nothing(
    context: SinkContext, fail: Callable[[SinkContext], None], error: type[Exception]
) -> None:
    """Bytewax closes every partition of the process then, also those that have not failed yet."""
    with pytest.raises(error):
        fail(context)
    FlowPartition(Failing(), context).close()


def test_the_first_failure_is_raised_even_if_it_comes_with_closing(context: SinkContext) -> None:
    """Nothing that was given to a store is lost silently."""
    with pytest.raises(StoreError, match="away"):
        FlowPartition(Failing(), context).close()
    FlowPartition(Failing(), context).close()
