"""The stores that a flow feeds.

A store that refuses this cluster will refuse it again: that ends the flow, and is no failure that
a restart would cure.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from mobility.entities import Entity
from mobility.records import WindowUpdate
from runtime.fencing import refusals_end_the_flow
from runtime.process import FlowContext
from sinks import StoreSink, Teller, store_sinks


@dataclass(frozen=True, slots=True)
class SinkContext:
    """What the sinks of a process share: the flow, its status publisher, and failures so far."""

    flow: FlowContext
    stopping: Callable[[], bool]
    publisher: Teller
    failures: list[Exception] = field(default_factory=list)

    @contextmanager
    def recording_failures(self) -> Iterator[None]:
        """Record what a store raises; its refusal is one of the flow."""
        try:
            with refusals_end_the_flow():
                yield
        except Exception as error:
            self.failures.append(error)
            raise


def sink_context(flow: FlowContext, stopping: Callable[[], bool]) -> SinkContext:
    """Return the context of the sinks; nothing is connected yet."""
    reporter = flow.reporter
    publisher = Teller(flow.settings, reporter.name, reporter.status_record)
    return SinkContext(flow, stopping, publisher)


def attach_stores(entity: Entity, context: SinkContext) -> list[tuple[str, "FlowSink"]]:
    """Return the sink that feeds the stores, by their names; nothing is connected yet.

    A store that is away when a stop is requested is not waited for any longer.
    """
    flow = context.flow
    sinks = store_sinks(flow.settings, entity, flow.flow, context.stopping)
    return [(name, FlowSink(sink, context)) for name, sink in sinks]


class FlowSink(FixedPartitionedSink[WindowUpdate, None]):
    """A store's sink, whose refusal ends the flow."""

    def __init__(self, sink: StoreSink, context: SinkContext) -> None:
        self._sink = sink
        self._context = context

    def list_parts(self) -> list[str]:
        """Return the store's partitions."""
        self._context.publisher.start()
        return self._sink.list_parts()

    def part_fn(self, item_key: str) -> int:
        """Return the index of a key's partition."""
        return self._sink.part_fn(item_key)

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> "FlowPartition":
        """Connect to the store."""
        with self._context.recording_failures():
            partition = self._sink.build_part(step_id, for_part, resume_state)
        return FlowPartition(partition, self._context)


class FlowPartition(StatefulSinkPartition[WindowUpdate, None]):
    """A partition of a store's sink."""

    def __init__(
        self, partition: StatefulSinkPartition[WindowUpdate, None], context: SinkContext
    ) -> None:
        self._partition = partition
        self._context = context

    def write_batch(self, values: list[WindowUpdate]) -> None:
        """Write the updates."""
        with self._context.recording_failures():
            self._partition.write_batch(values)
        self._context.flow.reporter.record_written(sum(update.rows.height for update in values))

    def snapshot(self) -> None:
        """Return when everything written is durable."""
        with self._context.recording_failures():
            self._partition.snapshot()
        self._context.flow.reporter.record_snapshot()

    def close(self) -> None:
        """Close the store; after a failure no further one is raised."""
        # Bytewax closes while it unwinds, where a second error would abort the process. That would
        # look like a crash, after which the launcher restarts what a later cluster has replaced.
        failed = self._context.failures
        with suppress(Exception) if failed else self._context.recording_failures():
            self._partition.close()
