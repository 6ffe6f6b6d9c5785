"""Stores as a flow's sinks: one failure is told, and no second one while the flow unwinds."""

from collections.abc import Callable
from typing import cast

import pytest
from bytewax.outputs import StatefulSinkPartition

from dataflows.account import Account
from dataflows.failures import RefusalError
from dataflows.stores import FlowPartition, FlowSink, Told
from mobility.records import WindowUpdate
from sinks import StoreError, StoreRefusedError, StoreSink, Teller


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


def write(told: Told) -> None:
    """Write to a store."""
    FlowPartition(Failing(), told).write_batch([])


def snapshot(told: Told) -> None:
    """Take a snapshot of a store."""
    FlowPartition(Failing(), told).snapshot()


def build(told: Told) -> None:
    """Connect to a store."""
    FlowSink(cast("StoreSink", FailingSink()), told).build_part("step", "0", None)


@pytest.fixture
def told() -> Told:
    """Return what the partitions of a process share."""
    return Told(cast("Account", None), cast("Teller", None))


@pytest.mark.parametrize(
    ("fail", "error"), [(write, RefusalError), (snapshot, StoreError), (build, RefusalError)]
)
def test_after_a_failure_closing_raises_nothing(
    told: Told, fail: Callable[[Told], None], error: type[Exception]
) -> None:
    """Bytewax closes every partition of the process then, also those that have not failed yet."""
    with pytest.raises(error):
        fail(told)
    FlowPartition(Failing(), told).close()


def test_the_first_failure_is_raised_even_if_it_comes_with_closing(told: Told) -> None:
    """Nothing that was given to a store is lost in silence."""
    with pytest.raises(StoreError, match="away"):
        FlowPartition(Failing(), told).close()
    FlowPartition(Failing(), told).close()
