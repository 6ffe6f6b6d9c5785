"""One round of the audit: sampled windows of the log, compared with every store and topic.

The system goes on meanwhile.
"""

from collections.abc import Sequence
from dataclasses import dataclass
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
from audit.rules_in_force import RulesInForce
from audit.window_sample import ENTITY_WINDOW_KEY, SAMPLE_SCHEMA, WINDOW_FIELDS, WindowSample
from mobility.entities import Entity
from mobility.measures import ADDED
from mobility.settings import Settings

_ADDED: Final = tuple(each.name for each in ADDED)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result for one store or topic; `backfilled` and `pending` windows were not compared.

    Backfilled are windows of a later generation, which a backfill counts by other rules; pending
    are those that the store does not claim to be complete, and ids that a follower is behind with.
    A result that `is_recurring` compares
    the same rows in every round, as that of totals does; windows are compared once.
    """

    comparison: OutputComparison
    backfilled: int = 0
    pending: int = 0
    is_recurring: bool = False


@dataclass(frozen=True, slots=True)
class AuditRound:
    """The input of a round: complete windows of the log in a range, and what is compared with them.

    `from_log` are windows recomputed from the log, `from_topics` those of `aggregated.*`.
    `store_watermarks` were read before the log, so whatever is complete by them was in the log;
    `delivered` is the same of `aggregated.*`. Windows that start at `truncated_until` (epoch ms) or
    before may have lost messages of `aggregated.*` to retention. By `rules` entities that were
    added later have no windows before that. A `follower` is compared with its authority, one of the
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
    rules: RulesInForce | None = None
    follower: Follower | None = None

    def run(self, entities: Sequence[Entity], *, all_ids: bool) -> list[CheckResult]:
        """Read every store and compare; `all_ids` includes ids that the log does not have."""
        names = [entity.name for entity in entities]
        selected = pl.col("entity").is_in(names) & self.window_range.contains()
        if self.rules is not None:
            selected &= self.rules.is_counted()
        expected = self.from_topics.keep_sampled(self.from_log.rows).filter(selected)
        in_topics = self.from_log.keep_sampled(self.from_topics.rows).filter(selected)
        contents = [
            # A store without watermarks is left out: it may not even have its tables.
            store.read(
                expected.select(ENTITY_WINDOW_KEY), self.window_range, entities, all_ids=all_ids
            )
            if watermarks
            else StoreContents(NO_WINDOWS)
            for store, watermarks in zip(self.stores, self.store_watermarks, strict=True)
        ]
        in_stores = [self._keep_sampled(each.windows).filter(selected) for each in contents]
        backfilled = _backfilled_windows([in_topics, *in_stores])
        results = [self._check_topics(expected, in_topics, backfilled)]
        for store, each, windows, watermarks in zip(
            self.stores, contents, in_stores, self.store_watermarks, strict=True
        ):
            wanted = expected.join(each.expired, on=ENTITY_WINDOW_KEY, how="anti")
            is_complete = _is_complete(watermarks, self.settings)
            results.append(_check_store(store.name, wanted, windows, is_complete, backfilled))
            results += [CheckResult(totals, is_recurring=True) for totals in each.totals]
        if self.follower is not None and all(self.store_watermarks):
            found = self.follower.compare(expected, entities, all_ids=all_ids)
            results.append(CheckResult(found.totals, pending=found.behind, is_recurring=True))
        return results

    def _keep_sampled(self, windows: pl.DataFrame) -> pl.DataFrame:
        return self.from_topics.keep_sampled(self.from_log.keep_sampled(windows))

    def _check_topics(
        self, expected: pl.DataFrame, found: pl.DataFrame, backfilled: pl.DataFrame
    ) -> CheckResult:
        """Compare the topics: a window that is still to be sent is pending, a wrong one is not."""
        sent = found.select(*ENTITY_WINDOW_KEY, pl.col("trip_count").alias("sent"))
        is_behind = (pl.col("sent") < pl.col("trip_count")).fill_null(value=True)
        is_final = _is_complete(self.delivered, self.settings) & (
            pl.col("window_start") > self.truncated_until
        )
        joined = expected.join(sent, on=ENTITY_WINDOW_KEY, how="left")
        pending = joined.filter(is_behind & ~is_final).select(ENTITY_WINDOW_KEY)
        return CheckResult(
            _compare_windows(
                "aggregated",
                expected.join(pending, on=ENTITY_WINDOW_KEY, how="anti"),
                found.join(pending, on=ENTITY_WINDOW_KEY, how="anti"),
                backfilled,
            ),
            backfilled=_count_common(expected, backfilled),
            pending=pending.height,
        )


def _check_store(
    name: str,
    expected: pl.DataFrame,
    found: pl.DataFrame,
    is_complete: pl.Expr,
    backfilled: pl.DataFrame,
) -> CheckResult:
    comparison = _compare_windows(
        name, expected.filter(is_complete), found.filter(is_complete), backfilled
    )
    return CheckResult(
        comparison,
        backfilled=_count_common(expected, backfilled),
        pending=expected.filter(~is_complete).height,
    )


def _is_complete(watermarks: EntityWatermarks, settings: Settings) -> pl.Expr:
    """Return the condition that a window takes no more trips, by its entity's watermark."""
    complete_at = pl.col("window_start") + settings.open_ms
    watermark = pl.col("entity").replace_strict(
        list(watermarks), list(watermarks.values()), default=None, return_dtype=pl.Int64
    )
    return (complete_at < watermark).fill_null(value=False)


def _compare_windows(
    output: str, expected: pl.DataFrame, found: pl.DataFrame, backfilled: pl.DataFrame
) -> OutputComparison:
    return compare(
        output,
        expected.join(backfilled, on=ENTITY_WINDOW_KEY, how="anti"),
        found.join(backfilled, on=ENTITY_WINDOW_KEY, how="anti"),
        keys=ENTITY_WINDOW_KEY,
        fields=[name for name in WINDOW_FIELDS if name not in _ADDED],
        added=_ADDED,
    )


def _backfilled_windows(found: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Return the windows that have a later generation anywhere: others may not have it yet."""
    rows = pl.concat([frame.select(SAMPLE_SCHEMA.names()) for frame in found])
    return rows.filter(pl.col("generation") > 0).select(ENTITY_WINDOW_KEY).unique()


def _count_common(windows: pl.DataFrame, backfilled: pl.DataFrame) -> int:
    return windows.join(backfilled, on=ENTITY_WINDOW_KEY, how="semi").height
