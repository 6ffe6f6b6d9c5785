"""What the fetching thread does: consumes for all partitions, and decodes what is worth a call.

A call of the decoder has a cost of its own. So what arrives is decoded before each tenth of a
second, of all partitions at once; earlier only where a full batch waits.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final, Generic

from broker.offsets import Partition
from dataflows.end_check import EndCheck
from dataflows.fetch_memory import FetchMemory
from dataflows.partition_reader import B, Batch, PartitionBuffer, PartitionReader
from dataflows.shared_consumer import SharedConsumer
from mobility.settings import Settings

_TICK_SECONDS: Final = 0.1
_DECODE_SECONDS: Final = 0.03
"""How long before each tenth of a second the decoding begins: workers ask at the tenth, and windows
are emitted at one, so what came later would wait for the next emission."""

_FULL_SECONDS: Final = 0.05
_FETCH_SECONDS: Final = 0.01
"""How long the client may fetch, while partitions are behind, before it is asked again."""

_GROUP: Final = 4
"""Full batches that workers get together while partitions are behind."""

_BATCH_TICKS: Final = 2
"""How long messages wait for a full batch."""

_GROUP_TICKS: Final = 5
"""How long batches wait for others."""

Decode = Callable[[Sequence[Batch]], Sequence[B]]
"""Decodes batches of several partitions; each may become several, in its order."""


class FetchLoop(Generic[B]):
    """The partitions of a process as its fetching thread sees them; only that thread uses it.

    At most one batch of a partition with messages waits for the worker.
    """

    def __init__(
        self,
        consumer: SharedConsumer,
        memory: FetchMemory,
        check: EndCheck,
        decode: Decode[B],
        settings: Settings,
    ) -> None:
        self._consumer = consumer
        self._memory = memory
        self._check = check
        self._decode = decode
        self._batch_size = settings.batch_size
        self._buffers: dict[Partition, PartitionBuffer] = {}
        self._readers: dict[Partition, PartitionReader[B]] = {}
        self._filled: dict[PartitionBuffer, int] = {}
        self._paused: set[PartitionBuffer] = set()
        self._group: dict[PartitionBuffer, list[B]] = {}
        self._messages_of_group = 0
        self._tick = self._tick_of_group = 0

    def update_partitions(
        self, opened: Sequence[PartitionReader[B]], closed: Sequence[PartitionReader[B]]
    ) -> None:
        """Begin to read some partitions, and leave others."""
        for reader in opened:
            self._buffers[reader.buffer.key] = reader.buffer
            self._readers[reader.buffer.key] = reader
        if opened:
            self._consumer.assign(reader.buffer for reader in opened)
            self._add_to_group([reader.buffer.update() for reader in opened])
            self._hand_over()
        if closed:
            self._consumer.unassign(reader.buffer for reader in closed)
        for reader in closed:
            del self._buffers[reader.buffer.key]
            del self._readers[reader.buffer.key]
            self._group.pop(reader.buffer, None)
            self._filled.pop(reader.buffer, None)
            self._paused.discard(reader.buffer)
            self._memory.release(reader.buffer.clear() + reader.waiting)

    def turn(self) -> None:
        """Consume, decode what is due, and confirm ends, once."""
        changed = self._consume()
        for buffer in changed:
            if buffer.messages:
                self._filled.setdefault(buffer, self._tick)
        is_tick = self._is_tick()
        if is_tick:
            self._check.update(self._buffers.values())
            changed = list(self._buffers.values())
        has_decoded = self._decode_due(is_tick=is_tick)
        self._add_to_group([buffer.update() for buffer in changed if buffer.has_update])
        if (has_decoded or is_tick) and self._is_group_complete():
            self._hand_over()

    def _consume(self) -> list[PartitionBuffer]:
        """Return the partitions about which anything is new, at the latest at the next tick."""
        share = self._memory.share(len(self._buffers))
        if self._paused:
            self._resume([each for each in self._paused if self._waiting(each) <= share // 2])
        most = self._memory.batch
        if self._memory.has_stalled:
            self._pause([b for b in self._buffers.values() if self._readers[b.key].waiting])
            most = self._memory.share_of_stalled(len(self._buffers))
        elif self._memory.is_full:
            self._memory.wait(_FULL_SECONDS)
            return []
        changed = self._consumer.read(self._buffers, most)
        until_tick = _TICK_SECONDS - (time.time() + _DECODE_SECONDS) % _TICK_SECONDS
        if not changed and not self._is_behind:
            time.sleep(until_tick)
        elif not changed or not self._is_behind:
            # Single messages that arrive one after the other are not worth a turn each.
            time.sleep(min(until_tick, _FETCH_SECONDS))
        return changed

    @property
    def _is_behind(self) -> bool:
        return any(buffer.is_behind for buffer in self._buffers.values())

    def _pause(self, buffers: Sequence[PartitionBuffer]) -> None:
        added = [buffer for buffer in buffers if buffer not in self._paused]
        if added:
            self._consumer.pause(added)
            self._paused |= set(added)

    def _resume(self, buffers: Sequence[PartitionBuffer]) -> None:
        if buffers:
            self._consumer.resume(buffers)
            self._paused -= set(buffers)

    def _waiting(self, buffer: PartitionBuffer) -> int:
        return buffer.size + self._readers[buffer.key].waiting

    def _is_tick(self) -> bool:
        tick, self._tick = self._tick, int((time.time() + _DECODE_SECONDS) / _TICK_SECONDS)
        return tick != self._tick

    def _decode_due(self, *, is_tick: bool) -> bool:
        """Decode what is worth a call; return whether there was anything."""
        has_decoded = False
        while batches := self._take_due(is_tick=is_tick):
            self._add_to_group(batches)
            has_decoded = True
        return has_decoded

    def _take_due(self, *, is_tick: bool) -> list[Batch]:
        """Return the next batches that are decoded together, the largest first."""
        due = [
            buffer
            for buffer in self._filled
            if buffer not in self._group and not self._readers[buffer.key].waiting
        ]
        if not (
            self._memory.is_full
            or sum(buffer.messages for buffer in due) >= self._batch_size
            or sum(buffer.size for buffer in due) >= self._memory.batch
        ):
            due = [buffer for buffer in due if is_tick and self._is_worth_a_call(buffer)]
        batches: list[Batch] = []
        messages, size = self._batch_size, self._memory.batch
        for buffer in sorted(due, key=_messages, reverse=True):
            if batches and (buffer.messages > messages or buffer.size > size):
                break
            messages -= buffer.messages
            size -= buffer.size
            batches.append(buffer.take(self._batch_size, self._memory.batch))
        for batch in batches:
            buffer = self._buffers[batch.partition]
            del self._filled[buffer]
            if buffer.messages:
                self._filled[buffer] = self._tick
        return batches

    def _is_worth_a_call(self, buffer: PartitionBuffer) -> bool:
        """Tell whether no full batch is to be expected, or none has come for a while."""
        is_live = not buffer.is_behind or buffer.is_complete
        return is_live or self._tick - self._filled[buffer] >= _BATCH_TICKS

    def _add_to_group(self, batches: Sequence[Batch]) -> None:
        for decoded in self._decode(batches) if batches else ():
            self._group.setdefault(self._buffers[decoded.partition], []).append(decoded)
            self._messages_of_group += len(decoded.messages)

    def _is_group_complete(self) -> bool:
        """Tell whether workers get the group now: each of their turns has a cost of its own.

        While partitions are behind, workers get batches of all of them at once, or four.
        """
        if not self._group:
            return False
        if self._memory.is_full or self._messages_of_group >= _GROUP * self._batch_size:
            return True
        if self._tick - self._tick_of_group >= _GROUP_TICKS:
            return True
        return all(
            buffer in self._group or self._readers[buffer.key].waiting
            for buffer in self._buffers.values()
            if buffer.is_behind
        )

    def _hand_over(self) -> None:
        for buffer, batches in self._group.items():
            for batch in batches:
                self._readers[buffer.key].put(batch)
        self._group.clear()
        self._memory.end_stall()
        self._messages_of_group = 0
        self._tick_of_group = self._tick


def _messages(buffer: PartitionBuffer) -> int:
    return buffer.messages
