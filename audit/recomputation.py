"""Recomputation of a sample of windows from the raw log, by the oracle's rules."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from audit.audited_stores import AuditedRange
from audit.incremental_topic_reader import IncrementalTopicReader, Offsets, OnPoll
from audit.oracle import aggregate_windows, validate_log
from audit.oracle_state import OracleState
from audit.rules_in_force import RulesInForce
from audit.window_sample import WindowSample
from mobility.records import MIN_EVENT_TIME
from mobility.settings import Settings

BATCH: Final = 5_000
"""Messages per batch: each is decoded by itself, and other processes wait meanwhile."""


@dataclass(slots=True)
class WindowRecomputation:
    """The windows of the raw log, as far as `follower` has read it.

    `sample` holds partial aggregates of windows in `window_range`; `complete_range` tells which of
    them are complete. `window_starts` are the starts (epoch ms) of all windows in what was read.
    Without `rules` all of it is judged by the tables that the settings name.
    """

    follower: IncrementalTopicReader
    sample: WindowSample
    settings: Settings
    window_range: AuditedRange
    rules: RulesInForce | None = None
    window_starts: set[int] = field(default_factory=set)
    oracle_state: OracleState = field(init=False)

    def __post_init__(self) -> None:
        self.oracle_state = OracleState(self.settings)

    def read_to(self, ends: Offsets, on_poll: OnPoll = lambda: None) -> Iterator[int]:
        """Read on to these ends; yield the number of messages of each batch once it is counted."""
        for batch in self.follower.read(ends, BATCH, on_poll):
            log = validate_log([batch], self.settings, self.rules)
            messages = self.oracle_state.classify(log.rows)
            counted = messages.filter(pl.col("outcome") == "counted")
            windows = aggregate_windows(counted, self.settings, self.rules).drop("window_end")
            self.window_starts.update(windows["window_start"].unique())
            is_wanted = self.window_range.contains() & (
                pl.col("window_start") > self.truncated_until
            )
            generation = pl.lit(0, pl.Int64).alias("generation")
            self.sample.add(windows.filter(is_wanted).with_columns(generation))
            yield len(batch)

    @property
    def truncated_until(self) -> int:
        """Windows that start after this (epoch ms) have all their trips in what was read.

        If retention deleted the beginning of the log, it deleted trips. Event time is at most the
        future tolerance after the log-append time of a message, or the message is a dead letter. So
        a window that starts later than the last deleted append time plus that tolerance has lost
        no trip, no duplicate and no watermark.
        """
        if self.follower.truncated_until is None:
            return MIN_EVENT_TIME - 1
        return self.follower.truncated_until + self.settings.future_tolerance * 1_000

    @property
    def watermark(self) -> int | None:
        """The minimum watermark over the partitions (epoch ms); None while one has none."""
        return self.oracle_state.watermark(len(self.follower.positions))

    @property
    def complete_range(self) -> AuditedRange:
        """The windows that no later message can change, and that have lost no message."""
        watermark = MIN_EVENT_TIME - 1 if self.watermark is None else self.watermark
        return AuditedRange(
            max(self.window_range.first, self.truncated_until + 1),
            min(self.window_range.last, watermark - self.settings.open_ms - 1),
        )
