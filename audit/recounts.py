"""What backfills mean for the windows of a round: by what each is right, and which are left out."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import polars as pl

from audit.backfill_records import BackfillRecord, BackfillRecords
from audit.recount_computation import RecountedWindows
from audit.window_recounts import NO_RECOUNT, is_written, recount_of
from audit.window_sample import ENTITY_WINDOW_KEY

JUDGED: Final = (*ENTITY_WINDOW_KEY, "recount", "is_written", "is_pending", "fault")
"""The columns of judged windows: by which recount each is right, whether an applied backfill has
written it, whether one is writing it, and why it can't be compared, else null."""


@dataclass(frozen=True, slots=True)
class Recounts:
    """The records of backfills that were `known` before anything was read, and their windows.

    What is applied in them was in the topics and stores then. `folder` has them, and newer ones.
    """

    folder: BackfillRecords
    known: tuple[BackfillRecord, ...]
    recounted: RecountedWindows

    @property
    def applied(self) -> tuple[BackfillRecord, ...]:
        """The records whose windows are all written."""
        return applied_among(self.known)

    def judge(self, windows: pl.DataFrame) -> pl.DataFrame:
        """Judge windows (ENTITY_WINDOW_KEY and `generation`, the highest that was found).

        It is called after topics and stores were read: what a backfill has been writing since is
        pending.
        """
        newest = self.folder.read()
        applied = {record.id for record in self.applied}
        begun = [record for record in newest if record.id not in applied]
        judged = windows.select(*ENTITY_WINDOW_KEY, "generation").with_columns(
            recount_of(windows, self.applied, self.folder).alias("recount"),
            is_written(windows, self.applied, self.folder).alias("is_written"),
            is_written(windows, begun, self.folder).alias("is_pending"),
        )
        faults = [pl.when(condition).then(pl.lit(text)) for condition, text in self._faults(newest)]
        fault = pl.coalesce(*faults, pl.lit(None, pl.String)).alias("fault")
        return judged.with_columns(fault).select(JUDGED)

    def _faults(self, newest: tuple[BackfillRecord, ...]) -> Iterator[tuple[pl.Expr, str]]:
        """Yield conditions on windows that can't be compared, and texts that say why."""
        generations = [
            pl.when(record.covers()).then(pl.lit(record.generation, pl.Int64)) for record in newest
        ]
        known = pl.max_horizontal(pl.lit(NO_RECOUNT, pl.Int64), *generations)
        unrecorded = (
            f"{self.folder.folder} has no record of the backfill that has written them: name the "
            "folder that has it with --records, or recount them with just backfill --unrecorded"
        )
        yield pl.col("generation") > known, unrecorded
        for record in self.applied:
            recount = f"just backfill --from {record.start} --to {record.end} --apply"
            remedy = f"`{recount}` recounts them, so that they are compared"
            earlier = (
                f"the record of backfill {record.id} does not say what it has read, as it is of an "
                f"earlier release: {remedy}"
            )
            yield pl.col("recount") == -record.number, earlier
            if fault := self.recounted.faults.get(record.number):
                yield pl.col("recount") == record.number, f"backfill {record.id}: {fault}. {remedy}"
        is_truncated = pl.col("window_start") <= self.recounted.truncated_until
        truncated = "retention has deleted late trips that a backfill has read"
        yield (pl.col("recount") > NO_RECOUNT) & is_truncated, truncated


def applied_among(records: tuple[BackfillRecord, ...]) -> tuple[BackfillRecord, ...]:
    """Return the records whose windows are all written."""
    return tuple(record for record in records if record.status == "applied")
