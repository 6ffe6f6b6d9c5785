"""Sampled windows of the log held against every place, on a system that goes on meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from audit.differences import Comparison, compare
from audit.places import NO_WINDOWS, Held, Place, Progress, Span
from audit.sample import KEY, SUMS_SCHEMA, Sample
from mobility.entities import Entity
from mobility.records import TOTALS
from mobility.settings import Settings

FIELDS = ("trip_count", *TOTALS, "start_time")


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome at one place: `amended` and `pending` windows were not compared.

    Amended are those that a backfill has counted again, by rules of its own; pending those that the
    place does not claim to have in their last form. What is `standing` is asked anew each time, as
    totals are; windows are compared once.
    """

    comparison: Comparison
    amended: int = 0
    pending: int = 0
    standing: bool = False


@dataclass(frozen=True, slots=True)
class Round:
    """One look at all places: whole windows of the log, the span they are in, and what is asked.

    `marks` are the places' own progress, read before the log was: whatever is complete by them
    stood in the log by then. `sent` is that of `aggregated.*`, whose windows are `published`; those
    that start at `lost` (epoch ms) or before may have lost messages to retention.
    """

    whole: Sample
    published: Sample
    span: Span
    places: Sequence[Place]
    marks: Sequence[Progress]
    sent: Progress
    lost: int
    settings: Settings

    def checks(self, entities: Sequence[Entity], *, everything: bool) -> list[Check]:
        """Ask every place and compare; everything also asks for ids that the log does not have."""
        names = [entity.name for entity in entities]
        chosen = pl.col("entity").is_in(names) & self.span.windows()
        expected = self.published.within(self.whole.rows).filter(chosen)
        topic = self.whole.within(self.published.rows).filter(chosen)
        held = [
            # Who has not spoken yet may not even have its tables.
            place.held(expected.select(KEY), self.span, entities, everything=everything)
            if marks
            else Held(NO_WINDOWS)
            for place, marks in zip(self.places, self.marks, strict=True)
        ]
        found = [self._sampled(each.windows).filter(chosen) for each in held]
        amended = _amended([topic, *found])
        checks = [self._topic(expected, topic, amended)]
        for place, each, windows, marks in zip(self.places, held, found, self.marks, strict=True):
            checks.append(self._store(place.name, expected, windows, each, marks, amended))
            checks += [Check(comparison, standing=True) for comparison in each.totals]
        return checks

    def _sampled(self, windows: pl.DataFrame) -> pl.DataFrame:
        return self.published.within(self.whole.within(windows))

    def _store(
        self,
        name: str,
        expected: pl.DataFrame,
        found: pl.DataFrame,
        held: Held,
        marks: Progress,
        amended: pl.DataFrame,
    ) -> Check:
        complete = _complete(marks, self.settings)
        wanted = expected.join(held.excused, on=KEY, how="anti")
        return Check(
            _compared(name, wanted.filter(complete), found.filter(complete), amended),
            amended=_shared(wanted, amended),
            pending=wanted.filter(~complete).height,
        )

    def _topic(self, expected: pl.DataFrame, found: pl.DataFrame, amended: pl.DataFrame) -> Check:
        """Compare the topics: what is on its way is pending, what never can be right is not."""
        have = found.select(*KEY, pl.col("trip_count").alias("have"))
        behind = (pl.col("have") < pl.col("trip_count")).fill_null(value=True)
        certain = _complete(self.sent, self.settings) & (pl.col("window_start") > self.lost)
        pending = expected.join(have, on=KEY, how="left").filter(behind & ~certain).select(KEY)
        return Check(
            _compared(
                "aggregated",
                expected.join(pending, on=KEY, how="anti"),
                found.join(pending, on=KEY, how="anti"),
                amended,
            ),
            amended=_shared(expected, amended),
            pending=pending.height,
        )


def _complete(marks: Progress, settings: Settings) -> pl.Expr:
    """Return the condition that a window is over by an entity's marks, and nothing may come."""
    horizon = pl.col("window_start") + settings.window_ms + settings.allowed_lateness * 1_000
    reached = pl.col("entity").replace_strict(
        list(marks), list(marks.values()), default=None, return_dtype=pl.Int64
    )
    return (horizon < reached).fill_null(value=False)


def _compared(
    place: str, expected: pl.DataFrame, found: pl.DataFrame, amended: pl.DataFrame
) -> Comparison:
    return compare(
        place,
        expected.join(amended, on=KEY, how="anti"),
        found.join(amended, on=KEY, how="anti"),
        keys=KEY,
        fields=FIELDS,
    )


def _amended(found: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Return the windows of a later generation in any place: the others may not have it yet."""
    rows = pl.concat([frame.select(SUMS_SCHEMA.names()) for frame in found])
    return rows.filter(pl.col("generation") > 0).select(KEY).unique()


def _shared(windows: pl.DataFrame, amended: pl.DataFrame) -> int:
    return windows.join(amended, on=KEY, how="semi").height
