"""Files of trips that people have named: what is in them and how they are read, as JSON.

`python -m producer.identify` writes it, and the records of a workspace and of an import hold it.
"""

from typing import Self

import msgspec


class TripFile(msgspec.Struct, frozen=True):
    """A file with its size in bytes and the SHA-256 of its content."""

    path: str
    size: int
    sha256: str


class TripFileSet(msgspec.Struct, frozen=True, kw_only=True):
    """Files in the order in which they are read.

    `given` are the files and folders as they were named, `options` the arguments that say how they
    are read, and `mapping` the SHA-256 of the mapping of columns that one of these names. `tables`
    are those that are joined to trips, by their names. `rejects` is where rows that are left out
    are written. `timezones` are those of their local times, each once. Paths are absolute.
    """

    given: tuple[str, ...]
    files: tuple[TripFile, ...]
    options: tuple[str, ...] = ()
    mapping: str | None = None
    tables: dict[str, str] = {}
    rejects: str | None = None
    timezones: tuple[str, ...] = ()

    @property
    def arguments(self) -> tuple[str, ...]:
        """The arguments of the producer."""
        rejects = () if self.rejects is None else ("--rejects", self.rejects)
        return (*self.given, *self.options, *rejects)

    @property
    def content(self) -> tuple[str, ...]:
        """What is in the files, whatever their names are."""
        return tuple(file.sha256 for file in self.files)

    @property
    def timezone(self) -> str:
        """The time zone of all of them; UTC if they have several."""
        return self.timezones[0] if len(self.timezones) == 1 else "UTC"

    def has_files_of(self, other: Self) -> bool:
        """Tell whether the files are the same, in any order."""
        return sorted(self.content) == sorted(other.content)

    def is_read_as(self, other: Self) -> bool:
        """Tell whether the files become the same trips, with the same tables."""
        return self.is_parsed_as(other) and self.tables == other.tables

    def is_parsed_as(self, other: Self) -> bool:
        """Tell whether the files become the same trips, whatever is joined to them."""
        return (self.options, self.mapping) == (other.options, other.mapping)
