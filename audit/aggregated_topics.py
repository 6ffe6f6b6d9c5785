"""The windows of `aggregated.*`, each in its highest version."""

from collections.abc import Iterator
from typing import Final

import polars as pl

from audit.audited_stores import AuditedRange
from audit.incremental_topic_reader import IncrementalTopicReader, OnPoll
from audit.topics import decode_windows
from audit.window_sample import ENTITY_WINDOW_KEY, SAMPLE_SCHEMA, WindowSample
from mobility.entities import Entity
from mobility.records import MIN_EVENT_TIME
from mobility.settings import Settings
from mobility.topics import aggregated_topic

_BATCH: Final = 20_000


class AggregatedTopics:
    """Reads the topics of some entities into a sample, each from where it stopped before."""

    def __init__(
        self,
        settings: Settings,
        entities: list[Entity],
        sample: WindowSample,
        *,
        max_backlog: int | None = None,
    ) -> None:
        self.sample = sample
        self._tolerance = settings.future_tolerance * 1_000
        self._followers: list[tuple[Entity, IncrementalTopicReader]] = []
        try:
            for entity in entities:
                topic = aggregated_topic(settings, entity)
                follower = IncrementalTopicReader(
                    settings, topic, max_backlog=max_backlog, needs_append_time=False
                )
                self._followers.append((entity, follower))
        except BaseException:
            self.close()
            raise

    @property
    def truncated_until(self) -> int:
        """Windows that start after this (epoch ms) have lost no message to retention.

        A window is sent after its first trip was appended, which is at most the future tolerance
        before its start; the same again is allowed for the clock of the flow, which may set the
        timestamps of these messages.
        """
        truncated = [
            follower.truncated_until
            for _, follower in self._followers
            if follower.truncated_until is not None
        ]
        return max(truncated) + 2 * self._tolerance if truncated else MIN_EVENT_TIME - 1

    def read(self, window_range: AuditedRange, on_poll: OnPoll = lambda: None) -> Iterator[int]:
        """Read windows of a range, on to the present ends; yield the size of each batch."""
        for entity, follower in self._followers:
            for batch in follower.read(follower.ends(), _BATCH, on_poll):
                windows = decode_valid_windows([message.value for message in batch], entity)
                self.sample.add(windows.filter(window_range.contains()))
                yield len(batch)

    def close(self) -> None:
        """Close the consumers."""
        for _, follower in self._followers:
            follower.close()


def decode_valid_windows(values: list[bytes | None], entity: Entity) -> pl.DataFrame:
    """Return the windows (SAMPLE_SCHEMA) in messages; messages that are not windows are skipped."""
    try:
        windows = decode_windows(values, entity)
    except pl.exceptions.PolarsError:
        if len(values) == 1:
            return pl.DataFrame(schema=SAMPLE_SCHEMA)
        half = len(values) // 2
        halves = (values[:half], values[half:])
        return pl.concat([decode_valid_windows(each, entity) for each in halves])
    return windows.select(SAMPLE_SCHEMA.names()).drop_nulls(ENTITY_WINDOW_KEY)
