"""One round of the audit: sampled windows of the log, compared with every store and topic.

The system goes on meanwhile.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from audit.audited_follower import Follower
from audit.audited_stores import (
    NO_WINDOWS,
    AuditedRange,
    AuditedStore,
    EntityWatermarks,
    StoreContents,
)
from audit.comparison import OutputComparison, compare
from audit.recounts import Recounts
from audit.rules_in_force import RulesInForce
from audit.window_recounts import NO_RECOUNT, NUMBER, is_among
from audit.window_sample import ENTITY_WINDOW_KEY, WINDOW_FIELDS, WindowSample
from mobility.entities import Entity
from mobility.measures import ADDED, STARTS, SUMS
from mobility.settings import Settings

_ADDED: Final = tuple(each.name for each in ADDED if each.name not in STARTS)
"""What windows of an earlier release lack: the other start stands for the one that they lack."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result for one store or topic; windows that are left out or `pending` were not compared.

    `left_out` has the numbers of windows that a backfill has counted and that can't be computed, by
    the reason. Pending are those that the store does not claim to be complete, that a backfill is
    writing, and ids that a follower is behind with. A result that `is_recurring` compares the same
    rows in every round, as that of totals does; windows are compared once.
    """

    comparison: OutputComparison
    left_out: Mapping[str, int] = field(default_factory=dict)
    pending: int = 0
    is_recurring: bool = False

    @property
    def backfilled(self) -> int:
        """The number of windows that a backfill has counted and that were not compared."""
        return sum(self.left_out.values())


@dataclass(frozen=True, slots=True)
class AuditRound:
    """The input of a round: complete windows of the log in a range, and what is compared with them.

    `from_log` are windows recomputed from the log, `from_topics` those of `aggregated.*`;
    `recounts` has the windows that backfills have counted. `store_watermarks` were read before the
    log, so whatever is complete by them was in the log; `delivered` is the same of `aggregated.*`.
    Windows that start at `truncated_until` (epoch ms) or before may have lost messages of
    `aggregated.*` to retention. By `rules` entities that were added later have no windows before
    that, but for those of backfills. A `follower` is compared with its authority, one of the
    `stores`, for the same ids.
    """

    from_log: WindowSample
    from_topics: WindowSample
    window_range: AuditedRange
    stores: Sequence[AuditedStore]
    store_watermarks: Sequence[EntityWatermarks]
    delivered: EntityWatermarks
    truncated_until: int
    settings: Settings
    recounts: Recounts
    rules: RulesInForce | None = None
    follower: Follower | None = None

    def run(self, entities: Sequence[Entity], *, all_ids: bool) -> list[CheckResult]:
        """Read every store and compare; `all_ids` includes ids that the log does not have."""
        names = [entity.name for entity in entities]
        selected = pl.col("entity").is_in(names) & self.window_range.contains()
        computed = self._computed().filter(selected)
        in_topics = self.from_log.keep_sampled(self.from_topics.rows).filter(selected)
        keys = computed.select(ENTITY_WINDOW_KEY).unique()
        contents = [
            # A store without watermarks is left out: it may not even have its tables.
            store.read(keys, self.window_range, entities, all_ids=all_ids)
            if watermarks
            else StoreContents(NO_WINDOWS)
            for store, watermarks in zip(self.stores, self.store_watermarks, strict=True)
        ]
        in_stores = [self._keep_sampled(each.windows).filter(selected) for each in contents]
        judged = self._judge([computed, in_topics, *in_stores])
        by_recount = [*ENTITY_WINDOW_KEY, "recount"]
        expected = computed.join(judged, on=by_recount, how="semi").drop("recount")
        results = [self._check_topics(expected, _with_trips(in_topics), judged)]
        for store, each, windows, watermarks in zip(
            self.stores, contents, in_stores, self.store_watermarks, strict=True
        ):
            wanted = expected.join(each.expired, on=ENTITY_WINDOW_KEY, how="anti")
            is_complete = _is_complete(watermarks, self.settings)
            found = _with_trips(windows)
            results.append(_check_store(store.name, wanted, found, is_complete, judged))
            results += [CheckResult(totals, is_recurring=True) for totals in each.totals]
        if self.follower is not None and all(self.store_watermarks):
            compared = self.follower.compare(expected, entities, all_ids=all_ids)
            results.append(CheckResult(compared.totals, pending=compared.behind, is_recurring=True))
        return results

    def _computed(self) -> pl.DataFrame:
        """Return the sampled windows as the flow must have counted them, and as recounts must."""
        live = self.from_log.rows.with_columns(recount=pl.lit(NO_RECOUNT, NUMBER))
        return self._keep_sampled(pl.concat([live, self.recounts.recounted.windows]))

    def _keep_sampled(self, windows: pl.DataFrame) -> pl.DataFrame:
        return self.from_topics.keep_sampled(self.from_log.keep_sampled(windows))

    def _judge(self, frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
        """Judge all windows that were computed or found; without those that are not counted yet."""
        rows = pl.concat([each.select(*ENTITY_WINDOW_KEY, "generation") for each in frames])
        found = rows.group_by(ENTITY_WINDOW_KEY).agg(pl.col("generation").max())
        judged = self.recounts.judge(found)
        if self.rules is None:
            return judged
        return judged.filter(self.rules.is_counted() | (pl.col("recount") != NO_RECOUNT))

    def _check_topics(
        self, expected: pl.DataFrame, found: pl.DataFrame, judged: pl.DataFrame
    ) -> CheckResult:
        """Compare the topics: a window that is still to be sent is pending, a wrong one is not."""
        sent = found.select(*ENTITY_WINDOW_KEY, pl.col("trip_count").alias("sent"))
        is_behind = (pl.col("sent") < pl.col("trip_count")).fill_null(value=True)
        # What a backfill has written was acknowledged before its record said so.
        is_final = (_is_complete(self.delivered, self.settings) | pl.col("is_written")) & (
            pl.col("window_start") > self.truncated_until
        )
        joined = expected.join(sent, on=ENTITY_WINDOW_KEY, how="left").join(
            judged.select(*ENTITY_WINDOW_KEY, "is_written"), on=ENTITY_WINDOW_KEY
        )
        pending = joined.filter(is_behind & ~is_final).select(ENTITY_WINDOW_KEY)
        return _check_windows("aggregated", expected, found, pending, judged)


def _check_store(
    name: str,
    expected: pl.DataFrame,
    found: pl.DataFrame,
    is_complete: pl.Expr,
    judged: pl.DataFrame,
) -> CheckResult:
    pending = expected.filter(~is_complete).select(ENTITY_WINDOW_KEY)
    return _check_windows(name, expected, found.filter(is_complete), pending, judged)


def _check_windows(
    name: str,
    expected: pl.DataFrame,
    found: pl.DataFrame,
    pending: pl.DataFrame,
    judged: pl.DataFrame,
) -> CheckResult:
    """Compare windows, but for pending ones and those that are judged so, or have a fault."""
    here = pl.concat([expected.select(ENTITY_WINDOW_KEY), found.select(ENTITY_WINDOW_KEY)])
    known = judged.join(here, on=ENTITY_WINDOW_KEY, how="semi")
    is_left_out = pl.col("fault").is_not_null()
    left_out = known.filter(is_left_out)
    others = known.filter(~is_left_out)
    waiting = others.filter(pl.col("is_pending") | is_among(others, pending))
    compared = others.join(waiting, on=ENTITY_WINDOW_KEY, how="anti")
    comparison = compare(
        name,
        expected.join(compared, on=ENTITY_WINDOW_KEY, how="semi"),
        found.join(compared, on=ENTITY_WINDOW_KEY, how="semi"),
        keys=ENTITY_WINDOW_KEY,
        fields=[each for each in WINDOW_FIELDS if each not in _ADDED],
        added=_ADDED,
    )
    reasons = left_out["fault"].value_counts(name="windows")
    return CheckResult(comparison, dict(reasons.iter_rows()), waiting.height)


def _is_complete(watermarks: EntityWatermarks, settings: Settings) -> pl.Expr:
    """Return the condition that a window takes no more trips, by its entity's watermark."""
    complete_at = pl.col("window_start") + settings.open_ms
    watermark = pl.col("entity").replace_strict(
        list(watermarks), list(watermarks.values()), default=None, return_dtype=pl.Int64
    )
    return (complete_at < watermark).fill_null(value=False)


def _with_trips(windows: pl.DataFrame) -> pl.DataFrame:
    """Return windows without those that a backfill has emptied: they count as absent."""
    return windows.filter(pl.any_horizontal(pl.col(*SUMS).fill_null(0) != 0))
