"""Counting again: a sample of the windows of the raw log, by the oracle's rules."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from audit.carry import Carry
from audit.oracle import read_log, summed
from audit.places import Span
from audit.sample import Sample
from audit.tail import Offsets, Tail
from mobility.records import MIN_EVENT_TIME
from mobility.settings import Settings

BATCH: Final = 5_000
"""Messages at once: each is decoded by itself, and the others wait meanwhile."""


@dataclass(slots=True)
class Recount:
    """The raw log's windows, as far as its `tail` has been followed.

    `sample` holds partial sums of windows of the `span`; which ones are whole is told by `whole`.
    `starts` are the starts (epoch ms) of all windows that were met.
    """

    tail: Tail
    sample: Sample
    settings: Settings
    span: Span
    carry: Carry
    starts: set[int] = field(default_factory=set)

    def follow(self, ends: Offsets) -> Iterator[int]:
        """Read on to these ends; yield the number of messages of each batch when it is counted."""
        for batch in self.tail.read(ends, BATCH):
            if batch:
                messages = self.carry.judged(read_log([batch], self.settings).rows)
                counted = messages.filter(pl.col("verdict") == "counted")
                windows = summed(counted, self.settings).drop("window_end")
                self.starts.update(windows["window_start"].unique())
                wanted = self.span.windows() & (pl.col("window_start") > self.reach)
                generation = pl.lit(0, pl.Int64).alias("generation")
                self.sample.add(windows.filter(wanted).with_columns(generation))
            yield len(batch)

    @property
    def reach(self) -> int:
        """Windows that start after this (epoch ms) have all their trips in what was read.

        Where the log's beginning is gone, its trips are too: at the latest they were stamped as
        far after the last one's log-append time as is tolerated, or they were dead letters. A
        window that starts later has lost no trip, no repeat of a trip and no word on lateness.
        """
        if self.tail.gone is None:
            return MIN_EVENT_TIME - 1
        return self.tail.gone + self.settings.future_tolerance * 1_000

    @property
    def watermark(self) -> int | None:
        """The minimum watermark over the partitions (epoch ms), None until all have spoken."""
        return self.carry.watermark(len(self.tail.positions))

    @property
    def whole(self) -> Span:
        """The windows that no message to come can change, and that have lost none."""
        last = MIN_EVENT_TIME - 1 if self.watermark is None else self.watermark
        horizon = self.settings.window_ms + self.settings.allowed_lateness * 1_000
        return Span(max(self.span.first, self.reach + 1), min(self.span.last, last - horizon - 1))


def recount(tail: Tail, sample: Sample, settings: Settings, span: Span) -> Recount:
    """Return a recount that begins where the tail does."""
    return Recount(tail, sample, settings, span, Carry(settings))
