"""Asks the broker whether partitions that look finished really are at their end."""

from collections.abc import Callable, Iterable
from typing import Final

from confluent_kafka import KafkaException

from broker.offsets import Answers, OffsetQuery
from dataflows.partition_reader import PartitionBuffer

_EVERY_SECONDS: Final = 2.0
_VALID_SECONDS: Final = 20.0


class EndCheck:
    """Confirms the ends of partitions every 2 s, without waiting for the answers.

    A consumer reports the end of what is committed, once. If its fetches fail after that, there may
    be messages that it does not know of: a confirmation is valid for 20 s. Messages of an open
    transaction are not there yet, but they will be, or others behind them: a partition that has
    some is not at its end.
    """

    def __init__(self, offsets: OffsetQuery, clock: Callable[[], float]) -> None:
        self._offsets = offsets
        self._clock = clock
        self._asked_at = 0.0
        self._asked: dict[PartitionBuffer, int] = {}
        self._answers: Answers = {}
        self._confirmed_at: dict[PartitionBuffer, float] = {}

    def update(self, buffers: Iterable[PartitionBuffer]) -> None:
        """Read answers that have come, and ask again when it is time."""
        if self._asked:
            self._read_answers()
        now = self._clock()
        if self._asked or now - self._asked_at < _EVERY_SECONDS:
            return
        self._asked_at = now
        self._expire(now)
        self._asked = {buffer: buffer.position for buffer in buffers if buffer.is_at_end}
        self._answers = self._offsets.request_high_watermarks(buffer.key for buffer in self._asked)

    def _read_answers(self) -> None:
        if not all(answer.done() for answer in self._answers.values()):
            return
        for buffer, position in self._asked.items():
            if (end := self._end_of(buffer)) is not None:
                buffer.is_end_confirmed = end <= position and buffer.is_at_end
                self._confirmed_at[buffer] = self._asked_at
        self._asked = {}

    def _end_of(self, buffer: PartitionBuffer) -> int | None:
        try:
            return int(self._answers[buffer.key].result().offset)
        except KafkaException:
            return None

    def _expire(self, now: float) -> None:
        for buffer, at in list(self._confirmed_at.items()):
            if now - at > _VALID_SECONDS or not buffer.is_end_confirmed:
                buffer.is_end_confirmed = False
                del self._confirmed_at[buffer]
