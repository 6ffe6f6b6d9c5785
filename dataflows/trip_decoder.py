"""Decodes the messages of several partitions in one call, each by the rules in force for it.

A call has a cost of its own, however few messages it decodes. Where many partitions have a few
messages each, that would be most of the work.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby

from broker.offsets import Partition
from dataflows.log_format import log_format
from dataflows.partition_reader import Batch, offset_of
from mobility.enrichment import Tables
from mobility.settings import Settings
from mobility.trips import Decoded, decode_trips
from mobility.validation import TripRules
from mobility.values import ValueFormat
from runtime.rules import Rules


@dataclass(frozen=True, slots=True)
class DecodedBatch(Batch):
    """A batch with its messages decoded.

    `tables` are those that are in force for all of these messages.
    """

    decoded: Decoded
    tables: Tables


class TripDecoder:
    """Decodes batches; knows the rules of each partition."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rules: dict[Partition, deque[Rules]] = {}

    @cached_property
    def form(self) -> ValueFormat:
        """Where in a message its trip is; a schema registry is asked for it at the first use.

        Raises RefusalError where the log has another format.
        """
        return log_format(self._settings)

    def require_format(self) -> None:
        """Raise RefusalError where the log has another format, before anything is read."""
        _ = self.form

    def set_rules(self, partition: Partition, rules: Sequence[Rules]) -> None:
        """Set the rules of a partition, in the order of their first offsets, before it is read."""
        self._rules[partition] = deque(rules)

    def decode(self, batches: Sequence[Batch]) -> list[DecodedBatch]:
        """Return the batches decoded, in their order; one ends where other rules come into force.

        Raises what the format raises.
        """
        parts = [part for batch in batches for part in self._under_same_rules(batch)]
        return [
            decoded
            for rules, group in groupby(parts, lambda part: part[1].trip_rules)
            for decoded in self._decode_together(list(group), rules)
        ]

    def _decode_together(
        self, parts: Sequence[tuple[Batch, Rules]], rules: TripRules
    ) -> Iterator[DecodedBatch]:
        values = [message.value() for batch, _ in parts for message in batch.messages]
        decoded = decode_trips(values, rules, self.form)
        lengths = [len(batch.messages) for batch, _ in parts]
        for (batch, own), part in zip(parts, decoded.split(lengths), strict=True):
            yield DecodedBatch(
                batch.partition,
                batch.messages,
                batch.size,
                batch.position,
                batch.lag,
                batch.is_behind,
                batch.is_finished,
                batch.is_end_confirmed,
                part,
                own.tables,
            )

    def _under_same_rules(self, batch: Batch) -> Iterator[tuple[Batch, Rules]]:
        """Yield parts of a batch with their rules; drop rules that are not in force any more."""
        rules = self._rules[batch.partition]
        while batch.messages:
            while len(rules) > 1 and rules[1].first_offset <= offset_of(batch.messages[0]):
                rules.popleft()
            end = rules[1].first_offset if len(rules) > 1 else batch.position
            count = bisect_left(batch.messages, end, key=offset_of)
            if count == len(batch.messages):
                break
            yield _head(batch, count), rules[0]
            batch = replace(batch, messages=batch.messages[count:])
        yield batch, rules[0]


def _head(batch: Batch, count: int) -> Batch:
    """Return the first messages of a batch as a batch after which the others follow at once.

    Its size is that of the others, which are kept until they are taken.
    """
    return replace(
        batch,
        messages=batch.messages[:count],
        size=0,
        position=offset_of(batch.messages[count - 1]) + 1,
        lag=batch.lag + len(batch.messages) - count,
        is_behind=True,
        is_finished=False,
        is_end_confirmed=False,
    )
