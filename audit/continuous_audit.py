"""The running audit: it reads the log on and compares a few windows once they are complete."""

import time
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Final

import polars as pl

from audit.aggregated_topics import AggregatedTopics
from audit.audited_follower import Follower
from audit.audited_stores import (
    AuditedRange,
    AuditedStore,
    EntityWatermarks,
    delivered_watermarks,
)
from audit.backfill_records import BackfillRecords
from audit.incremental_topic_reader import IncrementalTopicReader
from audit.recomputation import WindowRecomputation
from audit.recount_computation import RecountedWindows
from audit.recount_reading import RecountReading
from audit.recounts import Recounts, applied_among
from audit.rounds import AuditRound, CheckResult
from audit.rules_in_force import read_rules_in_force
from audit.window_sample import WindowSample, keep_highest_versions, merge_partials
from mobility.entities import BY_NAME, ENTITIES
from mobility.records import MAX_EVENT_TIME, MIN_EVENT_TIME
from mobility.settings import Settings
from mobility.topics import trips_topic

SAMPLE_SIZE: Final = 25
"""Windows of each entity and window start that are compared."""

MAX_BACKLOG: Final = 200_000
"""Messages per partition that are read at the start at most: older ones are not audited."""

_MAX_SAMPLED: Final = 50_000
_MAX_PER_ROUND: Final = 2_000
_GROUPS: Final = ("entity", "window_start")
_ALL_WINDOWS: Final = AuditedRange(MIN_EVENT_TIME, MAX_EVENT_TIME)

Pause = Callable[[float], bool]
"""Waits so many seconds; returns whether the audit is asked to stop."""


class _StopRequestedError(Exception):
    """The audit is asked to stop while it reads."""


class RulesChangedError(Exception):
    """The flow was started with other tables or rules than when the audit began to read."""


class BackfillAppliedError(Exception):
    """A backfill was applied since the audit began to read: its windows have other values now."""


class ContinuousAudit:
    """The positions in the topics and the sampled windows that are not compared yet.

    Every round reads every store, for a few ids; a window is dropped once it was compared. While a
    store makes no progress, reading of the log stops too, so that memory stays bounded. `records`
    are those of backfills; what they have recounted is computed once, in the first round.
    """

    def __init__(
        self,
        settings: Settings,
        stores: Sequence[AuditedStore],
        records: BackfillRecords,
        seed: int,
        follower: Follower | None = None,
    ) -> None:
        self._settings = settings
        self._records = records
        self._known = records.read()
        self._recounted: RecountedWindows | None = None
        self._stores = stores
        self._follower = follower
        self._compared_until = MIN_EVENT_TIME
        from_log = WindowSample(SAMPLE_SIZE, seed, _GROUPS, merge_partials)
        self._from_topics = WindowSample(SAMPLE_SIZE, seed, _GROUPS, keep_highest_versions)
        self._log = IncrementalTopicReader(settings, trips_topic(settings), max_backlog=MAX_BACKLOG)
        try:
            rules = read_rules_in_force(settings)
            self._recomputed = WindowRecomputation(
                self._log, from_log, settings, _ALL_WINDOWS, rules
            )
            self._topics = AggregatedTopics(
                settings, list(ENTITIES), self._from_topics, max_backlog=MAX_BACKLOG
            )
        except BaseException:
            self._log.close()
            raise

    def run_round(self, pause: Pause) -> list[CheckResult] | None:
        """Read on and compare the windows that are complete; None if asked to stop meanwhile.

        Raises RulesChangedError where others came into force since it began: what was read ahead of
        the flow may be judged by them. Raises BackfillAppliedError where windows of what was read
        were recounted since.
        """
        self._refuse_recounted()
        watermarks = [store.progress() for store in self._stores]
        delivered = delivered_watermarks(self._settings)
        # Read after the watermarks: the windows that are complete by them were computed with rules
        # that were in force before this line.
        if read_rules_in_force(self._settings) != self._recomputed.rules:
            raise RulesChangedError
        try:
            self._read(pause)
            recounted = self._recount(pause)
        except _StopRequestedError:
            return None
        window_range = self._complete_range(watermarks, delivered)
        if window_range.last < window_range.first:
            return []
        audit_round = AuditRound(
            self._recomputed.sample,
            self._from_topics,
            window_range,
            self._stores,
            watermarks,
            delivered,
            self._topics.truncated_until,
            self._settings,
            Recounts(self._records, self._known, recounted),
            self._recomputed.rules,
            self._follower,
        )
        results = audit_round.run(ENTITIES, all_ids=False)
        self._drop_before(window_range.last + 1)
        return results

    @property
    def behind(self) -> int:
        """The number of window starts that are read and not compared yet."""
        return self._recomputed.sample.rows["window_start"].n_unique()

    def close(self) -> None:
        """Close the consumers."""
        self._log.close()
        self._topics.close()

    def _refuse_recounted(self) -> None:
        """Raise BackfillAppliedError where windows that were read, or will be, were recounted."""
        known = {record.id for record in applied_among(self._known)}
        since = self._recomputed.truncated_until
        for record in applied_among(self._records.read()):
            if record.id not in known and record.overlaps(since, MAX_EVENT_TIME):
                raise BackfillAppliedError

    def _recount(self, pause: Pause) -> RecountedWindows:
        """Compute the windows that backfills have recounted, of those that can be complete."""
        if self._recounted is None:
            first = max(self._recomputed.truncated_until + 1, MIN_EVENT_TIME)
            reading = RecountReading(
                applied_among(self._known),
                self._records,
                self._settings,
                AuditedRange(first, MAX_EVENT_TIME),
                self._keep_sampled,
                MAX_BACKLOG,
            )
            started = time.monotonic()

            def on_read(_number: int) -> None:
                nonlocal started
                _wait(pause, time.monotonic() - started)
                started = time.monotonic()

            self._recounted = reading.run(on_read, lambda: _wait(pause, 0))
        return self._recounted

    def _keep_sampled(self, windows: pl.DataFrame) -> pl.DataFrame:
        return self._from_topics.keep_sampled(self._recomputed.sample.keep_sampled(windows))

    def _read(self, pause: Pause) -> None:
        """Read the topics to their ends, and the log unless too many windows are waiting."""
        window_range = AuditedRange(self._compared_until, MAX_EVENT_TIME)
        batches = [self._topics.read(window_range, lambda: _wait(pause, 0))]
        if self._recomputed.sample.rows.height < _MAX_SAMPLED:
            batches.insert(0, self._recomputed.read_to(self._log.ends(), lambda: _wait(pause, 0)))
        started = time.monotonic()
        for _ in chain.from_iterable(batches):
            # At most half of the time is used, however much there is to read.
            _wait(pause, time.monotonic() - started)
            started = time.monotonic()

    def _complete_range(
        self, watermarks: Sequence[EntityWatermarks], delivered: EntityWatermarks
    ) -> AuditedRange:
        """Return the windows that are complete in the log and in every store and topic."""
        in_log = self._recomputed.complete_range
        known = [each.get(name, MIN_EVENT_TIME) for each in watermarks for name in BY_NAME]
        if self._settings.status_dir is not None:
            known += [delivered.get(name, MIN_EVENT_TIME) for name in BY_NAME]
        last = min([in_log.last, *(watermark - self._settings.open_ms - 1 for watermark in known)])
        return self._limit(AuditedRange(max(in_log.first, self._compared_until), last))

    def _limit(self, window_range: AuditedRange) -> AuditedRange:
        """Leave the later windows to later rounds if there are many."""
        rows = self._recomputed.sample.rows.filter(window_range.contains())
        starts = rows.group_by("window_start").len().sort("window_start")
        beyond = starts.filter(pl.col("len").cum_sum() > _MAX_PER_ROUND).slice(1)["window_start"]
        return (
            window_range if beyond.is_empty() else AuditedRange(window_range.first, beyond[0] - 1)
        )

    def _drop_before(self, time_ms: int) -> None:
        self._compared_until = time_ms
        self._recomputed.sample.drop_before(time_ms)
        self._recomputed.window_starts.clear()
        self._from_topics.drop_before(time_ms)


def _wait(pause: Pause, seconds: float) -> None:
    """Wait; raises _StopRequestedError where the audit is asked to stop."""
    if pause(seconds):
        raise _StopRequestedError
