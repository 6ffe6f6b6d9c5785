"""The windows of `aggregated.*`, each in its highest version, as its topic has them."""

from collections.abc import Iterator

import polars as pl

from audit.places import Span
from audit.sample import KEY, SUMS_SCHEMA, Sample
from audit.tail import Tail
from audit.topics import decode_windows
from mobility.entities import Entity
from mobility.records import MIN_EVENT_TIME
from mobility.settings import Settings
from mobility.topics import aggregated_topic

_BATCH = 20_000


class Published:
    """The topics of some entities, followed together."""

    def __init__(
        self,
        settings: Settings,
        entities: list[Entity],
        sample: Sample,
        *,
        most: int | None = None,
    ) -> None:
        self.sample = sample
        self._tolerance = settings.future_tolerance * 1_000
        self._tails: list[tuple[Entity, Tail]] = []
        try:
            for entity in entities:
                topic = aggregated_topic(settings, entity)
                tail = Tail(settings.kafka, topic, most=most, by_broker=False)
                self._tails.append((entity, tail))
        except BaseException:
            self.close()
            raise

    @property
    def reach(self) -> int:
        """Windows that start after this (epoch ms) have lost no message with the topics' beginning.

        A window is sent after its first trip was stamped, which is at the most the tolerance before
        it started; the same again is for the clock of the flow, which stamps these messages.
        """
        gone = [tail.gone for _, tail in self._tails if tail.gone is not None]
        return max(gone) + 2 * self._tolerance if gone else MIN_EVENT_TIME - 1

    def follow(self, span: Span) -> Iterator[int]:
        """Read on to the present ends, windows of a span; yield the size of each batch."""
        for entity, tail in self._tails:
            for batch in tail.read(tail.ends(), _BATCH):
                if batch:
                    windows = read_windows([message.value for message in batch], entity)
                    self.sample.add(windows.filter(span.windows()))
                yield len(batch)

    def close(self) -> None:
        """Leave the broker."""
        for _, tail in self._tails:
            tail.close()


def read_windows(values: list[bytes | None], entity: Entity) -> pl.DataFrame:
    """Return the windows (SUMS_SCHEMA) that messages hold; what is no window names none."""
    try:
        windows = decode_windows(values, entity)
    except pl.exceptions.PolarsError:
        if len(values) == 1:
            return pl.DataFrame(schema=SUMS_SCHEMA)
        half = len(values) // 2
        return pl.concat([read_windows(v, entity) for v in (values[:half], values[half:])])
    return windows.select(SUMS_SCHEMA.names()).drop_nulls(KEY)
