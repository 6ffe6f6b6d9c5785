"""The stores that a flow feeds, and the fencing token of its cluster.

A store that refuses this cluster will go on doing so: that is a refusal here too, not a failure.
"""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from dataflows.account import Account
from dataflows.failures import RefusalError, StartError
from mobility.entities import Entity
from mobility.records import WindowUpdate
from mobility.settings import Settings
from sinks import StoreError, StoreRefusedError, StoreSink, Teller, store_sinks, take_fence
from sinks.store import Writer


def fenced(settings: Settings, folder: Path | None) -> Settings:
    """Return the settings with a new fencing token, where there are stores.

    Older clusters are refused from now on. Raises StartError where a store does not answer.
    """
    if not settings.stores:
        return settings
    now = datetime.now(UTC).isoformat(timespec="seconds")
    holder = (
        f"process {os.getpid()} on {socket.gethostname()} at {now} "
        f"(recovery folder {'none' if folder is None else folder.absolute()})"
    )
    try:
        with _refusing():
            return msgspec.structs.replace(settings, fence=take_fence(settings, holder))
    except StoreError as error:
        raise StartError(str(error)) from error


@dataclass(frozen=True, slots=True)
class Told:
    """What this process says of itself, who tells the stores, and what has failed in it."""

    account: Account
    teller: Teller
    failures: list[Exception] = field(default_factory=list)

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note what a store raises; a refusal of its is one of the flow's."""
        try:
            with _refusing():
                yield
        except Exception as error:
            self.failures.append(error)
            raise


def teller(settings: Settings, account: Account) -> Told:
    """Return who tells the stores of this process; it begins when the flow does."""
    return Told(account, Teller(settings, account.name, account.record))


def attached(
    settings: Settings, entity: Entity, writer: Writer, stopping: Callable[[], bool], told: Told
) -> list[tuple[str, "FlowSink"]]:
    """Return the sink that feeds the stores, by their names; nothing is connected yet.

    A store that is away when a stop is asked for is not waited for any longer.
    """
    sinks = store_sinks(settings, entity, writer, stopping)
    return [(name, FlowSink(sink, told)) for name, sink in sinks]


class FlowSink(FixedPartitionedSink[WindowUpdate, None]):
    """A store's sink, whose refusal ends the flow for good."""

    def __init__(self, sink: StoreSink, told: Told) -> None:
        self._sink = sink
        self._told = told

    def list_parts(self) -> list[str]:
        """Return the store's partitions. Every process is asked at its start, so it speaks now."""
        self._told.teller.start()
        return self._sink.list_parts()

    def part_fn(self, item_key: str) -> int:
        """Return a key's place among them."""
        return self._sink.part_fn(item_key)

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> "FlowPartition":
        """Connect to the store."""
        with self._told.noting():
            partition = self._sink.build_part(step_id, for_part, resume_state)
        return FlowPartition(partition, self._told)


class FlowPartition(StatefulSinkPartition[WindowUpdate, None]):
    """A partition of a store's sink."""

    def __init__(self, partition: StatefulSinkPartition[WindowUpdate, None], told: Told) -> None:
        self._partition = partition
        self._told = told

    def write_batch(self, values: list[WindowUpdate]) -> None:
        """Write the updates."""
        with self._told.noting():
            self._partition.write_batch(values)
        self._told.account.note_written(sum(update.rows.height for update in values))

    def snapshot(self) -> None:
        """Return what the partition does."""
        with self._told.noting():
            self._partition.snapshot()
        self._told.account.note_snapshot()

    def close(self) -> None:
        """Close the store; after a failure what else has failed is not raised any more."""
        # Bytewax closes while it unwinds, where a second error would abort the process. That would
        # look like a crash, after which the launcher starts again what a later cluster has ended.
        with suppress(Exception) if self._told.failures else self._told.noting():
            self._partition.close()


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except StoreRefusedError as error:
        raise RefusalError(str(error)) from error
