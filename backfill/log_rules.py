"""By which rules and tables each offset of the log is judged: those that the flow judges it by."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Final

import polars as pl

from backfill.errors import BackfillError
from broker.topics import find_topic
from mobility.enrichment import TableError, Tables
from mobility.records import RULES_VERSION
from mobility.rules_journal import JournalEntry
from mobility.settings import Settings
from mobility.topics import trips_topic
from mobility.validation import TripRules
from runtime.failures import RefusalError
from runtime.rules import Rules, RulesReader
from runtime.rules_journal import hash_tables
from runtime.tables import configured_tables

_ANY_OTHER: Final = -1
"""A partition that no rules begin in: it is judged by the newest from its beginning."""


class LogRules:
    """The rules and tables that are in force, by the recovery folder of the flow.

    Without MOBILITY_RECOVERY_DIR they are those of now. Everything raises BackfillError where the
    folder does not say them, or one of its tables can't be read.
    """

    def __init__(self, settings: Settings, topic_id: str | None = None) -> None:
        folder = None if settings.recovery_dir is None else Path(settings.recovery_dir)
        self._settings = settings
        self._reader = RulesReader(settings, folder)
        self._topic_id = topic_id
        self._known: dict[int, list[Rules]] = {}
        try:
            is_known = folder is None or self._reader.journal
        except RefusalError as error:
            raise BackfillError(str(error)) from error
        if not is_known:
            msg = (
                f"MOBILITY_RECOVERY_DIR={folder} does not say by which tables the log is judged. "
                "Is it the recovery folder of the flow, and was the flow started on it?"
            )
            raise BackfillError(msg)

    @cached_property
    def lines(self) -> tuple[JournalEntry, ...]:
        """The lines of the journal; without a folder one that has the tables of now.

        Raises OSError where one of these can't be read.
        """
        if self._reader.journal:
            return self._reader.journal
        tables = hash_tables(configured_tables(self._settings))
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return (JournalEntry(at=now, version=RULES_VERSION, tables=tables),)

    @property
    def newest_tables(self) -> Tables:
        """The tables that came into force last, by which corrections are judged."""
        return self._of(_ANY_OTHER)[-1].tables

    def split(self, positions: pl.DataFrame) -> Iterator[tuple[Rules, pl.Series]]:
        """Yield the rows of positions in the log, with what is in force for them.

        All rows that are judged alike come together.
        """
        found: dict[tuple[TripRules, int], tuple[Rules, pl.Series]] = {}
        partitions, offsets = positions["partition"], positions["offset"]
        for partition in partitions.unique():
            own = self._of(partition)
            number = pl.Series([each.first_offset for each in own]).search_sorted(offsets, "right")
            for index, rules in enumerate(own, 1):
                # What is before the first of them all is judged by it, too.
                is_own = (partitions == partition) & (number.clip(lower_bound=1) == index)
                key = (rules.trip_rules, id(rules.tables))
                found[key] = (rules, found[key][1] | is_own if key in found else is_own)
        for rules, is_judged in found.values():
            if is_judged.any():
                yield rules, is_judged.arg_true()

    def _of(self, partition: int) -> list[Rules]:
        """Return the rules of a partition in the order of the log."""
        if partition not in self._known:
            try:
                found = self._reader.from_offset(partition, 0, self._topic_id)
            except TableError as error:
                raise BackfillError(str(error)) from error
            self._known[partition] = found
        return self._known[partition]


def read_log_rules(settings: Settings) -> LogRules:
    """Return what is in force for the topic that the broker has; raises BrokerError, too."""
    return LogRules(settings, find_topic(settings, trips_topic(settings)).id)
