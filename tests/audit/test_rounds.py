"""One round: which windows are compared, which are pending, and which are differences."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
import pytest

from audit.audited_stores import AuditedRange, EntityWatermarks, StoreContents, delivered_watermarks
from audit.backfill_records import BackfillRecords
from audit.comparison import DifferenceKind
from audit.recount_computation import RecountedWindows
from audit.recounts import Recounts
from audit.rounds import AuditRound, CheckResult
from audit.window_sample import (
    ENTITY_WINDOW_KEY,
    SAMPLE_SCHEMA,
    WINDOW_FIELDS,
    WindowSample,
    keep_highest_versions,
    merge_partials,
)
from mobility.entities import BY_NAME, Entity
from mobility.settings import Settings
from tests.windows import window, window_frame

SETTINGS: Final = Settings()
WINDOW: Final = SETTINGS.window_ms
COMPLETE: Final = WINDOW + SETTINGS.allowed_lateness * 1_000
"""A window that starts at 0 is complete once a watermark is after this."""

Row = tuple[str, int, int, int]


def windows(*rows: Row) -> pl.DataFrame:
    """Return windows of drivers: id, window start, generation, trip count."""
    full = [
        window(i, start, n, entity="driver", generation=generation, last_start_time=start + n)
        for i, start, generation, n in rows
    ]
    return window_frame(full, SAMPLE_SCHEMA)


@dataclass
class FakeStore:
    """A store that holds these windows."""

    rows: pl.DataFrame
    expired: pl.DataFrame
    name: str = "store"

    def progress(self) -> EntityWatermarks:
        """Return nothing: the round gets its watermarks from the test."""
        return {}

    def read(
        self,
        expected: pl.DataFrame,
        window_range: AuditedRange,
        entities: Sequence[Entity],
        *,
        all_ids: bool,
    ) -> StoreContents:
        """Return the windows in the range."""
        del expected, entities, all_ids
        return StoreContents(self.rows.filter(window_range.contains()), self.expired)


def run_round(
    log: pl.DataFrame,
    *,
    topic: pl.DataFrame | None = None,
    store: pl.DataFrame | None = None,
    expired: pl.DataFrame | None = None,
    store_watermark: int | None = 10**9,
    delivered: int | None = 10**9,
    truncated_until: int = -1,
) -> tuple[CheckResult, CheckResult]:
    """Return the results of topics and of a store, which hold the log's windows by default."""
    records = BackfillRecords(Path("/nowhere"), "log", SETTINGS.fingerprint)
    from_log, from_topics = (
        WindowSample(None, 1, ["entity"], merge)
        for merge in (merge_partials, keep_highest_versions)
    )
    from_log.add(log)
    from_topics.add(log if topic is None else topic)
    audited = FakeStore(
        log if store is None else store, log.clear() if expired is None else expired
    )
    audit_round = AuditRound(
        from_log,
        from_topics,
        AuditedRange(0, 10**9),
        [audited],
        [{} if store_watermark is None else {"driver": store_watermark}],
        {} if delivered is None else {"driver": delivered},
        truncated_until,
        SETTINGS,
        Recounts(records, records.read(), RecountedWindows()),
    )
    topics, stores = audit_round.run([BY_NAME["driver"]], all_ids=True)
    return topics, stores


def numbers(result: CheckResult) -> tuple[int, int, int, dict[DifferenceKind, int]]:
    """Return the numbers of compared, backfilled, pending and different windows."""
    counts = {kind: count for kind, count in result.comparison.counts.items() if count}
    return result.comparison.expected, result.backfilled, result.pending, counts


LOG: Final = windows(("a", 0, 0, 3), ("b", 0, 0, 2), ("a", WINDOW, 0, 1))


def test_equal_windows_have_no_difference() -> None:
    """Three windows are compared, in the topics and in the store."""
    assert [numbers(result) for result in run_round(LOG)] == [(3, 0, 0, {})] * 2


def test_windows_are_compared_once_a_store_claims_them_complete() -> None:
    """Up to its watermark a missing window is pending; before it, a difference."""
    behind = LOG.filter(pl.col("window_start") > 0)
    assert numbers(run_round(LOG, store=behind, store_watermark=COMPLETE)[1]) == (0, 0, 3, {})
    assert numbers(run_round(LOG, store=behind, store_watermark=COMPLETE + 1)[1]) == (
        2,
        0,
        1,
        {"missing": 2},
    )
    assert numbers(run_round(LOG, store=behind, store_watermark=None)[1]) == (0, 0, 3, {})


def test_a_store_may_expire_windows_but_not_change_them() -> None:
    """An expired window is neither compared nor pending; an extra window is found."""
    missing = LOG.filter(pl.col("id") == "b")
    kept = pl.concat([LOG.join(missing, on=ENTITY_WINDOW_KEY, how="anti"), windows(("c", 0, 0, 1))])
    found = run_round(LOG, store=kept, expired=missing.select(ENTITY_WINDOW_KEY))[1]
    assert numbers(found) == (2, 0, 0, {"extra": 1})


@pytest.mark.parametrize("delivered", [None, COMPLETE])
def test_topics_may_be_behind_but_never_ahead(delivered: int | None) -> None:
    """Missing and smaller windows are pending until they are delivered; larger ones are wrong."""
    topic = windows(("a", 0, 0, 2), ("a", WINDOW, 0, 9), ("x", 0, 0, 1))
    found = run_round(LOG, topic=topic, delivered=delivered)[0]
    assert numbers(found) == (1, 0, 2, {"different": 1, "extra": 1})
    late = run_round(LOG, topic=topic)[0]
    assert numbers(late) == (3, 0, 0, {"missing": 1, "different": 2, "extra": 1})


def test_retention_may_delete_the_beginning_of_topics() -> None:
    """Windows up to there may be missing, later ones may not."""
    found = run_round(LOG, topic=LOG.clear(), truncated_until=0)[0]
    assert numbers(found) == (1, 0, 2, {"missing": 1})


def test_a_later_generation_without_a_record_is_compared_nowhere() -> None:
    """Nothing says what its windows should be; a place that lacks one does not count it."""
    topic = pl.concat([LOG, windows(("a", 0, 1, 9), ("new", 0, 1, 1))])
    in_topics, in_store = run_round(LOG, topic=topic)
    assert numbers(in_topics) == (2, 2, 0, {})
    assert numbers(in_store) == (2, 1, 0, {})


def test_delivery_is_known_once_every_shard_has_a_watermark(tmp_path: Path) -> None:
    """It is the minimum over the shards, of each the highest watermark of any process."""
    settings = Settings(status_dir=str(tmp_path), shards=2)
    assert delivered_watermarks(Settings()) == delivered_watermarks(settings) == {}
    (tmp_path / "flow-0.json").write_text('{"delivered": {"driver": {"0": 5, "1": 7}, "h3": {}}}')
    (tmp_path / "flow-1.json").write_text('{"delivered": {"driver": {"0": 9}, "h3": {"1": 1}}}')
    (tmp_path / "flow-2.json").write_text("{}")
    assert delivered_watermarks(settings) == {"driver": 7}


def test_every_field_of_a_window_is_compared() -> None:
    """A change of any field is found in the topics and in a store."""
    for field in WINDOW_FIELDS:
        changed = LOG.with_columns(pl.col(field) + (pl.col("id") == "b").cast(pl.Int64))
        for results in (run_round(LOG, topic=changed)[0], run_round(LOG, store=changed)[1]):
            assert numbers(results) == (3, 0, 0, {"different": 1}), field
