"""The trips of recounted windows, as far as a sample of windows needs them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from audit.audited_stores import AuditedRange
from audit.backfill_records import BackfillRecord
from audit.oracle import assign_windows, enrich
from audit.recount import NAMED_SCHEMA, RECOUNT_SCHEMA, name_of
from audit.rules_in_force import RulesInForce
from audit.validation import VALIDATION_COLUMNS, LogMessage, validate_messages
from audit.window_sample import ENTITY_WINDOW_KEY
from mobility.entities import ENTITIES
from mobility.settings import Settings

KeepSampled = Callable[[pl.DataFrame], pl.DataFrame]
"""Returns those of any windows (ENTITY_WINDOW_KEY, and other columns) that belong to the sample."""

_READ_SCHEMA: Final = pl.Schema(
    {
        "row": pl.Int64,
        "partition": pl.Int32,
        "offset": pl.Int64,
        "is_late": pl.Boolean,
        "read_partition": pl.Int32,
        "read_offset": pl.Int64,
    }
)


@dataclass(frozen=True, slots=True)
class ReadMessages:
    """Messages at their positions in the log, and where they were read."""

    messages: Sequence[LogMessage]
    read_at: Sequence[tuple[int, int]]
    is_late: bool

    def places(self) -> pl.DataFrame:
        """Return a row for each of them (_READ_SCHEMA)."""
        rows = [
            (row, message.partition, message.offset, self.is_late, *at)
            for row, (message, at) in enumerate(zip(self.messages, self.read_at, strict=True))
        ]
        return pl.DataFrame(rows, schema=_READ_SCHEMA, orient="row")


@dataclass(slots=True)
class RecountedTrips:
    """The trips in the ranges of records that judge them alike, by `rules`.

    `trips` (RECOUNT_SCHEMA) have a window in the sample; `others` (NAMED_SCHEMA) are all others
    that have a trip_id.
    """

    records: Sequence[BackfillRecord]
    rules: RulesInForce
    settings: Settings
    window_range: AuditedRange
    keep_sampled: KeepSampled
    trips: list[pl.DataFrame] = field(default_factory=list)
    others: list[pl.DataFrame] = field(default_factory=list)

    def add(self, read: ReadMessages) -> None:
        """Add the valid trips among messages, late ones too."""
        for line, places in self.rules.split_rows(read.places()):
            part = [read.messages[row] for row in places["row"]]
            judged = validate_messages(part, self.settings, line.version)
            rows = pl.concat(
                [
                    judged.drop(*VALIDATION_COLUMNS, "partition", "offset"),
                    places.drop("row"),
                ],
                how="horizontal",
            )
            is_trip = pl.col("reason").is_null() & pl.col("watermark").is_null()
            trips = assign_windows(rows, self.settings).filter(is_trip & self._is_wanted())
            if trips.height:
                self._keep(enrich(trips, self.settings, line.tables))

    def _is_wanted(self) -> pl.Expr:
        covered = pl.any_horizontal(*(record.covers() for record in self.records))
        return covered & self.window_range.contains()

    def _keep(self, trips: pl.DataFrame) -> None:
        indexed = trips.with_row_index("row")
        keys = [
            indexed.select(
                pl.lit(entity.name).alias("entity"),
                pl.col(entity.id_column).alias("id"),
                "window_start",
                "row",
            ).drop_nulls("id")
            for entity in ENTITIES
        ]
        sampled = self.keep_sampled(pl.concat(keys).select(*ENTITY_WINDOW_KEY, "row"))["row"]
        is_sampled = pl.col("row").is_in(sampled.unique().implode())
        self.trips.append(indexed.filter(is_sampled).select(RECOUNT_SCHEMA.names()))
        others = indexed.filter(~is_sampled, pl.col("trip_id").is_not_null())
        self.others.append(others.with_columns(name_of()).select(NAMED_SCHEMA.names()))

    def read_by(self, record: BackfillRecord) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the trips and the others in the range of a record that it has read."""
        is_read = record.covers() & _is_before_ends(record)
        frames = (
            pl.concat([pl.DataFrame(schema=schema), *found]).filter(is_read)
            for schema, found in ((RECOUNT_SCHEMA, self.trips), (NAMED_SCHEMA, self.others))
        )
        trips, others = frames
        return trips, others


def _is_before_ends(record: BackfillRecord) -> pl.Expr:
    """Return the condition that a message was read by a recount."""
    if record.read is None:
        return pl.lit(value=False)
    late, logged = (
        pl.col("read_offset")
        < pl.col("read_partition").replace_strict(
            list(each.ends), list(each.ends.values()), default=0, return_dtype=pl.Int64
        )
        if each.ends
        else pl.lit(value=False)
        for each in (record.read.trips_late, record.read.trips_stream)
    )
    return pl.when("is_late").then(late).otherwise(logged)
