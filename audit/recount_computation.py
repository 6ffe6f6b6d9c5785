"""Computes windows that backfills have recounted, from what they have read. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import polars as pl
from msgspec.structs import replace

from audit.audited_stores import AuditedRange
from audit.backfill_records import BackfillRecord, reverted_by
from audit.oracle import aggregate_enriched, assign_windows, enrich_by_rules
from audit.recount import (
    PLACE,
    RECOUNT_SCHEMA,
    Corrections,
    counted_trips,
    last_of_each_name,
)
from audit.recount_rules import MissingTableError, rules_of
from audit.recounted_trips import KeepSampled, ReadMessages, RecountedTrips
from audit.rules_in_force import RulesInForce
from audit.validation import VALIDATION_COLUMNS, LogMessage, validate_messages
from audit.window_recounts import NUMBER
from audit.window_sample import SAMPLE_SCHEMA
from mobility.records import MAX_EVENT_TIME, MIN_EVENT_TIME
from mobility.settings import Settings

RECOUNTED_SCHEMA: Final = pl.Schema([*SAMPLE_SCHEMA.items(), ("recount", NUMBER)])
"""Windows with the number of the record that they were computed by."""


class GivenLines(Protocol):
    """A folder of records, as this module reads it."""

    def given_lines(self, record: BackfillRecord, file: str) -> list[bytes]:
        """Return the trips of a file of corrections, as JSON, in its order."""
        ...


@dataclass(frozen=True, slots=True)
class RecountedWindows:
    """The windows of recounts (RECOUNTED_SCHEMA).

    `faults` say by the numbers of records why their windows can't be computed. Nor can those that
    start at `truncated_until` (epoch ms) or before: retention may have deleted late trips of them.
    """

    windows: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=RECOUNTED_SCHEMA))
    faults: Mapping[int, str] = field(default_factory=dict)
    truncated_until: int = MIN_EVENT_TIME - 1


class RecountComputation:
    """A computation of the windows in `window_range` that applied `records` have recounted.

    `topic_ids` are those that `trips_stream` and `trips_late` have now. `faults` say by the numbers
    of records why their windows can't be computed; `computed` are the other recounts of the range.
    """

    def __init__(
        self,
        records: Sequence[BackfillRecord],
        folder: GivenLines,
        settings: Settings,
        window_range: AuditedRange,
        keep_sampled: KeepSampled,
        topic_ids: Mapping[str, str | None],
    ) -> None:
        self.faults: dict[int, str] = {}
        self._records = records
        self._folder = folder
        self._settings = settings
        self._range = window_range
        groups: list[tuple[RulesInForce, list[BackfillRecord]]] = []
        for record in recounts_of(records, window_range):
            rules = self._rules_of(record, topic_ids)
            if rules is None:
                continue
            group = next((each for known, each in groups if known == rules), None)
            if group is None:
                groups.append((rules, [record]))
            else:
                group.append(record)
        self._groups = [
            RecountedTrips(each, rules, settings, window_range, keep_sampled)
            for rules, each in groups
        ]
        self.computed = [record for group in self._groups for record in group.records]

    def add(self, read: ReadMessages) -> None:
        """Add messages of `trips_stream` or `trips_late`, in any order."""
        for group in self._groups if read.messages else ():
            group.add(read)

    def windows(self) -> Iterator[pl.DataFrame]:
        """Yield the sampled windows of each recount (RECOUNTED_SCHEMA).

        Raises ValueError where corrections can't be read.
        """
        for group in self._groups:
            for record in group.records:
                yield self._windows_of(record, group)

    def _rules_of(
        self, record: BackfillRecord, topic_ids: Mapping[str, str | None]
    ) -> RulesInForce | None:
        """Return what a record judged by; note why its windows can't be computed."""
        read = record.read
        if read is None:
            return None
        for name, topic in (("trips_stream", read.trips_stream), ("trips_late", read.trips_late)):
            if topic_ids[name] != topic.topic_id and None not in {topic_ids[name], topic.topic_id}:
                self.faults[record.number] = f"{name} was recreated since"
                return None
        try:
            return rules_of(read, self._settings)
        except MissingTableError as error:
            self.faults[record.number] = str(error)
            return None

    def _windows_of(self, record: BackfillRecord, group: RecountedTrips) -> pl.DataFrame:
        trips, others = group.read_by(record)
        corrections = [
            self._corrections(each, given.source, given.file, group.rules)
            for each in self._with_corrections_for(record)
            for given in each.inputs
        ]
        counted = counted_trips(trips, others, corrections)
        inside = counted.filter(record.covers() & self._range.contains())
        windows = aggregate_enriched(inside, self._settings).with_columns(
            generation=pl.lit(record.generation, pl.Int64),
            recount=pl.lit(record.number, NUMBER),
        )
        return group.keep_sampled(windows.select(RECOUNTED_SCHEMA.names()))

    def _with_corrections_for(self, record: BackfillRecord) -> list[BackfillRecord]:
        """Return the records whose corrections a recount has applied, the oldest first."""
        earlier = [each for each in self._records if each.number < record.number]
        reverted = reverted_by(earlier)
        return [
            each
            for each in (*earlier, record)
            if each.id not in reverted and each.overlaps(record.first, record.beyond)
        ]

    def _corrections(
        self, record: BackfillRecord, sha256: str, file: str, rules: RulesInForce
    ) -> Corrections:
        lines = self._folder.given_lines(record, file)
        # Whatever the log holds, a file of corrections holds trips in plain JSON.
        settings = replace(self._settings, value="json")
        messages = [LogMessage(0, at, MAX_EVENT_TIME, line) for at, line in enumerate(lines)]
        rows = validate_messages(messages, settings).drop(*VALIDATION_COLUMNS)
        if rows["reason"].is_not_null().any():
            msg = f"the corrections {file} of backfill {record.id} have lines that are no trips"
            raise ValueError(msg)
        nowhere = [pl.lit(None, RECOUNT_SCHEMA[name]).alias(name) for name in PLACE]
        placed = assign_windows(rows, settings).with_columns(nowhere)
        trips = enrich_by_rules(last_of_each_name(placed), settings, rules)
        return Corrections(
            sha256, record.first, record.beyond, trips.select(RECOUNT_SCHEMA.names())
        )


def recounts_of(
    records: Sequence[BackfillRecord], window_range: AuditedRange
) -> list[BackfillRecord]:
    """Return the recounts of some windows of a range whose records say what was read."""
    return [
        each
        for each in records
        if each.read is not None
        and each.reverts is None
        and each.overlaps(window_range.first, window_range.last + 1)
    ]
