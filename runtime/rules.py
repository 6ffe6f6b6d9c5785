"""The rules and tables by which the messages of a partition are classified."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mobility.enrichment import Tables
from mobility.rules_journal import JournalEntry, in_force
from mobility.settings import Settings
from mobility.validation import TripRules
from runtime.rules_journal import copied_tables, read_journal
from runtime.start_record import read_start
from runtime.tables import configured_tables, read_new_tables, read_tables


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules and the tables that are in force from an offset of a partition on."""

    first_offset: int
    trip_rules: TripRules
    tables: Tables


class RulesReader:
    """Reads the rules journal of a recovery folder, and the tables that it names.

    Without a folder nothing is resumed: the tables of the settings are in force for every offset.
    """

    def __init__(self, settings: Settings, folder: Path | None) -> None:
        self._settings = settings
        self._folder = folder
        self._tables: dict[tuple[Path, ...], Tables] = {}

    @cached_property
    def journal(self) -> tuple[JournalEntry, ...]:
        """The entries of the journal, the newest last; none without a folder."""
        # Read when the first partition is opened: by then the first process has written it.
        return () if self._folder is None else read_journal(self._folder)

    @cached_property
    def follows_crash(self) -> bool:
        """Whether the run before this one had crashed; False without a folder."""
        started = None if self._folder is None else read_start(self._folder)
        return started is not None and started.follows_crash

    def from_offset(self, partition: int, offset: int, topic_id: str | None) -> list[Rules]:
        """Return the rules of a partition from this offset on, in the order of the log.

        Raises TableError where a table can't be read.
        """
        if self._folder is None:
            return [Rules(0, TripRules.of(self._settings), self._new_tables)]
        found = in_force(self.journal, partition, topic_id)
        begun = sum(first <= offset for first, _ in found)
        return [
            Rules(
                first,
                TripRules.of(self._settings, entry.version),
                self._read(copied_tables(self._folder, entry)),
            )
            for first, entry in found[begun - 1 :]
        ]

    @cached_property
    def _new_tables(self) -> Tables:
        return read_new_tables(configured_tables(self._settings), self._settings)

    def _read(self, files: dict[str, Path]) -> Tables:
        key = tuple(files.values())
        if key not in self._tables:
            self._tables[key] = read_tables(files, self._settings)
        return self._tables[key]
